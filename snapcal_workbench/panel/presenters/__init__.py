"""What the panel does, without Qt: what is shown is asked for here, and said to the views through a contract."""
