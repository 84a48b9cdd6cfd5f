"""The commands of `snapcal`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snapcal_workbench import __version__
from snapcal_workbench.cli import calibrating, facility, panel, store, workbench

Overrides = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="A setting for this command, as calibration_home=/path")
]

app = typer.Typer(
    help="Calibrate the SNAP diffractometer, and keep every accepted calibration as a numbered version.",
    epilog="Exit codes: 0 done, 1 fault of the program, 2 wrong input, 3 not found, 4 damaged file, "
    "5 data do not allow it, 6 tree cannot be written or trusted, 130 cancelled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"snapcal {__version__}")
        raise typer.Exit


@app.callback()
def _settings(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="TOML file with the settings")] = None,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    """Remember where the settings come from; commands load them when they need them."""
    context.obj = facility.SettingsSource(config, tuple(overrides))


facility.register(app)
calibrating.register(app)
store.register(app)
panel.register(app)
workbench.register(app)


def run() -> None:
    """Run the command line."""
    app()
