"""The command about the instrument parameters: list, show and edit their versions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from snapcal_workbench.cli.common import AsJson, pair, user_name
from snapcal_workbench.cli.console import say, show_json, show_table, step
from snapcal_workbench.errors import InputError


def parameters(
    context: typer.Context,
    version: Annotated[int | None, typer.Option(help="Show the fields of this version")] = None,
    edit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A field that a new version has changed, as cycle.firstRun=60000"),
    ] = None,
    applies_to: Annotated[str, typer.Option(help="Runs of the new version, as >=60000")] = "",
    comments: Annotated[str, typer.Option(help="Why they are changed")] = "",
    author: Annotated[str, typer.Option(help="Who changes them; default: the login name")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be changed")] = False,
    as_json: AsJson = False,
) -> None:
    """List the versions of the instrument parameters, show one, or add one with --edit; none is ever changed."""
    if edit:
        _edit(context, edit, applies_to, comments, author, dry_run, as_json)
        return
    from snapcal_workbench.facility.instrument_parameters import list_parameters, read_parameters

    settings = context.obj.load()
    if version is not None:
        show_json(read_parameters(settings, version))
        return
    entries = list_parameters(settings)
    if as_json:
        show_json([entry.to_json() for entry in entries])
        return
    rows = [(f"{e.version}", e.applies_to or "", e.author or "", e.timestamp[:16], e.comments or "") for e in entries]
    columns = ["version", "applies to", "author", "saved", "comments"]
    show_table(f"Instrument parameters in {settings.instrument_parameters}", columns, rows)


def _edit(
    context: typer.Context,
    edit: list[str],
    applies_to: str,
    comments: str,
    author: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    from snapcal_workbench.facility.instrument_parameters import edit_parameters

    if not applies_to:
        raise InputError(
            "A new version of the instrument parameters needs the runs that it is for.",
            found="no --applies-to",
            fix="Give for example --applies-to '>=60000'.",
        )
    changes = dict(pair(text, "cycle.firstRun=60000") for text in edit)
    with step("Changing the instrument parameters", quiet=True) as progress:
        done = edit_parameters(
            context.obj.load(),
            changes,
            applies_to=applies_to,
            author=author or user_name(),
            comments=comments,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        show_json(asdict(done))
        return
    rows = [(name, f"{old}", f"{new}") for name, (old, new) in done.changes.items()]
    show_table(f"Version {done.based_on}, changed for runs {done.applies_to}", ["field", "was", "is"], rows)
    say("Nothing was changed: this was a dry run." if dry_run else f"Version {done.version} is saved: {done.path}")


COMMANDS = {
    "parameters": parameters,
}
