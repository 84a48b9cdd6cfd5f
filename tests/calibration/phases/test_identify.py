"""Which calibrant it is, against injected samples in closed form and against the measured run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.phases.identify import calibrant_index, identify
from snapcal_workbench.calibration.phases.pattern import patterns_of
from snapcal_workbench.calibration.types import GroupParameters, Spectra
from snapcal_workbench.formats.processed import read_processed
from snapcal_workbench.simulation.sample import SampleState
from tests.synthetic_modules import foreign, module_patterns, reflections

CANDIDATES = ("silicon", "CeO2", "LaB6", "diamond", "corundum", "sodium chloride", "copper", "magnesium oxide")
EVERY_THIRD = slice(0, 18, 3)


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("LaB6", "diamond")]


@pytest.mark.parametrize("calibrant", ["silicon", "CeO2", *LONG])
def test_the_calibrant_in_the_beam_comes_first(calibrant: str) -> None:
    """Among eight, with every module misaligned by 0.2 % and the spectra 1 % off altogether."""
    moved = dict.fromkeys(range(18), 0.01)
    cells = module_patterns(1e5, 3, calibrant=calibrant, moved=moved)[EVERY_THIRD]
    found = identify(cells, {name: reflections(name) for name in CANDIDATES})
    assert found.best is not None
    assert found.best.name == calibrant
    assert found.best.explained > 0.95
    assert found.best.missing < 0.02
    assert found.best.shift == pytest.approx(0.01, abs=0.006)
    assert found.ranking[0].index > found.ranking[1].index + 0.08


@pytest.mark.parametrize("counts", [2e2, 2e3])
def test_few_events_are_enough(counts: float) -> None:
    """0.2 % and 2 % of the demonstration's events."""
    cells = module_patterns(counts, 4)
    found = identify(cells, {name: reflections(name) for name in ("silicon", "LaB6", "diamond", "copper")})
    assert found.ranking[0].name == "silicon"
    assert found.ranking[0].fits


def test_silicon_as_diamond_is_told_with_what_speaks_against_it() -> None:
    found = calibrant_index("diamond", module_patterns(1e5, 5)[EVERY_THIRD], reflections("diamond"))
    assert not found.fits
    assert found.explained < 0.25
    assert min(abs(peak.d - 1.9202) for peak in found.unexplained) < 0.08  # silicon's 220 at diamond's best scale
    assert "diamond explains" in found.text


def test_a_crystal_with_more_reflections_is_missing_some() -> None:
    """CeO2 has all reflections of silicon, and 200, 222 and 420 besides."""
    found = calibrant_index("CeO2", module_patterns(1e5, 6)[EVERY_THIRD], reflections("CeO2"))
    assert {m.hkl for m in found.missing_reflections} >= {(2, 0, 0), (4, 2, 0)}
    assert not found.fits


@pytest.mark.parametrize("texture", [0.3, 0.6])
def test_texture_does_not_make_a_calibrant_another(texture: float) -> None:
    """Intensities are off by a factor of two and more, each angle's otherwise."""
    sample = SampleState(texture=texture, seed=2)
    found = calibrant_index("silicon", module_patterns(1e5, 7, sample=sample)[EVERY_THIRD], reflections("silicon"))
    assert found.fits
    assert found.explained > 0.9


@pytest.mark.parametrize(("name", "amount"), [("lead", 0.4), ("copper", 0.4), ("lead", 1.0)])
def test_a_calibrant_under_a_second_phase_is_still_there(name: str, amount: float) -> None:
    sample = SampleState(foreign=(foreign(name, amount),))
    found = calibrant_index("silicon", module_patterns(1e5, 8, sample=sample)[EVERY_THIRD], reflections("silicon"))
    assert found.missing < 0.02
    assert found.explained == pytest.approx(1.0 / (1.0 + amount), abs=0.15)


@pytest.mark.parametrize("background", [0.0, 0.909])
def test_background_of_none_or_ten_times_the_peaks(background: float) -> None:
    found = calibrant_index(
        "silicon", module_patterns(1e5, 9, background=background)[EVERY_THIRD], reflections("silicon")
    )
    assert found.fits


def test_nothing_is_identified_in_a_flat_run() -> None:
    cells = module_patterns(1e4, 10, background=1.0)[EVERY_THIRD]
    found = identify(cells, {name: reflections(name) for name in ("silicon", "LaB6", "copper")})
    assert found.best is None
    silicon = next(one for one in found.ranking if one.name == "silicon")
    assert "no peaks stand out" in silicon.text
    assert "explains" not in silicon.text


def test_the_measured_run_is_of_silicon(reference_data: Path) -> None:
    """SNAP run 58882, six columns that lie 0.03 to 0.7 % off: silicon, and not CeO2 of nearly the same cell."""
    (spectra,) = read_processed(reference_data / "snap_058882_column_dspacing_pixel_calibrated.nxs").values()
    ones, width = np.ones(6), np.array([0.00277, 0.00324, 0.00402, 0.00431, 0.00541, 0.00755])
    parameters = GroupParameters(np.arange(1, 7, dtype=np.int32), ones, ones, ones, ones, ones, width, 15.0, 1.0, 2.0)
    assert isinstance(spectra, Spectra)
    found = identify(patterns_of(spectra, parameters), {name: reflections(name) for name in CANDIDATES})
    assert [r.name for r in found.ranking[:2]] == ["silicon", "CeO2"]
    assert [r.name for r in found.ranking if r.fits] == ["silicon"]
    assert found.ranking[0].explained > 0.93
    assert {m.hkl for m in found.ranking[1].missing_reflections} == {(2, 0, 0), (2, 2, 2), (4, 2, 0)}
