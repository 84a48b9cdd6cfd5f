"""Commands about saved versions: versions, show, retire, unretire, verify, repair."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from snapcal_workbench.cli.console import guarded, out, show_json, show_table
from snapcal_workbench.cli.facility import AsJson, user_name

Version = Annotated[str, typer.Argument(help="STATE/N or RUN:N, with 'lite/' or 'native/' before it where needed")]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Check that no file was changed since")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("versions")(versions)
    app.command("show")(show)
    app.command("retire")(retire)
    app.command("unretire")(unretire)
    app.command("verify")(verify)
    app.command("repair")(repair)
