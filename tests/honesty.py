"""Runs of known truth that try to deceive the calibration, and how each ends.

A case ends *right* (every group in use within `RIGHT_PPM` at all d, every pixel in use within six of its errors),
*told* (what is not right is masked, refused, or has a verdict that says so), or *silent*: wrong, and nobody told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.phases.known import known_phases
from snapcal_workbench.calibration.types import Calibration, FloatArray
from snapcal_workbench.cli.demo import simulate_into_tree
from snapcal_workbench.errors import CalibrationError
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.misalignment import corner_of
from snapcal_workbench.simulation.sample import ForeignPhase, SampleState
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.simulation.truth import Truth

SILICON, DIAMOND = "Silicon_NIST_640d_001", "Diamond_001"
RUN = 58882
RIGHT_PPM, USABLE_PPM = 100.0, 1000.0
CORNER_PULL = 2.0
"""Largest rms error of a moved corner's pixels, in claimed sigmas: with a background of ten times the peaks, where the
pixels of a corner that moved by 0.2 % hardly say so, it is 0.5 to 1.4 in seven runs."""
D = (0.7, 1.2, 1.9, 3.0)
"""Where groups are compared with the truth, A."""


@dataclass(frozen=True, eq=False)
class Case:
    """A simulated run and how it is calibrated."""

    name: str
    sample: SampleState | None = None
    calibrant: str = SILICON
    measured: str = SILICON
    events: float = 1.0
    background: float = 0.4
    moved: Mapping[int, float] = field(default_factory=dict)
    corners: Mapping[int, float] = field(default_factory=dict)
    dead: tuple[int, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """How a case ended.

    Attributes:
        how: "right", "told" or "silent".
        word: The verdict, or "refused".
        worst_ppm: Largest error of a group in use.
        masked: Part of the pixels that is masked.
        pull: Robust spread of the pixels' errors in claimed sigmas; wrong: pixels in use beyond 6 of them and 0.5 %.
        why: Reasons, or the refusal.
        corner: Rms error of the pixels in moved corners, in claimed sigmas.
    """

    how: str
    word: str
    worst_ppm: float = np.nan
    masked: float = 0.0
    pull: float = np.nan
    wrong: int = 0
    why: str = ""
    corner: float = np.nan


def phase(name: str, amount: float, *, scale: float = 1.0, texture: float = 0.4) -> ForeignPhase:
    """A known phase in the beam, its cell `scale` times that of room conditions."""
    found = next(known for known in known_phases() if known.name == name).reflections(0.3, 20.0)
    return ForeignPhase(replace(found, d=found.d * scale), amount, texture)


def sample(*phases: ForeignPhase, **changes: float) -> SampleState:
    """A sample with phases, texture, strain or broadening."""
    return SampleState(foreign=phases, **changes)  # type: ignore[arg-type] # floats and a seed


CASES = (
    Case("nothing in the way"),
    Case("40 % of fcc 4.951 A", sample(phase("lead", 0.4))),
    Case("40 % of fcc 3.615 A", sample(phase("copper", 0.4))),
    Case("100 % of fcc 4.951 A", sample(phase("lead", 1.0))),
    Case("silicon as diamond", calibrant=DIAMOND),
    Case("silicon as diamond, by force", calibrant=DIAMOND, options={"groups.any_calibrant": True}),
    Case("module moved by 4 %", moved={3: 0.04}),
    Case("module moved by 1.5 %", moved={3: 0.015}),
    Case("module moved by 8 %", moved={3: -0.08}),
    Case("module moved by 16 %", moved={3: 0.16}),
    Case("two modules moved, lead", sample(phase("lead", 0.4)), moved={3: 0.04, 12: -0.05}),
    Case("dead module", dead=(6,)),
    Case("dead group", dead=(0, 1, 2)),
    Case("lead at 3 GPa, 5 %", sample(phase("lead", 0.05, scale=0.975))),
    Case("tungsten carbide and aluminium", sample(phase("tungsten carbide", 0.3), phase("aluminium", 0.2))),
    Case("corundum", sample(phase("corundum", 0.3))),
    Case("iron", sample(phase("iron", 0.3))),
    Case("diamond anvils, diamond as calibrant", sample(phase("silicon", 0.5)), calibrant=DIAMOND, measured=DIAMOND),
    Case("textured", sample(texture=0.6)),
    Case("strained", sample(strain=1e-3)),
    Case("2 % of the events", events=0.02),
    Case("0.2 % of the events", events=0.002),
    Case("background ten times the peaks", background=0.909),
    Case("a corner of a module", corners={3: 0.002}),
    Case("a corner, background ten times the peaks", background=0.909, corners={3: 0.002}),
    Case("only background", background=0.999),
)


def run_case(case: Case, directory: Path, *, events: int, seed: int) -> Ending:
    """Simulate, calibrate as a scientist would, and compare with the truth."""
    simulate_into_tree(
        directory,
        run=RUN,
        calibrant=case.measured,
        events=max(int(events * case.events), 1),
        seed=seed,
        time_offset=0.0,
        peak_shape="gaussian",
        progress=Progress(),
        background=case.background,
        sample=case.sample,
        moved=case.moved,
        corners=case.corners,
        dead_modules=case.dead,
    )
    tree = SimulatedTree(directory.absolute())
    session = Session(EmbeddedHost(tree.settings), directory / "session")
    request = session.new_request(runs=(str(RUN),), calibrant=case.calibrant).changed(
        {"groups.model": "DIFC", **case.options}
    )
    try:
        number = session.calibrate(request, Progress(), report=False).number
    except CalibrationError as error:
        return Ending("told", "refused", why=str(error))
    return ending(session.folders.calibration(number), Truth.read(tree.truth_path(RUN)).lite(), tuple(case.corners))


def ending(found: Calibration, truth: Truth, corners: tuple[int, ...] = ()) -> Ending:
    """How a calibration compares with the truth; `corners` are the modules whose corner was moved."""
    verdict = found.account.verdict
    words = {group.group: group.word for group in verdict.groups}
    worst, silent = 0.0, False
    for group in np.unique(found.grouping.group[~found.mask.masked]).tolist():
        error = group_error(found, truth, group)
        worst = max(worst, error)
        allowed = {"good": RIGHT_PPM, "usable": USABLE_PPM}.get(words.get(group, "good"), np.inf)
        silent |= error > allowed and verdict.savable
    pull, wrong = pixel_errors(found, truth)
    silent |= wrong > 0 and verdict.savable
    corner = corner_pull(found, truth, corners)
    silent |= corner > CORNER_PULL and verdict.savable
    right = worst <= RIGHT_PPM and wrong == 0
    how = "silent" if silent else "right" if right else "told"
    masked = float(np.mean(found.mask.masked))
    return Ending(how, verdict.word, worst, masked, pull, wrong, " ".join(verdict.reasons), corner)


def group_error(found: Calibration, truth: Truth, group: int) -> float:
    """Largest median error (ppm) of a group's pixels in use at the d of `D` that it sees."""
    parameters = found.account.parameters
    row = int(np.flatnonzero(parameters.group == group)[0])
    own = (found.grouping.group == group) & ~found.mask.masked & (truth.information > 0)
    errors = [0.0]
    for d in D:
        if parameters.d_min[row] < d < parameters.d_max[row] and own.any():
            error = predicted(found, d)[own] / (truth.difc[own] * d + truth.tzero[own]) - 1.0
            errors.append(abs(float(np.median(error))) * 1e6)
    return max(errors)


def predicted(found: Calibration, d: float) -> FloatArray:
    """float64[n]: TOF of each pixel at d (A) by a calibration."""
    return found.table.difc * d + found.table.difa * d * d + found.table.tzero


def pixel_errors(found: Calibration, truth: Truth) -> tuple[float, int]:
    """Robust spread of the errors in claimed sigmas, and the number of pixels in use that are plainly wrong."""
    if found.results is None:
        return np.nan, 0
    error, used = within_groups(found, truth)
    pull = error[used] / found.results.sigma[used]
    wrong = (np.abs(pull) > 6.0) & (np.abs(error[used]) > 5e-3)
    return float(1.4826 * np.median(np.abs(pull))), int(np.count_nonzero(wrong))


def corner_pull(found: Calibration, truth: Truth, modules: tuple[int, ...]) -> float:
    """Rms error of the pixels in the corners of some modules, in claimed sigmas; NaN without any."""
    if found.results is None or not modules:
        return np.nan
    error, used = within_groups(found, truth)
    used &= np.any([corner_of(SNAP.lite.layout, module) for module in modules], axis=0)
    return float(np.sqrt(np.mean((error[used] / found.results.sigma[used]) ** 2)))


def within_groups(found: Calibration, truth: Truth) -> tuple[FloatArray, NDArray[np.bool_]]:
    """float64[n], errors of ln DIFC less the median of the group, and bool[n], where they count."""
    error = np.log(found.table.difc / truth.difc)
    used = ~found.mask.masked & (truth.information > 0)
    for group in np.unique(found.grouping.group[used]):
        own = used & (found.grouping.group == group)
        error[own] -= np.median(error[own])
    return error, used
