"""What is looked at before and after the steps of a calibration: is it the calibrant, what else is there, who is where.

Before: `examine` compares every module with the calibrant's reflections. A run that is not of the calibrant is refused;
modules that have moved start from where they are found; those that are not on the pattern are masked.
Between: `look_again` asks the modules that could not tell, once their pixels are aligned; `foreign_peaks` looks for
other crystals in the groups' aligned spectra, for the group calibration.
After: `tested` compares every pixel with the finished pattern of its group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from snapcal_workbench.calibration.focus import focus
from snapcal_workbench.calibration.peaks.expected import group_parameters
from snapcal_workbench.calibration.phases.explained import Explained, explain
from snapcal_workbench.calibration.phases.foreign import find_foreign, foreign_reflections, phases_for_fit
from snapcal_workbench.calibration.phases.identify import index_of
from snapcal_workbench.calibration.phases.known import AnyPhase, strengths
from snapcal_workbench.calibration.phases.pattern import Pattern, patterns_of, within
from snapcal_workbench.calibration.pixels.modules import SEARCH, cells_of, find_cells, is_doubtful
from snapcal_workbench.calibration.pixels.off_pattern import GroupModel, off_pattern
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    ExpectedPeaks,
    FloatArray,
    GroupParameters,
    MaskReason,
    ParticleBounds,
    PixelGrouping,
    PixelMask,
    Reflections,
    Resolution,
    Spectra,
)
from snapcal_workbench.calibration.types.pattern import Phase
from snapcal_workbench.calibration.types.sample import BeamFindings, CalibrantIndex, CellShift, Foreign
from snapcal_workbench.errors import CalibrationError
from snapcal_workbench.options import CalibrationOptions
from snapcal_workbench.progress import Progress

BINS_PER_WIDTH = 6
"""Of the modules' spectra: twice what their patterns have."""
FLANK = 1.5
"""Widths by which a foreign peak may lie outside of a peak's window and still bend it: half of it leaves 10 % of the
foreign peak's area in the window, twice drops peaks that nothing disturbs."""


@dataclass(frozen=True, eq=False)
class Examined:
    """The table and the mask with which the steps begin, what was found, and the shift that each pixel was moved by."""

    table: DiffCalTable
    mask: PixelMask
    findings: BeamFindings
    moved: FloatArray


def examine(
    events: Events,
    grouping: PixelGrouping,
    table: DiffCalTable,
    mask: PixelMask,
    *,
    calibrant: str,
    reflections: Reflections,
    resolution: Resolution,
    bounds: ParticleBounds,
    options: CalibrationOptions,
    progress: Progress,
) -> Examined:
    """Compare every module with the calibrant's reflections.

    Args:
        events: Of n pixels.
        grouping: Group of each.
        table: Where the calibration starts.
        mask: Pixels not in use.
        calibrant: Its name.
        reflections: Of the calibrant.
        resolution: Of the instrument.
        bounds: Of the instrument's state.
        options: Whether modules are moved, and whether a run of something else is calibrated all the same.
        progress: Reported to, warnings too.

    Raises:
        CalibrationError: If the run is not of the calibrant.
    """
    cells = cells_of(events.geometry, grouping)
    shifts, explained = _compared(
        events,
        cells,
        table,
        mask,
        reflections=reflections,
        resolution=resolution,
        bounds=bounds,
        options=options,
        progress=progress,
    )
    on_it = [one for one, cell in zip(explained, shifts, strict=True) if cell.finding != "lost"]
    combs = [cell.comb for cell in shifts if cell.finding != "lost"] or [cell.comb for cell in shifts]
    index = index_of(calibrant, on_it or explained, reflections, float(np.mean(combs)) if combs else 0.0)
    in_spite = not index.fits
    if in_spite:
        _refuse_or_warn(index, calibrant, options, progress)
    findings = BeamFindings(index, tuple(shifts), in_spite)
    if in_spite or options.pixels.skip or not options.pixels.search:
        return Examined(table, mask, findings, np.zeros(len(table)))
    return _moved(table, mask, cells, findings, progress)


def _compared(
    events: Events,
    cells: PixelGrouping,
    table: DiffCalTable,
    mask: PixelMask,
    *,
    reflections: Reflections,
    resolution: Resolution,
    bounds: ParticleBounds,
    options: CalibrationOptions,
    progress: Progress,
    usual: float | None = None,
) -> tuple[list[CellShift], list[Explained]]:
    """Where the cells are by a table, and what the reflections explain of each."""
    parameters = group_parameters(
        events.geometry, cells, mask, resolution=resolution, bounds=bounds, options=options.peaks
    )
    spectra = focus(events, table, cells, mask, parameters, bins_per_delta_d=BINS_PER_WIDTH, progress=progress)
    patterns = _comparable(patterns_of(spectra, parameters), options)
    max_shift = options.pixels.max_shift or SEARCH / 2
    return find_cells(patterns, spectra.number, reflections, max_shift=max_shift, usual=usual)


def look_again(
    findings: BeamFindings,
    events: Events,
    grouping: PixelGrouping,
    table: DiffCalTable,
    mask: PixelMask,
    *,
    reflections: Reflections,
    resolution: Resolution,
    bounds: ParticleBounds,
    options: CalibrationOptions,
    progress: Progress,
) -> tuple[BeamFindings, PixelMask]:
    """The findings and the mask when modules that could not tell, or hardly, have been aligned.

    A module that is turned far away changes DIFC by per cents from edge to edge: its peaks are as broad, and say
    nothing. The pixel step aligns its pixels with each other, on whichever peaks are near. Then its peaks are sharp,
    and the same question has an answer. Arguments as for `examine`, with the aligned table.
    """
    doubtful = [cell.cell for cell in findings.cells if is_doubtful(cell)]
    if not doubtful or findings.in_spite or not options.pixels.search:
        return findings, mask
    cells = cells_of(events.geometry, grouping)
    number = np.where(np.isin(cells.group, doubtful) & ~mask.masked, cells.group, 0).astype(np.int32)
    if not number.any():
        return findings, mask
    shifts, _ = _compared(
        events,
        replace(cells, group=number),
        table,
        mask,
        reflections=reflections,
        resolution=resolution,
        bounds=bounds,
        options=options,
        progress=progress,
        usual=float(np.median([cell.explained for cell in findings.cells])),
    )
    elsewhere = {cell.cell: cell for cell in shifts if cell.finding == "lost"}
    for cell in elsewhere:
        progress.warn(f"Module {cell} was aligned to peaks that are not those of the calibrant: it is masked.")
    reason = np.where(np.isin(number, list(elsewhere)), MaskReason.NOT_ON_PATTERN, mask.reason)
    told = tuple(elsewhere.get(cell.cell, cell) for cell in findings.cells)
    return replace(findings, cells=told), PixelMask(mask.detid, reason.astype(mask.reason.dtype))


def _comparable(patterns: Sequence[Pattern], options: CalibrationOptions) -> list[Pattern]:
    """The patterns within the d range of the reflections, less what the search may shift in."""
    low = options.peaks.crystal_d_min * (1.0 + SEARCH)
    return [within(pattern, low, options.peaks.crystal_d_max) for pattern in patterns]


def _refuse_or_warn(index: CalibrantIndex, calibrant: str, options: CalibrationOptions, progress: Progress) -> None:
    """Raise the refusal of a run that is not of its calibrant or has no peaks, or warn where it is wanted in spite."""
    if index.faint:
        what = "The run has no Bragg peaks of the calibrant"
        fix = "Check that the sample was in the beam, that the run is long enough, and the mask."
    else:
        what = "The data are not of the calibrant"
        fix = "Choose the calibrant that was measured: Identify in the panel, or `snapcal identify RUN`, ranks them."
    if options.groups.any_calibrant:
        progress.warn(f"{what.upper()} {calibrant}, as far as can be seen: {index.text}.")
        return
    raise CalibrationError(
        f"{what} {calibrant}.",
        found=index.text,
        fix=f"{fix} To calibrate all the same, set the option groups.any_calibrant; the record will say so.",
    )


def _moved(
    table: DiffCalTable, mask: PixelMask, cells: PixelGrouping, findings: BeamFindings, progress: Progress
) -> Examined:
    """Modules that were found elsewhere start from there; those that were not found are masked."""
    moved, reason = np.zeros(len(table)), mask.reason.copy()
    for cell in findings.cells:
        members = (cells.group == cell.cell) & ~mask.masked
        if cell.finding == "moved":
            moved[members] = cell.shift
            progress.warn(_in_words(cell, "its pixels start from there"))
        elif cell.finding == "lost":
            reason[members] = MaskReason.NOT_ON_PATTERN
            progress.warn(f"Module {cell.cell} does not show the peaks of the calibrant: it is masked.")
    start = replace(table, difc=table.difc * np.exp(moved))
    return Examined(start, PixelMask(mask.detid, reason), findings, moved)


def _in_words(cell: CellShift, so: str) -> str:
    return f"Module {cell.cell} lies {100 * cell.shift:+.2f} % from where it should be by the calibrant's peaks; {so}."


def foreign_peaks(
    spectra: Spectra,
    parameters: GroupParameters,
    reflections: Reflections,
    company: Sequence[AnyPhase],
    options: CalibrationOptions,
) -> Foreign:
    """What else is in the beam, from the groups' aligned spectra; nothing where it is not to be looked for.

    `company`, here and below, is what it may be besides the known phases.
    """
    if not options.groups.foreign:
        return Foreign()
    patterns = _comparable(patterns_of(spectra, parameters), options)
    return find_foreign(patterns, spectra.number.tolist(), reflections, company=company)


def phases_of(foreign: Foreign, parameters: GroupParameters, company: Sequence[AnyPhase]) -> tuple[Phase, ...]:
    """What else is in the beam, as the joint fit takes it."""
    if not foreign.peaks:
        return ()
    return phases_for_fit(foreign, float(parameters.d_min.min()), float(parameters.d_max.max()), company)


def undisturbed(
    peaks: dict[int, ExpectedPeaks], foreign: Foreign, parameters: GroupParameters, company: Sequence[AnyPhase]
) -> dict[int, ExpectedPeaks]:
    """The expected peaks without those in whose windows a foreign peak lies, which are listed as dropped."""
    if not foreign.peaks:
        return peaks
    width = dict(zip(parameters.group.tolist(), parameters.delta_d.tolist(), strict=True))
    range_ = float(parameters.d_min.min()), float(parameters.d_max.max())
    others = foreign_reflections(foreign, *range_, company)
    return {group: _without(expected, others, width[group]) for group, expected in peaks.items()}


def _without(expected: ExpectedPeaks, others: dict[str, FloatArray], width: float) -> ExpectedPeaks:
    kept, dropped = np.ones(len(expected), bool), list(expected.dropped)
    for name, d in others.items():
        margin = FLANK * width * expected.d
        inside = (d[:, None] > expected.window_min - margin) & (d[:, None] < expected.window_max + margin)
        for k in np.flatnonzero(inside.any(axis=0) & kept):
            kept[k] = False
            h, j, m = (int(i) for i in expected.hkl[k])
            dropped.append(((h, j, m), float(expected.d[k]), f"beside a peak of {name}"))
    fields = ("hkl", "d", "f_squared", "multiplicity", "window_min", "window_max")
    chosen = {name: getattr(expected, name)[kept] for name in fields}
    return replace(expected, dropped=tuple(dropped), **chosen)


def tested(
    events: Events,
    table: DiffCalTable,
    grouping: PixelGrouping,
    mask: PixelMask,
    spectra: Spectra,
    parameters: GroupParameters,
    reflections: Reflections,
    foreign: Foreign,
    company: Sequence[AnyPhase],
    options: CalibrationOptions,
    progress: Progress,
) -> PixelMask:
    """The mask with the pixels added that fit another set of peaks better than the finished pattern of their group."""
    range_ = float(parameters.d_min.min()), float(parameters.d_max.max())
    others = list(foreign_reflections(foreign, *range_, company).values())
    d = np.concatenate([reflections.d, *others])
    strength = np.concatenate([strengths(reflections), *(np.zeros(len(other)) for other in others)])
    models = [
        GroupModel(int(group), explain(pattern, d, strength, 0.0).fit)
        for group, pattern in zip(spectra.number, _comparable(patterns_of(spectra, parameters), options), strict=True)
        if pattern.total > 0
    ]
    return off_pattern(events, table, grouping, mask, models, progress)
