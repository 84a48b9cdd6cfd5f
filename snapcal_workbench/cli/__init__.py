"""The command line `snapcal`: the same session as the panel's, from a shell.

What the exit codes mean is said in `cli.ending`.
"""

import gc
import sys

_OBJECTS = 50_000
"""New objects after which Python looks for unused ones. Loading a command makes 70,000 that stay: by Python's own 700
they are gone through again and again, 30 ms of the start. At half and at twice of this the start is as fast."""


def main() -> None:
    """Entry point of the command."""
    gc.set_threshold(_OBJECTS)
    try:
        from snapcal_workbench.cli.commands import run

        run()
    except KeyboardInterrupt:  # while the modules are imported
        sys.exit(130)
