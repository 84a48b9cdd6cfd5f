"""What is to be thought of a calibration, in one word for each group and the whole, with every reason.

- *good*: the positions of peaks are right to `GOOD_PPM`, as far as anything that was looked at says.
- *usable*: right to `USABLE_PPM`, or right with something that the user should know of.
- *not to be used*: worse, or not known. It can be saved only by force, and its record says so.

The unit of all limits is the relative error of a peak's position. SNAP resolves 3000 to 8000 ppm. Its users ask for a
cell to a few hundred ppm: for lead, the softest usual pressure marker (bulk modulus 46 GPa), 100 ppm of the cell are
0.014 GPa and 1000 ppm are 0.14 GPa.

`judge` is a pure function of the evidence: the same evidence has the same verdict wherever it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.calibration.types.sample import CalibrantIndex, CellShift, Foreign
from snapcal_workbench.calibration.types.verdict import GroupVerdict, Verdict, Word

GOOD_PPM = 100.0
"""Largest error of a good group: a thirtieth of the best resolution. Half of it is below what real runs foresee of
their own peaks (80 ppm), twice is what one asks of a cell."""
USABLE_PPM = 1000.0
"""Largest error of a usable group: a third of the best resolution. One DIFC a group where the truth has a time offset
of 8 us, as SNAP's has, leaves up to 900 ppm: to be told, not refused. Beyond it peaks visibly miss their places."""
SPREAD = (300.0, 1500.0)
"""Rms (ppm) of the peaks' strain in a good and in a usable group, their own errors taken off. One DIFC a group leaves
170 to 410 ppm on a measured run; 1500 ppm is a third of a peak's sigma, which no calibrant explains."""
PEAKS = (4, 2)
"""Fewest peaks of a good and of a usable group: with two, DIFC is found and nothing checks it."""
MASKED = (0.15, 0.5)
"""Largest part of a good and of a usable group's pixels that was masked here: a broken module of three is a third."""
CHI2 = (5.0, 50.0)
"""Largest chi-squared a degree of freedom of a good and of a usable group's joint fit; Gaussians on a measured run have
12, a fit to the wrong peaks hundreds."""
FOREIGN = (0.01, 0.6)
"""Largest part of the counts in peaks that is not the calibrant's. Known phases are in the fit: with as many counts as
the calibrant they still bend groups by 60 ppm; beyond that nothing was tried."""
UNKNOWN = (0.01, 0.1)
"""As above, of peaks that belong to nothing known: 10 % unmodelled bend groups by 150 ppm, and may be those of
another calibrant."""

_ORDER: tuple[Word, ...] = ("good", "usable", "not to be used")


@dataclass(frozen=True)
class GroupEvidence:
    """What is known of a group. NaN and None stand for what was not looked at.

    Attributes:
        group: Id.
        peaks: Number of peaks that say by themselves where they are, in single fits or in the joint one; 0 where the
            group has no calibration (and is masked), or nothing that could check it.
        error_ppm: Standard error of its position scale: by the scatter of its peaks, or by the joint fit where that is
            more.
        strain_ppm: Strain that is left; spread_ppm: its rms over the peaks.
        foreseen_ppm: Rms by which held-out peaks of the joint fit were missed, noise taken off.
        chi2: Of the joint fit, a degree of freedom.
        pixels: Number of its pixels that were not masked before; masked: of these, masked by the calibration.
    """

    group: int
    peaks: int
    error_ppm: float = np.nan
    strain_ppm: float = np.nan
    spread_ppm: float = np.nan
    foreseen_ppm: float = np.nan
    chi2: float = np.nan
    pixels: int = 0
    masked: int = 0

    @property
    def in_use(self) -> bool:
        """Whether pixels of it may be used: without peaks, those that are not masked."""
        return self.peaks > 0 or self.masked < self.pixels


@dataclass(frozen=True)
class Evidence:
    """What is known of a calibration.

    Attributes:
        groups: Of each group.
        index: Whether it is this calibrant; None where it was not looked at.
        foreign: What else is in the beam; None likewise.
        cells: Where the parts of the detector were found; empty likewise.
        unconverged: What did not converge, a sentence each.
        course: How the steps ended.
    """

    groups: Sequence[GroupEvidence]
    index: CalibrantIndex | None = None
    foreign: Foreign | None = None
    cells: Sequence[CellShift] = ()
    unconverged: Sequence[str] = ()
    course: str = ""


@dataclass(frozen=True)
class _Reason:
    word: Word
    text: str


def judge(evidence: Evidence) -> Verdict:
    """The verdict on a calibration."""
    groups = tuple(_group_verdict(group) for group in evidence.groups)
    reasons = [*_calibrant(evidence), *_foreign(evidence), *_cells(evidence), *_groups(evidence, groups)]
    reasons += [_Reason("usable", text) for text in evidence.unconverged]
    word = _worst(reason.word for reason in reasons)
    reasons.sort(key=lambda reason: -_ORDER.index(reason.word))
    return Verdict(word, evidence.course, tuple(reason.text for reason in reasons), groups)


def _worst(words: Iterable[Word]) -> Word:
    return max(words, key=_ORDER.index, default="good")


def _limited(value: float, limits: tuple[float, float], text: str) -> list[_Reason]:
    """A reason where a value exceeds the limit of a good or of a usable calibration; none for NaN."""
    if not value > limits[0]:
        return []
    word: Word = "usable" if value <= limits[1] else "not to be used"
    limit = limits[0] if word == "usable" else limits[1]
    return [_Reason(word, f"{text} ({_number(limit)} allowed in a {'good' if word == 'usable' else 'usable'} one).")]


def _number(value: float) -> str:
    return f"{100 * value:.3g} %" if value < 1 else f"{value:.4g}"


def _group_verdict(group: GroupEvidence) -> GroupVerdict:
    if group.peaks == 0:
        text = "It has no peaks that can be used" + ("." if group.in_use else ", and is masked.")
        return GroupVerdict(group.group, "not to be used", (text,))
    ppm = (GOOD_PPM, USABLE_PPM)
    error, known, missed = 2.0 * group.error_ppm, bool(np.isfinite(group.error_ppm)), group.foreseen_ppm
    reasons = _limited(error, ppm, f"Its scale is known to {error:.0f} ppm (two standard errors)")
    strain = max(abs(group.strain_ppm) - (error if known else 0.0), 0.0)
    reasons += _limited(strain, ppm, f"Its peaks lie {group.strain_ppm:+.0f} ppm off after the correction")
    reasons += _limited(missed, SPREAD, f"Its held-out peaks are missed by {missed:.0f} ppm rms")
    reasons += _limited(group.spread_ppm, SPREAD, f"The strains of its peaks spread by {group.spread_ppm:.0f} ppm")
    reasons += _limited(group.chi2, CHI2, f"Its pattern is fitted with a chi-squared of {group.chi2:.3g}")
    if group.pixels:
        part = group.masked / group.pixels
        reasons += _limited(part, MASKED, f"{part:.0%} of its pixels were masked")
    if group.peaks < PEAKS[0]:
        word: Word = "usable" if group.peaks >= PEAKS[1] else "not to be used"
        reasons.append(_Reason(word, f"It has only {group.peaks} usable peaks ({PEAKS[0]} or more are better)."))
    if not known:
        reasons.append(_Reason("usable", "The error of its scale is not known."))
    return GroupVerdict(group.group, _worst(r.word for r in reasons), tuple(r.text for r in reasons))


def _calibrant(evidence: Evidence) -> list[_Reason]:
    index = evidence.index
    if index is None:
        return [_Reason("usable", "Whether it is this calibrant was not looked at.")]
    what = "The run has no Bragg peaks of the calibrant" if index.faint else "The data are not of the calibrant"
    return [] if index.fits else [_Reason("not to be used", f"{what}: {index.text}.")]


def _foreign(evidence: Evidence) -> list[_Reason]:
    foreign = evidence.foreign
    if foreign is None:
        return []
    names = "; ".join(phase.text for phase in foreign.phases)
    reasons = _limited(foreign.share - foreign.unknown, FOREIGN, f"Other phases are in the beam: {names}")
    where = ", ".join(f"{peak.d:.3f}" for peak in foreign.peaks if not peak.phase)
    unknown = f"{foreign.unknown:.1%} of the counts in peaks belong to nothing known, at d = {where} A"
    return [*reasons, *_limited(foreign.unknown, UNKNOWN, unknown)]


def _cells(evidence: Evidence) -> list[_Reason]:
    if evidence.index is not None and not evidence.index.fits:
        return []  # where no module fits, none was moved or masked
    moved = [f"{cell.cell} ({100 * cell.shift:+.2f} %)" for cell in evidence.cells if cell.finding == "moved"]
    lost = [str(cell.cell) for cell in evidence.cells if cell.finding == "lost"]
    reasons = []
    if moved:
        reasons.append(_Reason("usable", f"Modules were far from where they should be, and moved: {', '.join(moved)}."))
    if lost:
        reasons.append(_Reason("usable", f"Modules are masked, not on the calibrant's pattern: {', '.join(lost)}."))
    return reasons


def _groups(evidence: Evidence, verdicts: Sequence[GroupVerdict]) -> list[_Reason]:
    """What the groups mean for the whole: a masked one is missing, one that is in use and bad spoils it."""
    in_use = {group.group for group in evidence.groups if group.in_use}
    if not in_use:
        return [_Reason("not to be used", "No group has a calibration.")]
    reasons = []
    for verdict in verdicts:
        if verdict.word != "good":
            word: Word = verdict.word if verdict.group in in_use else "usable"
            reasons.append(_Reason(word, f"Group {verdict.group}: {' '.join(verdict.reasons)}"))
    return reasons
