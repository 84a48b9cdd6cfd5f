"""The NeXus file of a run: what it says of itself, its logs, and its events."""
