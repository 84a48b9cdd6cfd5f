"""Commands about settings, runs and instrument states: config, state, init-state, simulate, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapcal_workbench.cli.common import AsJson, Runs, user_name
from snapcal_workbench.cli.console import note, say, say_fields, show_json, show_table, step

if TYPE_CHECKING:
    from snapcal_workbench.store.summary import RunSummary


def config(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every effective setting, and where it comes from."""
    settings = context.obj.load()
    origins = settings.origins()
    values = {name: _plain(value) for name, value in settings.effective().items()}
    if as_json:
        show_json({name: {"value": value, "from": origins[name]} for name, value in values.items()})
    else:
        rows = [(name, "" if value is None else str(value), origins[name]) for name, value in values.items()]
        show_table("Settings", ["setting", "value", "from"], rows)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _in_words(found: RunSummary) -> dict[str, str]:
    """What was found about a run, by what it is called."""
    logs = [f"{name} = {value:g}" for name, value in found.state_values.items()]
    known = "initialised" if found.state_exists else "not initialised, see snapcal init-state"
    return {
        "run": found.run_number,
        "title": found.title,
        "start": found.start_time,
        "proton charge": f"{found.proton_charge:.4g} µAh",
        "events": "unknown" if found.events is None else f"{found.events:,}",
        "state": f"{found.state_id} ({', '.join(text for text in (found.state_name, known) if text)})",
        "from the logs": "\n".join(logs),
        "IPTS": found.ipts,
        "files": "\n".join(found.files),
        "groupings": ", ".join(found.groupings) or "none",
        "versions": _versions(found),
    }


def _versions(found: RunSummary) -> str:
    """How many versions were saved, and which one applies to each run."""
    from snapcal_workbench.store.effect import version_text

    if not found.state_exists:
        return "none"
    retired = f", {found.n_retired} of them retired" if found.n_retired else ""
    saved = f"{found.n_versions} saved{retired}" if found.n_versions else "only the default"
    applying = (f"{version_text(version)} applies to run {run}" for run, version in found.applies.items())
    return "; ".join([saved, *applying])


def state(
    context: typer.Context,
    runs: Runs,
    native: Annotated[bool, typer.Option("--native", help="Look at native calibrations instead of lite ones")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is known of a run: its files, its instrument state, groupings and versions."""
    from snapcal_workbench.instrument.identifying import run_request
    from snapcal_workbench.options import Request
    from snapcal_workbench.store.summary import summarise_run

    settings = context.obj.load()
    found = summarise_run(run_request(Request(runs=tuple(runs), lite=not native), settings), settings, count=True)
    if as_json:
        show_json(found.model_dump(mode="json"))
        return
    say_fields(list(_in_words(found).items()), width=14)
    for warning in found.warnings:
        note(f"Warning: {warning}")


def init_state_command(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="A run of the state")],
    name: Annotated[str, typer.Option(help="A name for the state that people recognise")],
    author: Annotated[str, typer.Option(help="Who initialises it; default: the login name")] = "",
    mode_level: Annotated[
        bool | None,
        typer.Option(
            "--mode-level/--no-mode-level",
            help="For the first state of a tree: a lite or native level, without which today's SNAPRed reads nothing",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Initialise an instrument state: its folder, grouping map and default calibration, all or nothing."""
    from snapcal_workbench.instrument.identifying import identify_run, run_request
    from snapcal_workbench.options import Request
    from snapcal_workbench.store.layout import with_answer
    from snapcal_workbench.store.state_init import init_state

    settings = with_answer(context.obj.load(), mode_level)
    found = identify_run(run_request(Request(runs=(run,)), settings), settings)
    with step("Initialising the state", quiet=as_json) as progress:
        path = init_state(
            settings,
            found.state,
            name=name,
            run_number=found.info.run_number,
            author=author or user_name(),
            progress=progress,
        )
    if as_json:
        show_json({"state_id": found.state.state_id, "path": str(path)})
    else:
        say(f"State {found.state.state_id} ({name}) is initialised in {path}")


def simulate(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Where the SNS-like tree is made, or exists")],
    run: Annotated[int, typer.Option(help="Run number")] = 58882,
    calibrant: Annotated[str, typer.Option(help="Calibrant sample of the tree")] = "Silicon_NIST_640d_001",
    events: Annotated[float, typer.Option(help="Number of events")] = 1.2e7,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers")] = 1,
    time_offset: Annotated[float, typer.Option(help="TZERO of every pixel, us")] = -8.0,
    peak_shape: Annotated[str, typer.Option(help="gaussian or back-to-back")] = "gaussian",
    background: Annotated[float, typer.Option(help="Share of the events that are background")] = 0.4,
    foreign: Annotated[
        list[str] | None,
        typer.Option(metavar="PHASE:AMOUNT", help="Another phase in the beam, as lead:0.4 of the calibrant's peaks"),
    ] = None,
    texture: Annotated[float, typer.Option(help="Rms of ln(intensity) of the calibrant's reflections")] = 0.0,
    strain: Annotated[float, typer.Option(help="Rms relative change of d of the calibrant's reflections")] = 0.0,
    moved: Annotated[
        list[str] | None, typer.Option(metavar="MODULE:CHANGE", help="A module moved by hand, as 4:0.04 of its DIFC")
    ] = None,
    dead: Annotated[list[int] | None, typer.Option("--dead-module", help="A module (from 1) that is off")] = None,
) -> None:
    """Simulate a run of the instrument with a known misalignment into an SNS-like tree."""
    from snapcal_workbench.cli.demo import simulate_into_tree
    from snapcal_workbench.cli.simulating import module_index, moved_modules, sample_of
    from snapcal_workbench.simulation.beamline import beamline_of

    instrument = context.obj.load().instrument
    modules = len(beamline_of(instrument).instrument.banks)

    with step("Simulating", quiet=False) as progress:
        found = simulate_into_tree(
            directory,
            run=run,
            calibrant=calibrant,
            events=int(events),
            seed=seed,
            time_offset=time_offset,
            peak_shape=peak_shape,
            progress=progress,
            background=background,
            sample=sample_of(foreign or [], texture=texture, strain=strain, seed=seed),
            moved=moved_modules(moved or [], modules),
            dead_modules=[module_index(str(number), modules) for number in dead or []],
            instrument=instrument,
        )
    note("The truth, for tests only:")
    say(f"run: {found.run_path}\nsettings: {found.config_path}\ntruth: {found.truth_path}")


def demo(
    directory: Annotated[Path, typer.Option(help="Where the tree, the session and the plots go")] = Path(
        "snapcal-demo"
    ),
    events: Annotated[float, typer.Option(help="Number of simulated events")] = 1.2e7,
) -> None:
    """Calibrate a simulated silicon run from beginning to end, as a scientist would."""
    from snapcal_workbench.cli.demo import run_demo

    run_demo(directory, events=int(events))


COMMANDS = {
    "config": config,
    "state": state,
    "init-state": init_state_command,
    "simulate": simulate,
    "demo": demo,
}
