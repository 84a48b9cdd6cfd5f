"""The seam between the algorithms and the program that they run in."""
