"""`python -m snapcal_workbench.cli` is `snapcal`."""

from snapcal_workbench.cli import main

main()
