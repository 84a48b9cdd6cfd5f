"""Simulated runs of SNAP with a known misalignment, and the tree that they lie in."""
