"""The command line's commands, of which only those that a command line names are loaded."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from snapcal_workbench import __version__
from snapcal_workbench.cli.common import SettingsSource
from snapcal_workbench.cli.ending import EXIT_CODES, exit_code_of

Overrides = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="A setting for this command, as calibration_home=/path")
]


class _Commands(TyperGroup):
    """The commands, of which each ends with one of our exit codes and, if something is wrong, with one message."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: object,
    ) -> object:
        """Run a command line; without `standalone_mode` errors are raised to the caller."""
        line = list(sys.argv[1:] if args is None else args)
        parent = super().main

        def command() -> object:
            return parent(line, prog_name, complete_var, False, windows_expand_args, **extra)

        return sys.exit(exit_code_of(command, as_json="--json" in line)) if standalone_mode else command()


_MODULES = {
    "facility": ("config", "state", "init-state", "simulate", "demo"),
    "identifying": ("identify",),
    "learning": ("learn-profile",),
    "calibrating": ("calibrate", "iterate", "iterations", "report", "compare", "save", "apply"),
    "tree": ("states", "history", "propagate", "cycles"),
    "batch": ("batch",),
    "watching": ("watch",),
    "checking": ("check",),
    "parameters": ("parameters",),
    "store": ("versions", "show", "retire", "unretire", "verify", "repair"),
    "panel": ("panel",),
    "workbench": ("workbench",),
}
"""Names of the commands by the module whose `COMMANDS` they are in, in the order of the help."""


def make_app(words: Collection[str] | None = None) -> typer.Typer:
    """The command line.

    Args:
        words: Of a command line; only commands that are among them are loaded. None loads all.
    """
    app = typer.Typer(
        cls=_Commands,
        help="Calibrate the SNAP diffractometer, and keep every accepted calibration as a numbered version.",
        epilog="Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_settings)
    known = [(name, module) for module, names in _MODULES.items() for name in names]
    for name, module in [pair for pair in known if pair[0] in (words or ())] or known:
        command = import_module(f"snapcal_workbench.cli.{module}").COMMANDS[name]
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"snapcal {__version__}")
        raise typer.Exit


def _settings(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="TOML file with the settings")] = None,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    instrument: Annotated[
        str | None,
        typer.Option(help="Instrument that the data are of, as POWGEN; short for --set instrument=NAME"),
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    """Remember where the settings come from; commands load them when they need them."""
    chosen = [f"instrument={instrument}"] if instrument else []
    context.obj = SettingsSource(config, (*chosen, *overrides))


def run() -> None:
    """Run the command line."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter shows its escape
    make_app(sys.argv[1:])(prog_name="snapcal")


def _open_standard_streams() -> None:
    """Occupy closed standard streams, so that no data file gets their numbers and the output of others with them."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
