"""The pixel step: the shift of each pixel against its group, repeated until converged."""
