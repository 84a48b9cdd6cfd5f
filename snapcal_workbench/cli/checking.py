"""The command that checks whether a calibration still holds for a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from snapcal_workbench.cli.common import AsJson
from snapcal_workbench.cli.console import note, say, show_json, show_table, step
from snapcal_workbench.errors import InputError

VERDICT_CODES = {"holds": 0, "does not hold": 8, "cannot tell": 9}
"""Exit code of each verdict, for a cron job; their meanings are in `ending.EXIT_CODES`."""


def check(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="Run number, or NeXus file")],
    powder: Annotated[str, typer.Option(help="Calibrant that is in the beam; default: found out from the data")] = "",
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Compare the pixels with each other instead: needs no known powder")
    ] = False,
    version: Annotated[str, typer.Option(help="Version to check; default: the one that applies to the run")] = "",
    tolerance: Annotated[float, typer.Option(help="What a module may be off by, ppm")] = 200.0,
    native: Annotated[bool, typer.Option("--native", help="Check the calibration of native pixels")] = False,
    as_json: AsJson = False,
) -> None:
    """Check whether the calibration still holds for a run; exit code 0: it does, 8: it does not, 9: cannot be told."""
    from snapcal_workbench.facility.check import check_run
    from snapcal_workbench.instrument.known import requested_mode

    settings = context.obj.load()
    if powder and pixels:
        raise InputError("Check by a powder or by the pixels.", found="both", fix="Leave out --powder or --pixels.")
    with step(f"Checking run {run}", quiet=as_json) as progress:
        found = check_run(
            run,
            settings,
            requested_mode(settings, not native),
            powder=powder,
            method="pixels" if pixels else None,
            version=version,
            tolerance_ppm=tolerance,
            progress=progress,
        )
    if as_json:
        show_json(_without_nan(asdict(found) | {"text": found.text}))
    else:
        rows = [(module.module, module.verdict, module.ppm, module.error_ppm) for module in found.modules]
        show_table(f"Version {found.version} for run {found.run_number}", ["module", "verdict", "off (ppm)", "±"], rows)
        for text in found.notes:
            note(f"Note: {text}")
        say(found.text)
    raise typer.Exit(VERDICT_CODES[found.verdict])


def _without_nan(values: dict) -> dict:
    modules = [{name: value if value == value else None for name, value in one.items()} for one in values["modules"]]
    return values | {"modules": modules}


COMMANDS = {
    "check": check,
}
