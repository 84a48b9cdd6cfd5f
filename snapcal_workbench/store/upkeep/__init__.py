"""What is wrong in a tree of versions, and putting it right."""
