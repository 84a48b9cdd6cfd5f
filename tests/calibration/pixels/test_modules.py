"""Modules that have moved, against injected moves in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.pixels.modules import cells_of, find_cells
from snapcal_workbench.calibration.types import Geometry, PixelGrouping, PixelLayout
from snapcal_workbench.calibration.types.sample import CellShift
from snapcal_workbench.simulation.sample import SampleState
from tests.synthetic_modules import foreign, module_patterns, reflections

NUMBERS = np.arange(1, 19, dtype=np.int32)


def found(counts: float, seed: int, **changes: object) -> list[CellShift]:
    patterns = module_patterns(counts, seed, **changes)  # type: ignore[arg-type]
    return find_cells(patterns, NUMBERS, reflections("silicon"), max_shift=0.02)[0]


@pytest.mark.parametrize("counts", [600.0, 1e5])
@pytest.mark.parametrize("move", [-0.08, *(pytest.param(move, marks=pytest.mark.long) for move in (-0.04, 0.04, 0.08))])
def test_moved_modules_are_found_and_the_others_stay(counts: float, move: float) -> None:
    cells = found(counts, 1, moved={3: move, 10: move, 17: move})
    for cell in cells:
        moved = cell.cell - 1 in (3, 10, 17)
        assert cell.finding == ("moved" if moved else "stays")
        assert cell.shift == pytest.approx(move if moved else 0.0, abs=0.009)  # 0.2 % misalignment of every module


def test_a_module_beyond_the_search_is_lost_and_not_moved_to_other_peaks() -> None:
    cells = found(1e5, 2, moved={5: 0.16, 11: -0.15})
    assert [cell.cell - 1 for cell in cells if cell.finding == "lost"] == [5, 11]
    assert not [cell for cell in cells if cell.finding == "moved"]


@pytest.mark.parametrize("counts", [1e5, pytest.param(3e6, marks=pytest.mark.long)])
def test_an_aligned_module_on_other_reflections_is_lost(counts: float) -> None:
    """Silicon moved by 0.11 to 0.2 has some of its reflections on others: alone that may pass for a poor fit."""
    moved = {2: -0.194, 4: 0.11, 5: 0.182, 8: 0.12, 11: -0.15, 14: 0.2, 16: 0.164}
    patterns = module_patterns(counts, 1, moved=moved)
    cells, _ = find_cells(patterns, NUMBERS, reflections("silicon"), max_shift=0.02, usual=1.0)
    assert [cell.cell - 1 for cell in cells if cell.finding == "lost"] == sorted(moved)


def test_an_aligned_module_in_its_place_stays_beside_a_second_phase() -> None:
    sample = SampleState(foreign=(foreign("lead", 1.0),))
    patterns = module_patterns(1e5, 3, sample=sample)
    cells, _ = find_cells(patterns, NUMBERS, reflections("silicon"), max_shift=0.02, usual=0.6)
    assert {cell.finding for cell in cells} == {"stays"}


def test_a_module_without_peaks_stays_as_it_is() -> None:
    cells = found(1e4, 3, background=1.0)
    assert {cell.finding for cell in cells} == {"cannot tell"}


def test_a_module_that_hides_its_peaks_where_the_others_show_them_is_lost_and_a_faint_one_is_not() -> None:
    """As where a module was carried so far that it turned, and its pixels see the same peaks at different places."""
    patterns = list(module_patterns(1e5, 6))
    without = module_patterns(1e5, 7, background=1.0)
    faint = module_patterns(1e3, 8, background=1.0)
    patterns[4], patterns[9] = without[4], faint[9]
    cells = find_cells(patterns, NUMBERS, reflections("silicon"), max_shift=0.02)[0]
    assert {cell.cell: cell.finding for cell in cells if cell.finding != "stays"} == {5: "lost", 10: "cannot tell"}


@pytest.mark.parametrize("counts", [600.0, 2e4])
def test_modules_full_of_another_crystal_are_never_moved(counts: float) -> None:
    cells = found(counts, 4, calibrant="diamond")
    assert {cell.finding for cell in cells} <= {"lost", "cannot tell"}


def test_a_second_phase_does_not_move_modules() -> None:
    sample = SampleState(foreign=(foreign("lead", 1.0),))
    cells = found(3e4, 5, sample=sample, moved={2: 0.05})
    assert [cell.cell - 1 for cell in cells if cell.finding == "moved"] == [2]
    assert not [cell for cell in cells if cell.finding == "lost"]


def test_cells_are_modules_where_there_are_some() -> None:
    detid = np.arange(8, dtype=np.int32)
    module, x, y = (np.array(v, np.int16) for v in ([0, 0, 0, 0, 1, 1, 1, 1], [0, 1] * 4, [0, 0, 1, 1] * 2))
    layout = PixelLayout(module, x, y, 2)
    grouping = PixelGrouping(detid, np.array([1, 1, 1, 1, 1, 1, 0, 0], np.int32))
    angles = np.ones(8), np.ones(8), np.ones(8)
    with_layout = Geometry(detid, 15.0, *angles, layout)
    without = Geometry(detid, 15.0, *angles)
    np.testing.assert_array_equal(cells_of(with_layout, grouping).group, [1, 1, 1, 1, 2, 2, 0, 0])
    assert cells_of(without, grouping) is grouping
