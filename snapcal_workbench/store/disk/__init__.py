"""The disk below the versions: its calls, its locks, its files that only grow, and its JSON."""
