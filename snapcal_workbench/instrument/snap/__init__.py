"""SNAP: its geometry, lite map, states, parameters, runs and groupings."""
