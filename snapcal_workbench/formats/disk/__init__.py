"""How a file is read, so that whatever is wrong with it is said, and how one comes into being: whole or not at all."""
