"""What was found in the beam: whether it is the calibrant, what else there is, and which modules are where.

d-spacings are in Angstrom; a *share* is a part of all counts in Bragg peaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CellFinding = Literal["stays", "moved", "lost", "cannot tell"]


@dataclass(frozen=True)
class UnexplainedPeak:
    """A peak that no reflection explains."""

    d: float
    share: float


@dataclass(frozen=True)
class MissingReflection:
    """A reflection that should be there and is not; share: what it should have."""

    hkl: tuple[int, int, int]
    d: float
    share: float


@dataclass(frozen=True)
class CalibrantIndex:
    """How well a crystal fits a run.

    Attributes:
        name: Of the crystal.
        fits: Whether the run can be of this crystal.
        explained: Part of the counts in peaks that its reflections explain; NaN if it was not looked at closely.
        missing: Part of the counts of its reflections that should be there and are not; NaN as above.
        shift: Median over the cells of ln(d seen / d expected).
        comb: Mean over the cells of the best comb, in standard deviations of combs that fit nothing.
        counts: Counts in peaks.
        unexplained: The strongest, descending.
        missing_reflections: The strongest, descending.
        faint: Whether no peaks stand out, so that what is explained is noise.
    """

    name: str
    fits: bool
    explained: float
    missing: float
    shift: float
    comb: float
    counts: float = 0.0
    unexplained: tuple[UnexplainedPeak, ...] = ()
    missing_reflections: tuple[MissingReflection, ...] = ()
    faint: bool = False

    @property
    def index(self) -> float:
        """Explained times what is not missing: 1 for the right crystal alone in the beam; NaN if not looked at."""
        return self.explained * (1.0 - self.missing)

    @property
    def text(self) -> str:
        """The figures in words."""
        if self.faint:
            return f"no peaks stand out of the background, neither where {self.name} has reflections nor elsewhere"
        if self.explained != self.explained:
            return f"{self.name}: no comb of its reflections fits"
        text = f"{self.name} explains {self.explained:.0%} of the counts in peaks"
        if self.unexplained:
            text += ", not those at d = " + ", ".join(f"{p.d:.3f} A ({p.share:.1%})" for p in self.unexplained)
        if self.missing_reflections:
            names = (f"{''.join(map(str, m.hkl))} ({m.d:.3f} A)" for m in self.missing_reflections)
            text += "; its reflections " + ", ".join(names) + f" are missing ({self.missing:.0%})"
        return text


@dataclass(frozen=True)
class ForeignPeak:
    """A peak that the calibrant does not explain.

    Attributes:
        d: A.
        share: Part of all counts in peaks.
        groups: Ids of the groups in which it was seen.
        error: Relative standard error of d.
        phase: Name of the phase that it belongs to; "" for none that is known.
    """

    d: float
    share: float
    groups: tuple[int, ...]
    error: float
    phase: str = ""


@dataclass(frozen=True)
class FoundPhase:
    """A known phase in the beam.

    Attributes:
        name: Of the phase; formula: chemical.
        scale: Its cell against that of room conditions.
        share: Its part of all counts in peaks.
        absent: Part of its strength that should be there and is not (texture).
        alternatives: Names of other phases that match as well.
    """

    name: str
    formula: str
    scale: float
    share: float
    absent: float
    alternatives: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In words."""
        other = f" (or {', '.join(self.alternatives)})" if self.alternatives else ""
        cell = f"{100 * (self.scale - 1):+.2f}"
        cell = cell if float(cell) else cell[1:]  # no sign for what rounds to zero
        return f"{self.name}{other}, cell {cell} %, {self.share:.0%} of the counts in peaks"


@dataclass(frozen=True)
class Foreign:
    """What else is in the beam.

    Attributes:
        peaks: Foreign peaks, the strongest first.
        phases: Known phases that were found, in the order in which they were.
    """

    peaks: tuple[ForeignPeak, ...] = ()
    phases: tuple[FoundPhase, ...] = ()

    @property
    def share(self) -> float:
        """Part of the counts in peaks that is not the calibrant's."""
        return sum(peak.share for peak in self.peaks)

    @property
    def unknown(self) -> float:
        """Part of the counts in peaks that belongs to nothing known."""
        return sum(peak.share for peak in self.peaks if not peak.phase)


@dataclass(frozen=True)
class CellShift:
    """Where one part of the detector was found.

    Attributes:
        cell: Its number: module from 1, or group.
        finding: What follows.
        shift: ln(d seen / d expected), to be added to ln DIFC where it is moved.
        comb: How well the reflections fit there, in standard deviations of combs that fit nothing.
        explained: What the reflections explain of the counts in its peaks.
    """

    cell: int
    finding: CellFinding
    shift: float
    comb: float
    explained: float


@dataclass(frozen=True)
class BeamFindings:
    """What was found before the calibration began.

    Attributes:
        index: Whether it is the calibrant that was named.
        cells: Where the parts of the detector are.
        in_spite: Whether the user asked for the calibration although it is not the calibrant.
    """

    index: CalibrantIndex
    cells: tuple[CellShift, ...]
    in_spite: bool = False
