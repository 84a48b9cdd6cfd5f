"""The demonstration: simulate a run with a known misalignment, and calibrate it with the commands of a scientist."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from snapcal_workbench.calibration.types import FitTable, FloatArray
from snapcal_workbench.cli.console import note, say, show_json, show_table, step
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.calibrants import read_calibrant
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Iteration, Session
from snapcal_workbench.session.preview import store_of
from snapcal_workbench.simulation.beamline import beamline_of
from snapcal_workbench.simulation.misalignment import Misalignment
from snapcal_workbench.simulation.model import Defects
from snapcal_workbench.simulation.run import DEFAULT_BACKGROUND, simulate_run, visible_reflections
from snapcal_workbench.simulation.sample import SampleState
from snapcal_workbench.simulation.spectrum import PeakShape
from snapcal_workbench.simulation.tree import SimulatedTree, make_tree
from snapcal_workbench.simulation.truth import GroupErrors, Truth, group_errors

RUN = 58882
CALIBRANT = "Silicon_NIST_640d_001"
TIME_OFFSET = -8.0


@dataclass(frozen=True)
class Simulated:
    """Where a simulated run lies."""

    run_path: Path
    config_path: Path
    truth_path: Path


def simulate_into_tree(
    directory: Path,
    *,
    run: int,
    calibrant: str,
    events: int,
    seed: int,
    time_offset: float,
    peak_shape: str,
    progress: Progress,
    background: float = DEFAULT_BACKGROUND,
    sample: SampleState | None = None,
    moved: Mapping[int, float] | None = None,
    corners: Mapping[int, float] | None = None,
    dead_modules: Sequence[int] = (),
    instrument: str = "SNAP",
) -> Simulated:
    """Simulate a run into an SNS-like tree, which is made where it does not exist; an existing run is kept.

    `sample` says what is in the beam beside an ideal powder of the calibrant, `moved` by how much modules (from 0) were
    moved by hand, as ln(DIFC), `corners` by how much a corner of theirs was, and `dead_modules` which count nothing.

    Raises:
        InputError: The directory holds something else.
        NotFoundError: The tree has no such calibrant.
    """
    beamline = beamline_of(instrument)
    tree = make_tree(directory, beamline=beamline, progress=progress.part(0.0, 0.1))
    found = Simulated(tree.run_path(run), tree.config_path, tree.truth_path(run))
    if found.run_path.is_file() and found.truth_path.is_file():
        progress.inform(f"Run {run} is there already and is used as it is.")
        return found
    known = read_calibrant(calibrant, tree.settings)
    truth = simulate_run(
        found.run_path,
        reflections=visible_reflections(known.cif_text, source=str(known.cif_path)),
        run_number=str(run),
        title=f"{known.name} (simulated)",
        n_events=events,
        seed=seed,
        time_offset=time_offset,
        peak_shape=cast(PeakShape, peak_shape),  # checked there, with a message
        background=background,
        misalignment=Misalignment(seed=seed, moved=moved or {}, corners=corners or {}),
        defects=Defects(dead_modules=tuple(dead_modules)),
        sample=sample,
        beamline=beamline,
        progress=progress.part(0.1, 1.0),
    )
    truth.write(found.truth_path)
    return found


def run_demo(directory: Path, *, events: int) -> None:
    """Run the demonstration in a directory; prints what it does."""
    note(f"The demonstration lives in {directory.absolute()}; delete that folder when you are done.")
    with step("Simulating run 58882 of silicon") as progress:
        simulated = simulate_into_tree(
            directory,
            run=RUN,
            calibrant=CALIBRANT,
            events=events,
            seed=1,
            time_offset=TIME_OFFSET,
            peak_shape="gaussian",
            progress=progress,
        )
    tree = SimulatedTree(user_path(directory).absolute())
    session = Session(EmbeddedHost(tree.settings))
    first = session.folders.next_number()
    config = str(simulated.config_path)
    if not (tree.settings.powder_home / session.identify(session.new_request(runs=(str(RUN),))).state_id).is_dir():
        _command(config, "init-state", str(RUN), "--name", "demonstration")
    _command(config, "state", str(RUN))
    _command(config, "calibrate", str(RUN), "--calibrant", CALIBRANT, "--grouping", "Column", "--model", "DIFC")
    note("One DIFC a group leaves a strain that depends on d; let the criterion choose the model:")
    _command(config, "iterate", "--model", "recommended")
    plots = str(directory / "comparison")
    _command(config, "compare", str(first), str(first + 1), "--plots", plots)
    better = min((first, first + 1), key=lambda number: _strain_spread(session.iteration(number)))
    _command(
        config, "save", str(better), "--comments", f"demonstration, iteration {better}", "--author", "demonstration"
    )
    _command(config, "versions", str(RUN))
    _summary(session, better, Truth.read(simulated.truth_path), directory)


def _command(config: str, *arguments: str) -> None:
    """Run one command of `snapcal` as the shell would, showing it."""
    from snapcal_workbench.cli.app import app

    say(f"\n$ snapcal --config {shlex.quote(config)} {shlex.join(arguments)}", style="bold")
    app(["--config", config, *arguments], standalone_mode=False)


def _strain_spread(iteration: Iteration) -> float:
    return float(np.nanmean(iteration.metrics.strain_std))


def used_peaks(fits: FitTable) -> dict[int, FloatArray]:
    """d-spacings of the used peaks by group."""
    return {int(group): fits.d[(fits.group == group) & fits.used] for group in np.unique(fits.group)}


def errors_before_and_after(
    session: Session, number: int, truth: Truth
) -> tuple[tuple[GroupErrors, ...], tuple[GroupErrors, ...]]:
    """Errors of the pixels of an iteration's start table and of its result, against the truth of native pixels."""
    values = session.folders.values(number)
    own = truth.lite() if session.iteration(number).lite else truth
    grouping, mask, peaks = values["grouping"], values["mask"], used_peaks(values["fit_table"])
    before = group_errors(values["start"], own, grouping, mask, peaks)
    return before, group_errors(values["table"], own, grouping, mask, peaks)


def _summary(session: Session, number: int, truth: Truth, directory: Path) -> None:
    iteration = session.iteration(number)
    before, after = errors_before_and_after(session, number, truth)
    say("\nWhat was saved, against the truth that was injected", style="bold")
    passes = [(f"pass {p.number}", p.median_ppm, p.p95_ppm, p.bound_ppm, p.masked) for p in iteration.passes]
    show_table("Passes", ["", "median |offset| (ppm)", "95 % (ppm)", "bound (ppm)", "masked"], passes)
    metrics = iteration.metrics
    position = {int(group): i for i, group in enumerate(metrics.group)}
    rows = [
        (
            f"{new.group}",
            int(metrics.peaks_used[position[new.group]]),
            1e6 * float(metrics.strain[position[new.group]]),
            float(metrics.sigma[position[new.group]]),
            old.spread_ppm,
            new.bound_ppm,
            new.median_ppm,
            new.spread_ppm,
            new.spread_ppm / new.bound_ppm,
        )
        for old, new in zip(before, after, strict=True)
    ]
    columns = [
        "group",
        "peaks",
        "strain (ppm)",
        "sigma/d",
        "spread before",
        "bound",
        "median error",
        "spread",
        "/ bound",
    ]
    show_table("Groups; spread and error of the pixels in ppm of TOF", columns, rows)
    show_files(session, number, directory)


def show_files(session: Session, number: int, directory: Path) -> None:
    """Say where the newest version, its index entry and the pictures are."""
    store = store_of(session.iteration(number), session.host.settings)
    entry = max(store.entries(), key=lambda entry: entry.version)
    say(f"Saved: {store.folders()[entry.version]}")
    say(f"Index entry in {store.index_path}:")
    show_json(entry.to_json())
    say("Plots:")
    for folder in (session.folders.report(number), directory.absolute() / "comparison"):
        for path in sorted(folder.glob("*.png")) + sorted(folder.glob("*.html")):
            say(f"  {path}")
