"""Windows that open over the panel; none of them blocks."""
