"""Parts of the detector that are far from where they should be: found by the calibrant's reflections.

The pixel step compares pixels with each other, within `max_shift`. A module that has moved further would be aligned to
the wrong peaks. So before the first pass each module (or each group, where an instrument has no modules) is compared
with the reflections themselves, over `SEARCH` in scale, and

- *stays* where its shift is within half of what the pixel step searches, or where its counts cannot tell;
- is *moved*: its pixels start from a DIFC that is exp(shift) times larger; or
- is *lost*: it has peaks, and they are not the calibrant's at any scale; or it has none, where the other modules have
  clear ones with as many counts (one that is carried far turns, so that its pixels no longer agree). Its pixels are
  masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from snapcal_workbench.calibration.phases.explained import CLEAR, Explained, Place, best_shifts, explain
from snapcal_workbench.calibration.phases.identify import shifts_within
from snapcal_workbench.calibration.phases.known import strengths
from snapcal_workbench.calibration.phases.pattern import Pattern, significance
from snapcal_workbench.calibration.types import Geometry, IntArray, PixelGrouping, Reflections
from snapcal_workbench.calibration.types.sample import CellFinding, CellShift

SEARCH = 0.10
"""Largest |shift|. Modules were found up to 4 % off. Beyond 0.12 some crystals (fcc: 331 for 400) begin to fit a
reflection further on."""
CHANCE = 4.0
"""A comb that is no better than that fits by chance, see `CLEAR`. Of 54 modules full of another crystal 21 are not
called lost, at half of it 53; at twice 6 of some 320 that are on the pattern are called lost, not 1."""
CLEARLY = 1.3
"""A comb that is smaller than the best by this factor is no rival to it. Beside as many counts of another phase 8 of
162 modules are moved to a wrong place; with 1.2 and 1.6 it is 9 and 5, and with 1.6 one more that moved is left."""
RIVALS = 3
"""So many of the best shifts are looked at closely: under a second phase of as many counts the right one was always
among the first two. With one 19 of 162 modules are moved to a wrong place, not 8; with six it is 8 as well."""
RIVAL = 0.8
"""A second shift that explains this part of what the best explains, and lies where the pixel step searches anyway,
leaves the module where it is. At half of it the results are the same; without it (twice) 18 of the 162 go wrong."""
LEAST_EXPLAINED = 0.25
"""With less explained of the counts in peaks a module is not on the pattern; with a second phase of as many counts as
the calibrant the right shift explains 0.4 to 0.6, a wrong one of silicon alone 0.05 to 0.2."""
SURE = 6.0
"""A comb below which a module is asked again when its pixels are aligned. Silicon moved by 0.16 to 0.2 has reflections
on others of its own: combs of 4 to 5.2 that explain 0.3 to 0.5 of what the other modules do (`LESS`)."""
LESS = 0.6
"""Of what the reflections explain of a usual module. Right modules of six pairs of phases, as many or twice the counts
in the other one, had 0.64 or more, or a comb above 7."""
PEAKS = 3
"""A spectrum with fewer clear peaks does not say that it is of something else."""
CLEAR_PEAK = 8.0
"""Significance of a clear peak."""
EXPECTED = 2.0 * CHANCE
"""A module whose comb should be this good by its counts, and is no better than chance, does not show the calibrant. At
half of it every other module that should just be seen is lost by chance; at twice one of a run of three million events
is taken for faint: the combs of its modules are 13 to 19."""
WITNESSES = 3
"""So many modules with clear combs say what is to be expected: with two one of them may be wrong."""


def cells_of(geometry: Geometry, grouping: PixelGrouping) -> PixelGrouping:
    """The parts of the detector that can move as one: modules, or groups where there are none; only grouped pixels."""
    if geometry.layout is None:
        return grouping
    cell = np.where(grouping.group > 0, geometry.layout.module.astype(np.int32) + 1, 0)
    return PixelGrouping(grouping.detid, cell.astype(np.int32), name="modules")


def find_cells(
    patterns: Sequence[Pattern],
    number: IntArray,
    reflections: Reflections,
    *,
    max_shift: float,
    usual: float | None = None,
) -> tuple[list[CellShift], list[Explained]]:
    """Where the cells are, and what the reflections explain of each.

    Args:
        patterns: Of the cells, focused with the table that the calibration starts from.
        number: Of each.
        reflections: Of the calibrant, over the d range of the patterns and `SEARCH` beyond.
        max_shift: What the pixel step searches.
        usual: What the reflections explain of a usual module, given for cells whose pixels are aligned with each other.
            Clear peaks then say where they are: a cell that fits elsewhere, or far worse than usual, is lost.
    """
    strength = strengths(reflections)
    shifts, explained = [], []
    for pattern, cell in zip(patterns, number, strict=True):
        tried = shifts_within(SEARCH, pattern.width)
        places = best_shifts(pattern, reflections.d, strength, tried, RIVALS)
        rivals = [
            _Rival(place, explain(pattern, reflections.d, strength, place.shift))
            for place in places
            if place.comb >= places[0].comb / CLEARLY
        ]
        best = max(rivals, key=lambda rival: rival.share)
        found = _finding(pattern, best, rivals, max_shift, usual)
        shifts.append(CellShift(int(cell), found, best.place.shift, best.place.comb, best.share))
        explained.append(best.explained)
    return _without_peaks(shifts, patterns), explained


def _without_peaks(shifts: Sequence[CellShift], patterns: Sequence[Pattern]) -> list[CellShift]:
    """The findings, with those modules lost that by their counts should show the calibrant and do not."""
    root = np.sqrt([pattern.total for pattern in patterns])
    clear = [cell.comb / counts for cell, counts in zip(shifts, root, strict=True) if cell.comb >= CLEAR]
    if len(clear) < WITNESSES:
        return list(shifts)
    expected = root * float(np.median(clear))  # a comb is a significance
    return [
        replace(cell, finding="lost") if cell.comb < CHANCE and should >= EXPECTED else cell
        for cell, should in zip(shifts, expected, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Rival:
    place: Place
    explained: Explained

    @property
    def share(self) -> float:
        """Part of the counts in peaks that is explained."""
        total = self.explained.explained + self.explained.unexplained
        return self.explained.explained / max(total, 1e-300)


def _finding(
    pattern: Pattern, best: _Rival, rivals: Sequence[_Rival], max_shift: float, usual: float | None
) -> CellFinding:
    near = [rival for rival in rivals if abs(rival.place.shift) <= max_shift / 2]
    if usual is not None and clear_peaks(pattern) >= PEAKS:
        worse = best.place.comb < SURE and best.share < LESS * usual
        return "stays" if near and not worse else "lost"
    if best.place.comb < CLEAR or best.share < LEAST_EXPLAINED:
        chance = best.place.comb < CHANCE or best.share < LEAST_EXPLAINED
        return "lost" if chance and clear_peaks(pattern) >= PEAKS else "cannot tell"
    if best in near:
        return "stays"
    return "cannot tell" if any(rival.share > RIVAL * best.share for rival in near) else "moved"


def is_doubtful(cell: CellShift) -> bool:
    """Whether a cell is to be asked again when its pixels are aligned."""
    return cell.finding == "cannot tell" or (cell.finding == "moved" and cell.comb < SURE)


def clear_peaks(pattern: Pattern) -> int:
    """Number of clear peaks of a pattern."""
    z = significance(pattern)
    return int(np.count_nonzero((z > CLEAR_PEAK) & (z >= np.roll(z, 1)) & (z > np.roll(z, -1))))
