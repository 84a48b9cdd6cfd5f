"""Pixel offsets by cross-correlation, as Mantid's algorithms find them."""
