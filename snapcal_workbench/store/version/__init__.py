"""One version: what it is made of, how it comes into being, and how it is read."""
