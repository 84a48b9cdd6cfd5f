"""Versions of calibrations on disk; see DESIGN.md."""
