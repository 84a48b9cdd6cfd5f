"""The command line `snapcal`: the same session as the panel's, from a shell.

Exit codes: 0 done; 1 a fault of the program; 2 a wrong command or input; 3 something does not exist; 4 a damaged file;
5 the data do not allow the calibration; 6 the calibration tree cannot be written, locked or trusted; 130 cancelled.
"""


def main() -> None:
    """Entry point of the command."""
    from snapcal_workbench.cli.app import run

    run()
