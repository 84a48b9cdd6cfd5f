"""The Facility tab: states, history, checks."""
