"""What came out: the verdict, and the tabs of figures."""
