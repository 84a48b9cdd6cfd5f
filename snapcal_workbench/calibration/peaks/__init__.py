"""Bragg peaks: which are expected, their shapes, and the fits in their windows."""
