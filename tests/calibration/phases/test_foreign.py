"""Other phases in the beam, found among those that are known, against injected ones in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.phases.foreign import View, find_foreign, match_phase, phases_for_fit
from snapcal_workbench.calibration.phases.known import AnyPhase, FacilityPhase, known_phases, strengths
from snapcal_workbench.calibration.phases.pattern import patterns_of
from snapcal_workbench.calibration.types import GroupParameters, Spectra
from snapcal_workbench.calibration.types.sample import Foreign, ForeignPeak
from snapcal_workbench.formats.processed import read_processed
from snapcal_workbench.simulation.sample import SampleState
from tests.synthetic_modules import LAB6, foreign, module_patterns, phase, reflections

OFTEN = ("lead", "tungsten carbide")
OTHERS = [p.name for p in known_phases() if p.coherent and p.name not in (*OFTEN, "silicon")]


def look(
    counts: float, *others: tuple[str, float, float], seed: int = 2, company: tuple[AnyPhase, ...] = ()
) -> Foreign:
    """What is found in six modules, one a column: (name, amount, scale of the cell) of each phase."""
    sample = SampleState(foreign=tuple(foreign(name, amount, scale=scale) for name, amount, scale in others), seed=seed)
    patterns = module_patterns(counts, seed, sample=sample)[::3]
    return find_foreign(patterns, range(1, 7), reflections("silicon"), company=company)


@pytest.mark.parametrize("name", [*OFTEN, *(pytest.param(name, marks=pytest.mark.long) for name in OTHERS)])
def test_a_known_phase_is_found_by_its_name(name: str) -> None:
    """30 % of the calibrant's counts: the phase or one that cannot be told from it, and nearly all its counts."""
    found = look(1e5, (name, 0.3, 1.0))
    assert len(found.phases) == 1
    assert name in (found.phases[0].name, *found.phases[0].alternatives)
    assert found.phases[0].scale == pytest.approx(1.0, abs=0.004)
    assert 0.12 < found.share < 0.28  # 0.23 less what is hidden under the calibrant's reflections
    assert found.unknown < 0.07


@pytest.mark.parametrize("scale", [0.96, pytest.param(0.985, marks=pytest.mark.long)])
def test_a_phase_under_pressure_is_found_with_its_cell(scale: float) -> None:
    found = look(1e5, ("lead", 0.4, scale))
    assert [phase.name for phase in found.phases] == ["lead"]
    assert found.phases[0].scale == pytest.approx(scale, abs=0.004)


def test_two_phases_are_found() -> None:
    """A calibrant of the facility that is one of the known phases is not said to be something else."""
    company = (FacilityPhase("copper again", phase("copper").cif),)
    found = look(1e5, ("lead", 0.3, 1.0), ("copper", 0.3, 1.0), company=company)
    assert {phase.name for phase in found.phases} == {"lead", "copper"}
    assert "copper again" not in [name for phase in found.phases for name in phase.alternatives]
    assert found.unknown < 0.07


@pytest.mark.parametrize("counts", [300.0, 2e3])
def test_few_events_are_enough(counts: float) -> None:
    assert "lead" in [phase.name for phase in look(counts, ("lead", 0.4, 1.0)).phases]


@pytest.mark.parametrize("counts", [300.0, 1e5, 1e6])
def test_a_pure_calibrant_has_no_company(counts: float) -> None:
    found = look(counts)
    assert not found.phases
    assert found.unknown < 0.02  # what the flanks of the reflections below 0.75 A leave


def test_peaks_of_an_unknown_phase_are_listed_and_go_into_the_fit() -> None:
    """LaB6 is not among the known phases: its strong peaks are found where they are, and modelled there."""
    found = look(1e5, ("LaB6", 0.3, 1.0))
    assert not found.phases
    assert found.unknown > 0.12
    strong = [peak.d for peak in found.peaks[:4]]
    for d in strong:
        assert np.min(np.abs(reflections("LaB6").d / d - 1.0)) < 0.004
    (phase,) = phases_for_fit(found, 0.6, 4.0)
    assert phase.name == "unknown"
    assert set(strong) <= set(phase.reflections.d)
    assert (np.diff(phase.reflections.d) > 0).all()


def test_a_calibrant_of_the_facility_is_found_by_its_name() -> None:
    company = (FacilityPhase("NIST LaB6", LAB6.cif),)
    found = look(1e5, ("LaB6", 0.3, 1.0), company=company)
    assert [entry.name for entry in found.phases] == ["NIST LaB6"]
    assert found.unknown < 0.07
    assert phases_for_fit(found, 0.6, 4.0, company)[0].name == "NIST LaB6"


def test_a_reflection_that_few_groups_see_may_be_weak() -> None:
    """Silicon's 111, strong by itself, lies in the range of a group with a twentieth of the counts."""
    view = View(np.log([[0.7, 2.5], [0.7, 5.0]]), np.array([0.95, 0.05]), 0.003)
    silicon = phase("silicon").reflections(0.9, 4.0)
    share = strengths(silicon) * view.covered(np.log(silicon.d))
    peaks = [
        ForeignPeak(float(d), float(part / share.sum() / 3.0), (1, 2), 1e-4)
        for d, part in zip(silicon.d, share, strict=True)
    ]
    own = np.log([2.06, 1.26, 1.075])
    match = match_phase(silicon, peaks, own, view)
    assert match is not None
    assert match.absent == 0.0
    assert match_phase(silicon, peaks, own, View(view.ranges[1:], np.ones(1), 0.003)) is None


def test_phases_go_into_the_fit_with_all_their_reflections() -> None:
    found = look(1e5, ("lead", 0.4, 0.98))
    phase = phases_for_fit(found, 0.6, 4.0)[0]
    assert (phase.name, phase.factor) == ("lead", found.phases[0].scale)
    assert np.min(np.abs(phase.reflections.d * phase.factor / (0.98 * 4.9505 / np.sqrt(3.0)) - 1.0)) < 0.004


@pytest.mark.parametrize(
    "name", ["snap_058882_column_dspacing_pixel_calibrated.nxs", "snap_057514_column_dspacing_calibrated.nxs"]
)
def test_measured_silicon_has_no_company(reference_data: Path, name: str) -> None:
    """With 3e7 counts a group, a background that no spline follows exactly, and a moderator's tails."""
    (spectra,) = read_processed(reference_data / name).values()
    ones, width = np.ones(6), np.array([0.00277, 0.00324, 0.00402, 0.00431, 0.00541, 0.00755])
    parameters = GroupParameters(np.arange(1, 7, dtype=np.int32), ones, ones, ones, ones, ones, width, 15.0, 1.0, 2.0)
    assert isinstance(spectra, Spectra)
    found = find_foreign(patterns_of(spectra, parameters), range(1, 7), reflections("silicon"))
    assert not found.phases
    assert found.unknown < 0.005
