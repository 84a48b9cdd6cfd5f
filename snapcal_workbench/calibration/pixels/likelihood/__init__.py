"""Pixel offsets by maximum likelihood; see docs/estimator.md."""
