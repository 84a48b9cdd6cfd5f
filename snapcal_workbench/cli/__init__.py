"""The command line `snapcal`: the same session as the panel's, from a shell.

What the exit codes mean is said in `cli.ending`.
"""

import sys


def main() -> None:
    """Entry point of the command."""
    try:
        from snapcal_workbench.cli.commands import run

        run()
    except KeyboardInterrupt:  # while the modules are imported
        sys.exit(130)
