"""What whoever answers for an instrument asks of a whole tree: its states, their history, and whether they hold."""
