"""The panel's views: they show, and say what was clicked."""
