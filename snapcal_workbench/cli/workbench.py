"""Commands about Mantid Workbench: install, uninstall, doctor, check."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapcal_workbench.cli.common import AsJson
from snapcal_workbench.cli.console import note, say, show_json, step
from snapcal_workbench.errors import NotFoundError

if TYPE_CHECKING:
    from snapcal_workbench.installation import Change

Properties = Annotated[
    Path | None, typer.Option(help="The user's properties file of Mantid; default: ~/.mantid/Mantid.user.properties")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be changed")]


def install(properties: Properties = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Make Mantid Workbench load the plugin: add one folder to the user's own Mantid properties."""
    from snapcal_workbench.installation import plan_install, user_properties
    from snapcal_workbench.libraries import require_compatible

    require_compatible()
    _make(plan_install(properties or user_properties()), dry_run, as_json, done="Restart Workbench to see the plugin.")


def uninstall(properties: Properties = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Make Mantid Workbench no longer load the plugin. Calibrations stay as they are."""
    from snapcal_workbench.installation import plan_uninstall, user_properties

    _make(
        plan_uninstall(properties or user_properties()),
        dry_run,
        as_json,
        done="Then: pip uninstall snapcal-workbench",
    )


def _make(change: Change, dry_run: bool, as_json: bool, *, done: str) -> None:
    backup = change.apply() if change.changes and not dry_run else None
    removed, added = change.difference()
    if as_json:
        show_json(
            {
                "properties": str(change.path),
                "folder": str(change.folder),
                "changed": change.changes and not dry_run,
                "removed": removed,
                "added": added,
                "backup": str(backup) if backup else None,
            }
        )
        return
    say(f"{change.path}:")
    for sign, lines in (("-", removed), ("+", added)):
        for line in lines:
            say(f"  {sign} {line}")
    if not change.changes:
        say("  as it should be, nothing to do")
    elif dry_run:
        say("Nothing was changed.")
    else:
        note(f"Backup: {backup}" if backup else "The file is new.")
        note(done)


def doctor(context: typer.Context, properties: Properties = None, as_json: AsJson = False) -> None:
    """Say what is found of Mantid, Qt, folders and permissions, and what is wrong; exit code 3 for an error."""
    from snapcal_workbench.diagnosis import diagnose
    from snapcal_workbench.installation import user_properties

    findings = diagnose(context.obj.load(), properties or user_properties())
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.level:>7}  {finding.subject}: {finding.found}")
            if finding.fix:
                say(f"{'':>9}To do: {finding.fix}")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(NotFoundError.exit_code)


def check(as_json: AsJson = False) -> None:
    """Check what of the plugin works in this Python and its Mantid, and print one page to send; exit code 3 if not all.

    Each check runs in a process of its own, which may crash; without Mantid it takes a minute, with it a few.
    """
    from snapcal_workbench.self_test.page import make_page

    with step("Checking", quiet=as_json) as progress:
        page = make_page(progress)
    if as_json:
        show_json(asdict(page))
    else:
        say(str(page))
    if page.failures:
        raise typer.Exit(NotFoundError.exit_code)


_GROUP = typer.Typer(help="The plugin in Mantid Workbench: install, uninstall, doctor, check.", no_args_is_help=True)
for _command in (install, uninstall, doctor, check):
    _GROUP.command(_command.__name__)(_command)

COMMANDS = {"workbench": _GROUP}
