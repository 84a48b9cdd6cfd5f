"""Commands about a whole tree of calibrations: states."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from snapcal_workbench.cli.common import AsJson
from snapcal_workbench.cli.console import note, show_json, show_table, step

if TYPE_CHECKING:
    from snapcal_workbench.facility.states import StateRow

Native = Annotated[bool, typer.Option("--native", help="Versions for native pixels instead of lite ones")]


def states(
    context: typer.Context,
    sort: Annotated[str, typer.Option(help="Column to sort by, as last_calibrated")] = "state_id",
    descending: Annotated[bool, typer.Option("--descending", help="The largest or latest first")] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Only such states: 'wavelength>2', 'verdict!=good', 'name~silicon'"),
    ] = None,
    runs: Annotated[
        bool, typer.Option("--runs", help="Count the runs since; looks once at each run that is new")
    ] = False,
    native: Native = False,
    as_json: AsJson = False,
) -> None:
    """List every state of the tree: what it is, when it was last calibrated, how well, and what is wrong."""
    from snapcal_workbench.facility.run_states import take_census
    from snapcal_workbench.facility.states import list_states
    from snapcal_workbench.facility.table import filtered_rows, sorted_rows
    from snapcal_workbench.instrument.known import requested_mode

    settings = context.obj.load()
    with step("Reading the states", quiet=as_json or not runs) as progress:
        census = take_census(settings, progress.part(0.0, 0.9)) if runs else None
        mode = requested_mode(settings, not native)
        rows = list_states(settings, mode, census=census, progress=progress.part(0.9, 1.0))
    rows = sorted_rows(filtered_rows(rows, where or []), sort, descending=descending)
    if as_json:
        show_json([asdict(row) for row in rows])
        return
    columns = ["state", "name", "λ (Å)", "arcs (°)", "f (Hz)", "versions", "calibrated", "run", "cycle"]
    columns += [*(["runs since"] if runs else []), "verdict", "damage"]
    show_table(f"States in {settings.powder_home}", columns, [_cells(row, runs) for row in rows])
    for row in rows:
        for problem in row.damage:
            note(f"Warning: state {row.state_id}: {problem}")


def _cells(row: StateRow, runs: bool) -> list[object]:
    return [
        row.state_id,
        row.name,
        row.wavelength,
        ", ".join(f"{arc:g}" for arc in row.arcs),
        row.frequency,
        f"{row.versions}" + (f" (+{row.retired} retired)" if row.retired else ""),
        row.last_calibrated[:10],
        row.last_run,
        row.cycle,
        *([row.runs_since] if runs else []),
        row.verdict,
        f"{len(row.damage)} found" if row.damage else "",
    ]


COMMANDS = {
    "states": states,
}
