"""What else is in the beam: peaks that no reflection of the calibrant explains, and the phases that they belong to.

The peaks of all groups that are at one d are one *foreign peak*. Known phases are tried on them with a free scale of
the cell (`known.COMPRESSION`: a phase under load, or warm): one is *found* when its reflections are where the foreign
peaks are, more than chance would have it, and none of its strong ones is absent. It is put into the fit, what is then
left is looked at again, and so on. Peaks that belong to nothing known are modelled as what they are: peaks at those d.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snapcal_workbench.calibration.phases.explained import CLEAR, Explained, best_shifts, explain
from snapcal_workbench.calibration.phases.identify import shifts_within
from snapcal_workbench.calibration.phases.known import COMPRESSION, AnyPhase, known_phases, strengths
from snapcal_workbench.calibration.phases.pattern import Pattern, coarse_fit
from snapcal_workbench.calibration.types import FloatArray, Reflections
from snapcal_workbench.calibration.types.pattern import Phase
from snapcal_workbench.calibration.types.sample import Foreign, ForeignPeak, FoundPhase

MOST_PHASES = 3
"""So many phases besides the calibrant are looked for; more have not been met, and each one more fits by chance."""
LEAST_SHARE = 0.003
"""A smaller part of the counts in peaks is not worth modelling: 40 % of a phase bend groups by 700 ppm, so this much
bends them by some 5 ppm."""
LEAST_PHASE = 0.01
"""A phase with a smaller part of the counts in peaks is not named: the flanks of a strong run's reflections below
0.75 A leave as much. Its peaks are modelled all the same."""
MATCHED = 0.6
"""Part of the foreign counts that a phase has to explain. Two phases in equal parts leave 0.5 to each; `LEAST_MATCHED`
is then enough."""
LEAST_MATCHED = 0.25
"""As above, for one of several."""
ABSENT = 0.35
"""A phase with more than this part of its own strength absent is not there, nor is one without the strongest of the
reflections that could be seen. Texture of rolled metal hides up to 0.3."""
BY_CHANCE = 0.5
"""A phase must match more than its reflections would by chance, by this part of what chance leaves: one with a
reflection every second width matches anything."""
ALIKE = 0.85
"""Phases that match nearly as well (all fcc metals within 5 % in the cell do) cannot be told apart by their peaks: the
one whose cell is nearest to that of room conditions is named, and the others beside it."""
WEAK = 0.1
"""A reflection with less than this part of the counts that its strength promises is absent; the beam's spectrum and
texture change them by factors of 3 or so."""
OWN_LINES = 0.4
"""A phase with more than this part of its strength at the calibrant's reflections is not looked for: what it would
match are the flanks of the calibrant's own peaks."""
LEAST_PEAKS = 2
"""Peaks that must match: one can be matched by anything."""
SAME_CELL = 1e-3
"""A calibrant of the facility whose reflections are those of a known phase to this relative deviation is that phase."""
RECENTRED = 0.3
"""Largest step, in widths, by which the places are made better when foreign peaks are known: combs are right to 0.1."""
FLANK = 2.0
"""Widths from a reflection within which a foreign peak may be its own flank, while its place is not known well."""
OWN_TOLERANCE = 1.2
"""Widths within which a foreign peak is where a reflection is; their places are known to 0.3."""


def phases_for_fit(foreign: Foreign, d_min: float, d_max: float, company: Sequence[AnyPhase] = ()) -> tuple[Phase, ...]:
    """Phases for the joint fit over a d range (A): those found, and the unknown peaks as one of fixed places.

    `company` is what was looked for besides the known phases.
    """
    known = {phase.name: phase for phase in (*company, *known_phases())}
    fitted = [
        Phase(found.name, known[found.name].reflections(d_min / 1.02, d_max * 1.06), found.scale, 2e-3)
        for found in foreign.phases
    ]
    unknown = np.array(sorted(peak.d for peak in foreign.peaks if not peak.phase))
    if len(unknown):
        ones = np.ones(len(unknown))
        hkl = np.zeros((len(unknown), 3), np.int32)
        fitted.append(Phase("unknown", Reflections(hkl, unknown, ones, ones.astype(np.int32)), 1.0, 1e-4))
    return tuple(fitted)


def foreign_reflections(
    foreign: Foreign, d_min: float, d_max: float, company: Sequence[AnyPhase] = ()
) -> dict[str, FloatArray]:
    """d-spacings (A) of all within a range that is not the calibrant's, by phase or "something unknown"."""
    fitted = phases_for_fit(foreign, d_min, d_max, company)
    names = {"unknown": "something unknown"}
    return {names.get(phase.name, phase.name): phase.reflections.d * phase.factor for phase in fitted}


def find_foreign(
    patterns: Sequence[Pattern],
    groups: Sequence[int],
    reflections: Reflections,
    *,
    company: Sequence[AnyPhase] = (),
    shifts: Mapping[int, float] | None = None,
    scale: float = 0.02,
) -> Foreign:
    """Foreign peaks of the groups' patterns, and the phases that they belong to.

    Args:
        patterns: Of the groups.
        groups: Id of each.
        reflections: Of the calibrant.
        company: Phases that are looked for besides the known ones.
        shifts: ln(d seen / d true) by group where it is known; else it is found within `scale`.
        scale: Largest |shift|.
    """
    strength = strengths(reflections)
    clear, places = [], {}
    for pattern, group in zip(patterns, groups, strict=True):
        if shifts is not None and group in shifts:
            places[group] = shifts[group]
        else:
            found = best_shifts(pattern, reflections.d, strength, shifts_within(scale, pattern.width))[0]
            if found.comb < CLEAR:
                continue
            places[group] = found.shift
        clear.append((group, pattern))
    course = _Course(clear, places, reflections, strength, company)
    course.look()
    if course.share >= LEAST_SHARE:
        course.look()  # with the places that are right beside what the first look found
    for _ in range(MOST_PHASES):
        if course.share < LEAST_SHARE or not course.match():
            break
    return course.result()


class _Course:
    """The phases found so far, and what the calibrant and they leave."""

    def __init__(
        self,
        patterns: Sequence[tuple[int, Pattern]],
        shifts: dict[int, float],
        reflections: Reflections,
        strength: FloatArray,
        company: Sequence[AnyPhase],
    ) -> None:
        self.patterns, self.shifts, self.reflections, self.strength = patterns, shifts, reflections, strength
        self.company = company
        self.phases: list[tuple[AnyPhase, FoundPhase]] = []
        self.first: tuple[ForeignPeak, ...] = ()
        self.left: tuple[ForeignPeak, ...] = ()
        self.found: list[tuple[int, Explained]] = []
        self.width = min((pattern.width for _, pattern in patterns), default=1e-3)

    @property
    def share(self) -> float:
        """Part of the counts in peaks that is not explained yet."""
        return sum(peak.share for peak in self.left)

    @property
    def view(self) -> View:
        """What the groups see of d, and with which part of the counts in peaks."""
        ranges = np.array([pattern.range for _, pattern in self.patterns])
        shifts = np.array([self.shifts[group] for group, _ in self.patterns])
        counts = np.array([one.explained + one.unexplained for _, one in self.found])
        return View(ranges - shifts[:, None], counts / max(counts.sum(), 1e-300), self.width)

    @property
    def d_range(self) -> tuple[float, float]:
        """Of all patterns, A."""
        ranges = [np.exp(np.array(pattern.range) - self.shifts[group]) for group, pattern in self.patterns]
        return float(min(low for low, _ in ranges)), float(max(high for _, high in ranges))

    def look(self) -> None:
        """What is left unexplained now."""
        for (group, pattern), (_, before) in zip(self.patterns, list(self.found), strict=False):
            self.shifts[group] = recentred(pattern, self.reflections.d, before)
        self.found = [(group, self._explain(group, pattern)) for group, pattern in self.patterns]
        self.left = merged_peaks(self.found)

    def _explain(self, group: int, pattern: Pattern) -> Explained:
        d, strength = [self.reflections.d], [self.strength]
        for phase, found in self.phases:
            own = phase.reflections(self.d_range[0] / found.scale, self.d_range[1] / found.scale)
            d.append(own.d * found.scale)
            strength.append(np.zeros(len(own)))  # of a textured phase nothing is promised
        return explain(pattern, np.concatenate(d), np.concatenate(strength), self.shifts[group])

    def match(self) -> bool:
        """Find the phase that explains most of what is left; whether there was one."""
        tried = [(phase, self._matched(phase)) for phase in self._candidates()]
        good = [(phase, match) for phase, match in tried if match is not None and match.share >= LEAST_PHASE]
        for least in (MATCHED, LEAST_MATCHED):
            enough = [(phase, match) for phase, match in good if match.share >= least * self.share]
            if enough:
                break
        else:
            return False
        most = max(match.weight for _, match in enough)
        alike = [entry for entry in enough if entry[1].weight > ALIKE * most]
        alike.sort(key=lambda entry: abs(np.log(entry[1].scale)))
        best, match = alike[0]
        before, self.first = self.share, self.first or self.left
        others = tuple(phase.name for phase, _ in alike[1:])
        self.phases.append((best, FoundPhase(best.name, best.formula, match.scale, match.share, match.absent, others)))
        self.look()
        gained = before - self.share
        if gained < 0.5 * match.share:  # its other reflections do not fit
            self.phases.pop()
            self.look()
            return False
        self.phases[-1] = (best, replace(self.phases[-1][1], share=gained))
        return True

    def _candidates(self) -> list[AnyPhase]:
        taken = {phase.name for phase, _ in self.phases}
        known = [phase for phase in known_phases() if phase.coherent]
        places = [phase.reflections(*self.d_range).d for phase in known]
        new = [phase for phase in self.company if not _among(phase.reflections(*self.d_range).d, places)]
        return [phase for phase in (*known, *new) if phase.name not in taken]

    def _matched(self, phase: AnyPhase) -> _Match | None:
        low, high = self.d_range
        reflections = phase.reflections(low * 0.97, high * 1.06)
        return match_phase(reflections, self.left, np.log(self.reflections.d), self.view)

    def result(self) -> Foreign:
        """All that was found: the peaks as they were before any phase, each with its phase."""
        low, high = self.d_range if self.patterns else (0.5, 1.0)
        peaks = []
        for peak in self.first or self.left:
            names = [
                phase.name
                for phase, found in self.phases
                if np.min(np.abs(np.log(phase.reflections(low * 0.95, high * 1.06).d * found.scale / peak.d)))
                < 1.5 * OWN_TOLERANCE * self.width
            ]
            peaks.append(replace(peak, phase=names[0] if names else ""))
        seen = np.log([peak.d for peak in peaks] or [np.inf])
        new = [peak for peak in self.left if np.min(np.abs(seen - np.log(peak.d))) > 2.0 * self.width]
        peaks = [peak for peak in [*peaks, *new] if peak.phase or peak.share > LEAST_SHARE / 3]
        peaks.sort(key=lambda peak: -peak.share)
        return Foreign(tuple(peaks), tuple(found for _, found in self.phases))


def _among(d: FloatArray, places: Sequence[FloatArray]) -> bool:
    """Whether reflections at d are those of one of several phases."""
    return any(len(other) == len(d) and np.allclose(other, d, rtol=SAME_CELL) for other in places)


def recentred(pattern: Pattern, d: FloatArray, found: Explained) -> float:
    """The shift with the least chi-squared, foreign peaks being in the fit; those at the flanks of d are not."""
    fit = found.fit
    other = fit.place[fit.index < 0]
    own = np.log(d) + fit.shift
    away = np.array([np.min(np.abs(own - x)) > FLANK * pattern.width for x in other], bool)
    extra, shift = other[away], fit.shift
    reach = RECENTRED * pattern.width
    below, middle, above = (coarse_fit(pattern, d, shift + k * reach, extra).chi2 for k in (-1, 0, 1))
    bend = below - 2.0 * middle + above
    step = 0.5 * (below - above) / bend if bend > 0 else float(np.sign(below - above))
    return shift + reach * float(np.clip(step, -1.0, 1.0))


def merged_peaks(found: Sequence[tuple[int, Explained]]) -> tuple[ForeignPeak, ...]:
    """The unexplained peaks of all groups: those at one d as one, the strongest first."""
    total = sum(one.explained + one.unexplained for _, one in found)
    entries = [
        (float(x - one.fit.shift), float(area), one.fit.pattern.width, group)
        for group, one in found
        for x, area, index in zip(one.fit.place, one.fit.area, one.fit.index, strict=True)
        if index < 0 and area > 0
    ]
    merged: list[_Merged] = []
    for x, area, width, group in sorted(entries, key=lambda e: e[2]):  # the sharpest first: they know the place
        near = [m for m in merged if abs(m.x - x) < 1.2 * max(width, m.width)]
        if near:
            min(near, key=lambda m: abs(m.x - x)).add(x, area, width, group)
        else:
            merged.append(_Merged(x, area, width, {group}, area / width**2))
    merged.sort(key=lambda m: -m.area)
    return tuple(
        ForeignPeak(float(np.exp(m.x)), m.area / max(total, 1e-300), tuple(sorted(m.groups)), m.error) for m in merged
    )


@dataclass
class _Merged:
    """A peak of several groups: its place is the mean by what each group's counts tell of it."""

    x: float
    area: float
    width: float
    groups: set[int]
    information: float

    def add(self, x: float, area: float, width: float, group: int) -> None:
        more = area / width**2
        self.x += (x - self.x) * more / (self.information + more)
        self.information += more
        self.area += area
        self.groups.add(group)

    @property
    def error(self) -> float:
        """By the counts, with as many of the background; and never better than a bin of the pattern tells."""
        return float(np.hypot(np.sqrt(2.0 / max(self.information, 1e-300)), 0.1 * self.width))


@dataclass(frozen=True)
class _Match:
    """A phase's scale, the share of the counts that it matches there, and the part of its strength that is absent."""

    scale: float
    share: float
    absent: float

    @property
    def weight(self) -> float:
        """What decides between phases."""
        return self.share * (1.0 - self.absent)


@dataclass(frozen=True, eq=False)
class View:
    """What the groups see.

    ranges: float64[groups, 2], of each, in ln d; part: float64[groups], of all counts in peaks; width: of the sharpest
    peaks.
    """

    ranges: FloatArray
    part: FloatArray
    width: float

    def covered(self, x: FloatArray) -> FloatArray:
        """float64[n]: by which part of the counts places x are seen, three widths from the ends."""
        inside = x[:, None] - self.ranges[:, 0] > 3 * self.width
        return (inside & (self.ranges[:, 1] - x[:, None] > 3 * self.width)) @ self.part


def match_phase(reflections: Reflections, peaks: Sequence[ForeignPeak], own: FloatArray, view: View) -> _Match | None:
    """The scale at which a phase matches foreign peaks best; None where that is no more than chance.

    Args:
        reflections: Of the phase.
        peaks: Foreign peaks.
        own: ln d of the calibrant's reflections, which may hide the phase's.
        view: What the groups see: a reflection that few of them see has few counts.
    """
    if not peaks:
        return None
    width = view.width
    x, share = np.log([peak.d for peak in peaks]), np.array([peak.share for peak in peaks])
    place, strength = np.log(reflections.d), strengths(reflections)
    scales = np.arange(*COMPRESSION, 0.3 * width)
    best, at = _scanned(x, share, place, scales, np.hypot(width, [2.0 * peak.error for peak in peaks]))
    if best <= 0 or not COMPRESSION[0] <= at <= COMPRESSION[1]:
        return None
    place = place + at
    distance = np.abs(x[:, None] - place)
    reach = np.hypot(OWN_TOLERANCE * width, 2.5 * np.array([peak.error for peak in peaks]))
    matched = distance.min(axis=1) < reach
    total = float(share[matched].sum())
    covered = view.covered(place)
    inside, strength = covered > 0, strength * covered
    seen = np.any(distance < 2.0 * reach[:, None], axis=0)
    hidden = np.abs(place[:, None] - own).min(axis=1) < 4.0 * width
    if strength[inside & hidden].sum() > OWN_LINES * strength[inside].sum():
        return None
    counted = inside & (strength > 0.15 * strength[inside].max(initial=0.0)) & (seen | ~hidden)
    found = np.where(distance < 2.0 * reach[:, None], share[:, None], 0.0).sum(axis=0)
    seen &= found > WEAK * total * strength / max(strength[counted].sum(), 1e-300)
    absent = float(strength[counted & ~seen].sum() / max(strength[counted].sum(), 1e-300))
    span = x.max() - x.min() + 2 * width
    filled = min(np.count_nonzero((place > x.min() - width) & (place < x.max() + width)) * 2.4 * width / span, 1.0)
    chance = filled + BY_CHANCE * (1.0 - filled)
    enough = np.count_nonzero(matched) >= LEAST_PEAKS and np.mean(matched[: max(len(place), 6)]) > min(chance, 0.9) / 2
    strongest = int(np.argmax(np.where(counted, strength, -1.0)))
    if not enough or absent > ABSENT or not (counted[strongest] and seen[strongest]):
        return None
    return _Match(float(np.exp(at)), total, absent)


def _scanned(
    x: FloatArray, share: FloatArray, place: FloatArray, scales: FloatArray, width: FloatArray
) -> tuple[float, float]:
    """(matched share, ln scale) where the reflections are nearest to the peaks, by Gaussians of half a width."""
    nearest = np.stack([np.abs(x[:, None] - place - s).min(axis=1) for s in scales])
    score = np.exp(-0.5 * (nearest / (0.5 * OWN_TOLERANCE * width)) ** 2) @ share
    best = int(np.argmax(score))
    at = float(scales[best])
    off = x - place[np.argmin(np.abs(x[:, None] - place - at), axis=1)] - at
    weight = np.where(np.abs(off) < OWN_TOLERANCE * width, share / width**2, 0.0)
    return float(score[best]), at + float(weight @ off / max(weight.sum(), 1e-300))
