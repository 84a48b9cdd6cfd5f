"""Commands about a whole tree of calibrations: states, history, propagate, cycles."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapcal_workbench.cli.common import AsJson, user_name
from snapcal_workbench.cli.console import note, say, show_json, show_table, step
from snapcal_workbench.errors import InputError, StoreError

if TYPE_CHECKING:
    from snapcal_workbench.facility.history import Course, History
    from snapcal_workbench.facility.propagate import Propagation
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
    any_states = bool(rows)
    rows = sorted_rows(filtered_rows(rows, where or []), sort, descending=descending)
    if as_json:
        show_json([asdict(row) for row in rows])
        return
    columns = ["state", "name", "λ (Å)", "arcs (°)", "f (Hz)", "versions", "calibrated", "run", "cycle"]
    columns += [*(["runs since"] if runs else []), "verdict", "damage"]
    show_table(f"States in {settings.powder_home}", columns, [_cells(row, runs) for row in rows])
    if not rows:
        note("None of them is as --where says." if any_states else "None yet: `snapcal init-state` makes the first.")
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


def history(
    context: typer.Context,
    state: Annotated[str, typer.Argument(help="A state id, or a run of the state")],
    plot: Annotated[Path | None, typer.Option(help="Draw it into this PNG file")] = None,
    last: Annotated[int | None, typer.Option(min=2, help="Only so many of the newest versions")] = None,
    native: Native = False,
    as_json: AsJson = False,
) -> None:
    """Show how DIFC, widths and strain went from version to version, and name what drifts or jumps."""
    from snapcal_workbench.facility.history import read_history
    from snapcal_workbench.instrument.known import requested_mode
    from snapcal_workbench.store.listing import state_of

    settings = context.obj.load()
    mode = requested_mode(settings, not native)
    if plot is not None and plot.suffix.lower() != ".png":
        raise InputError("The picture is a PNG file.", found=str(plot), fix="Give --plot a name that ends in .png.")
    with step("Reading the versions", quiet=as_json) as progress:
        found = read_history(settings, state_of(settings, state, mode), mode, last=last, progress=progress)
    if as_json:
        show_json(_history_json(found))
    else:
        _show_history(found)
    if plot is not None:
        _draw(found, plot)


def _draw(found: History, path: Path) -> None:
    from snapcal_workbench.facility.history_plot import draw_history
    from snapcal_workbench.formats.disk.writing import reported
    from snapcal_workbench.report.plots import save_png

    with reported(f"The picture {path} could not be written."):
        save_png(path, lambda figure: draw_history(figure, found), width=12.0, height=8.0)


def _history_json(found: History) -> dict[str, object]:
    return {
        "stateId": found.state_id,
        "name": found.name,
        "mode": found.mode,
        "points": [asdict(point) for point in found.points],
        **{name: [_course_json(course) for course in getattr(found, name)] for name in ("difc", "width", "strain")},
        "changes": [asdict(change) for change in found.changes],
        "sentences": found.sentences(),
        "notes": list(found.notes),
    }


def _course_json(course: Course) -> dict[str, object]:
    value, error = ([x if x == x else None for x in array.tolist()] for array in (course.value, course.error))
    return {"part": course.part, "name": course.name, "value": value, "error": error}


def _show_history(found: History) -> None:
    versions = [f"v{point.version} ({point.run}, {point.timestamp[:10]})" for point in found.points]
    titles = {
        "difc": "TOF against the geometry, ppm",
        "width": "Peak widths sigma / d, 1e-3",
        "strain": "Strain, ppm",
    }
    for name, title in titles.items():
        rows = [
            (f"{c.part} {c.name}", *(_with_error(v, e) for v, e in zip(c.value, c.error, strict=True)))
            for c in getattr(found, name)
        ]
        if rows:
            show_table(f"{title}: state {found.state_id} {found.name}", ["", *versions], rows)
    for sentence in found.sentences():
        say(sentence)
    for text in found.notes:
        note(f"Warning: {text}")


def _with_error(value: float, error: float) -> str:
    if value != value:
        return "-"
    return f"{value:.4g} ± {error:.2g}" if error == error else f"{value:.4g}"


def propagate(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="The version: STATE/N or RUN:N")],
    to: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="A target state, or a run of it; may be repeated")
    ] = None,
    same_arcs: Annotated[
        bool, typer.Option("--same-arcs", help="All other states with the same detector position")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done")] = False,
    author: Annotated[str, typer.Option(help="Who accepts it; default: the login name")] = "",
    comments: Annotated[str, typer.Option(help="What others should know; default: where it came from")] = "",
    applies_to: Annotated[str, typer.Option(help="Runs that it applies to; default: those of the source")] = "",
    as_json: AsJson = False,
) -> None:
    """Save a calibration for other states with the same detector position; `snapcal retire` undoes it."""
    from snapcal_workbench.facility.propagate import propagate as propagate_version

    with step("Propagating", quiet=as_json) as progress:
        done = propagate_version(
            context.obj.load(),
            version,
            to=to or [],
            same_arcs=same_arcs,
            author=author or user_name(),
            comments=comments,
            applies_to=applies_to,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        show_json([asdict(item) | {"added_ppm": item.added_ppm if item.terms_ppm else None} for item in done])
    else:
        _show_propagations(version, done, dry_run)
    if any(item.why_not for item in done):
        raise typer.Exit(StoreError.exit_code)


def _show_propagations(version: str, done: list[Propagation], dry_run: bool) -> None:
    rows = [
        (
            item.state_id,
            item.name,
            item.wavelength,
            f"{item.added_ppm:.0f}" if item.terms_ppm else "",
            ", ".join(f"{name} {value:.0f}" for name, value in (item.terms_ppm or {}).items()),
            "not possible" if item.why_not else "would be saved" if dry_run else f"saved as version {item.version}",
        )
        for item in done
    ]
    columns = ["state", "name", "λ (Å)", "adds (ppm)", "of which", ""]
    show_table(f"Version {version} for other states", columns, rows)
    for item in done:
        for sentence in item.effect:
            say(f"{item.state_id}: {sentence}")
        if item.why_not:
            note(f"Error: state {item.state_id}: {item.why_not}")


def cycles(
    context: typer.Context,
    run: Annotated[int | None, typer.Argument(help="Say of which cycle this run is")] = None,
    as_json: AsJson = False,
) -> None:
    """List the beam cycles, from the settings or the instrument parameters, and the rule for versions of others."""
    from snapcal_workbench.instrument.cycles import cycle_of, known_cycles

    settings = context.obj.load()
    known = known_cycles(settings)
    own = cycle_of(known, run) if run is not None else None
    if as_json:
        listed = [cycle.model_dump() for cycle in known]
        show_json({"cycles": listed, "rule": settings.beyond_cycle, "cycle": own.name if own else None})
        return
    rows = [(cycle.name, cycle.first_run, cycle.last_run or "", cycle.start, cycle.stop) for cycle in known]
    origin = "settings" if settings.cycles else "instrument parameters"
    show_table(f"Beam cycles of the {origin}", ["cycle", "first run", "last run", "from", "to"], rows)
    if not known:
        note("None is known: set `cycles` in the settings, or add one with `snapcal parameters --edit`.")
    rules = {"warn": "counts with a warning", "refuse": "does not count", "allow": "counts"}
    say(f"A version {rules[settings.beyond_cycle]} beyond its cycle (setting beyond_cycle).")
    if run is not None:
        say(f"Run {run} is of cycle {own.name}." if own else f"Run {run} is of no cycle that is known.")


COMMANDS = {
    "states": states,
    "history": history,
    "propagate": propagate,
    "cycles": cycles,
}
