"""Type stubs of the few names of Mantid that are used here."""

__version__: str
