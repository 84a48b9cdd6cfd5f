"""Which calibrant a run is of, from spectra whose scale is not known well.

Each *cell* is a part of the detector whose pixels hang together (a module, or a group where there are no modules), with
its own shift. Combs say quickly which crystals can fit at all; of the best ones it is then worked out what they explain
of the counts in peaks, what they leave, and which of their strong reflections are not there (see `explained`). The
index of a crystal is made of the sums over all cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.phases.explained import CLEAR, Explained, best_shifts, explain, missing_areas
from snapcal_workbench.calibration.phases.known import strengths
from snapcal_workbench.calibration.phases.pattern import Pattern, comb
from snapcal_workbench.calibration.types import FloatArray, Reflections
from snapcal_workbench.calibration.types.sample import CalibrantIndex, MissingReflection, UnexplainedPeak
from snapcal_workbench.progress import Progress

SCALE = 0.03
"""Largest |shift| at which a calibrant is looked for: four times the misalignment that SNAP has had."""
STEP = 0.4
"""Step of the shifts in widths: at 0.8 a comb can fall between two steps, 0.2 takes twice the time for no more."""
LOOKED_AT = 5
"""So many crystals are looked at closely; on measured silicon the right one led the third best comb by 40 %."""
INDEX_LIMIT = 0.5
"""Below it a crystal is not in the beam, or hidden by others. Measured silicon has 0.98 as silicon, 0.3 to 0.5 as
crystals of large cells that have a reflection near everything, and 0.06 as diamond; silicon under as many counts of a
second phase 0.5 (the second phase is then found, and counts as explained)."""
MISSING_LIMIT = 0.05
"""With a larger part of its counts missing a crystal is not in the beam. CeO2, which has all reflections of silicon and
nearly its cell, misses 0.10 to 0.12 on silicon; the calibrant itself, textured or not, 0.00 to 0.02."""
NAMED = 5
"""So many unexplained and missing reflections are named."""


@dataclass(frozen=True)
class Identification:
    """Crystals by how well they fit a run, the best first."""

    ranking: tuple[CalibrantIndex, ...]

    @property
    def best(self) -> CalibrantIndex | None:
        """The one that fits, if one does."""
        return self.ranking[0] if self.ranking and self.ranking[0].fits else None


def identify(
    cells: Sequence[Pattern],
    candidates: Mapping[str, Reflections],
    *,
    scale: float = SCALE,
    progress: Progress | None = None,
) -> Identification:
    """Rank crystals by how well their reflections fit the spectra of a run.

    Args:
        cells: The spectra, each with its own shift of at most `scale`.
        candidates: Reflections of each crystal, over the d range of the spectra and `scale` beyond.
        scale: Largest |shift|.
        progress: Reported to.
    """
    progress = progress or Progress()
    quick = {name: _quick(cells, reflections, scale) for name, reflections in candidates.items()}
    order = sorted(quick, key=lambda name: -quick[name])
    ranking = []
    for number, name in enumerate(order):
        progress.report(number / len(order), f"Trying {name}")
        if number < LOOKED_AT:
            ranking.append(calibrant_index(name, cells, candidates[name], scale=scale))
        else:
            ranking.append(CalibrantIndex(name, False, np.nan, np.nan, np.nan, quick[name]))
    ranking.sort(key=lambda c: (np.isnan(c.index), not c.fits, -c.index if c.explained >= 0 else 0.0, -c.comb))
    return Identification(tuple(ranking))


def calibrant_index(
    name: str, cells: Sequence[Pattern], reflections: Reflections, *, scale: float = SCALE
) -> CalibrantIndex:
    """How well one crystal fits; arguments as for `identify`."""
    strength = strengths(reflections)
    found, combs = [], []
    for cell in cells:
        (place,) = best_shifts(cell, reflections.d, strength, shifts_within(scale, cell.width))
        found.append(explain(cell, reflections.d, strength, place.shift))
        combs.append(place.comb)
    return index_of(name, found, reflections, float(np.mean(combs)))


def index_of(name: str, found: Sequence[Explained], reflections: Reflections, comb_score: float) -> CalibrantIndex:
    """The index of a crystal from what it explains of each cell."""
    explained = sum(cell.explained for cell in found)
    total = explained + sum(cell.unexplained for cell in found)
    lost = missing_areas(found, len(reflections))
    if total <= 0:
        return CalibrantIndex(name, False, 0.0, 0.0, 0.0, comb_score, faint=True)
    share, missing = explained / total, float(lost.sum() / max(explained + lost.sum(), 1e-300))
    return CalibrantIndex(
        name=name,
        fits=comb_score >= CLEAR and share * (1.0 - missing) >= INDEX_LIMIT and missing <= MISSING_LIMIT,
        explained=share,
        missing=missing,
        shift=float(np.median([cell.fit.shift for cell in found])),
        comb=comb_score,
        counts=total,
        unexplained=_strongest_unexplained(found, total),
        missing_reflections=_strongest_missing(lost, reflections, total),
        # without peaks there is nothing unexplained either, and the share says nothing
        faint=comb_score < CLEAR and share >= INDEX_LIMIT,
    )


def shifts_within(scale: float, width: float) -> FloatArray:
    """Shifts to try for a peak width."""
    steps = int(np.ceil(scale / (STEP * width)))
    return np.linspace(-scale, scale, 2 * steps + 1)


def _quick(cells: Sequence[Pattern], reflections: Reflections, scale: float) -> float:
    weight = strengths(reflections) ** 0.25
    best = [comb(cell, reflections.d, weight, shifts_within(scale, cell.width)).max() for cell in cells]
    return float(np.mean(best)) if best else 0.0


def _strongest_unexplained(found: Iterable[Explained], total: float) -> tuple[UnexplainedPeak, ...]:
    """Unexplained peaks of all cells, those nearer to each other than the wider one's width and a half as one."""
    peaks = [
        (float(x - cell.fit.shift), float(area), cell.fit.pattern.width)
        for cell in found
        for x, area, index in zip(cell.fit.place, cell.fit.area, cell.fit.index, strict=True)
        if index < 0 and area > 0
    ]
    merged: list[list[float]] = []
    for x, area, width in sorted(peaks, key=lambda p: -p[1]):
        near = next((m for m in merged if abs(m[0] - x) < 1.5 * max(width, m[2])), None)
        if near is None:
            merged.append([x, area, width])
        else:
            near[0] += (x - near[0]) * area / (near[1] + area)
            near[1] += area
    merged.sort(key=lambda m: -m[1])
    return tuple(UnexplainedPeak(float(np.exp(x)), area / total) for x, area, _ in merged[:NAMED])


def _strongest_missing(lost: FloatArray, reflections: Reflections, total: float) -> tuple[MissingReflection, ...]:
    order = [k for k in np.argsort(-lost)[:NAMED] if lost[k] > 0]
    return tuple(
        MissingReflection(
            (int(reflections.hkl[k][0]), int(reflections.hkl[k][1]), int(reflections.hkl[k][2])),
            float(reflections.d[k]),
            float(lost[k] / total),
        )
        for k in order
    )
