"""Implementations of the workspace list and the host: embedded, and inside Mantid."""
