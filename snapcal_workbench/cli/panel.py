"""The command that opens the panel in a window of its own."""

from __future__ import annotations

import importlib

import typer

from snapcal_workbench.errors import NotFoundError


def panel(context: typer.Context) -> None:
    """Open the calibration panel in a window of its own."""
    try:
        opening = importlib.import_module("snapcal_workbench.panel.opening")
    except ImportError as error:
        raise NotFoundError(
            "The panel needs Qt.",
            found=str(error),
            fix="Install it: pip install 'snapcal-workbench[gui]'",
        ) from error
    raise typer.Exit(opening.run(context.obj.load()))


COMMANDS = {
    "panel": panel,
}
