"""The whole calibration, as one function of its ingredients: no workspaces, no files, no instrument by name.

`calibrate` repeats two steps: `align`, which aligns the pixels of each group with each other, and `correct`, which puts
the groups on the absolute scale by their Bragg peaks. Then `assess` looks at the result. Each step is a function of
the ingredients and of the table and mask so far, so that the steps can also be made one by one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from snapcal_workbench.calibration.accounting import (
    Assessment,
    account_of_steps,
    masked_by_reason,
    other_phases,
    unconverged,
)
from snapcal_workbench.calibration.beam import (
    Examined,
    examine,
    foreign_peaks,
    look_again,
    phases_of,
    tested,
    undisturbed,
)
from snapcal_workbench.calibration.groups.group import calibrate_groups, fitted_peaks
from snapcal_workbench.calibration.groups.joint import joint_account
from snapcal_workbench.calibration.groups.metrics import group_metrics
from snapcal_workbench.calibration.ingredients import (
    Ingredients,
    focused,
    parameters_of,
    peaks_of,
    reflections_of,
)
from snapcal_workbench.calibration.pixels.pixel import calibrate_pixels
from snapcal_workbench.calibration.types import (
    BeamFindings,
    Calibration,
    DiffCalTable,
    FloatArray,
    Foreign,
    GroupCalibration,
    GroupParameters,
    GroupStep,
    PatternFit,
    PixelCalibration,
    PixelGrouping,
    PixelMask,
    PixelResults,
    PixelStep,
)
from snapcal_workbench.calibration.units import tof_from_d
from snapcal_workbench.options import CalibrationOptions
from snapcal_workbench.progress import Progress

BEAM = 0.08
"""Part of the work that goes before the first step, about."""


@dataclass(eq=False)
class _Course:
    """What was done so far: the steps, and where they have led."""

    table: DiffCalTable
    mask: PixelMask
    beam: BeamFindings
    results: PixelResults | None = None
    pattern: PatternFit | None = None
    pixel_steps: list[PixelStep] = field(default_factory=list)
    group_steps: list[GroupStep] = field(default_factory=list)


def calibrate(ingredients: Ingredients, options: CalibrationOptions, progress: Progress) -> Calibration:
    """Calibrate: pixels and groups, repeated until the groups' correction is below the tolerance.

    Args:
        ingredients: What is calibrated, and from where.
        options: Options in force, with what the calibrant fixes.
        progress: Reported to, warnings too.

    Raises:
        CalibrationError: The data do not allow it.
        InputError: The ingredients are not of the same pixels.
        Cancelled: The user cancelled.
    """
    warnings: list[str] = []
    progress = progress.remembering(warnings)
    found = look_at_beam(ingredients, options, progress.part(0.0, BEAM))
    course = _Course(found.table, found.mask, found.findings)
    progress = progress.part(BEAM, 1.0)
    repeats = 1 if options.pixels.skip else options.groups.repeats
    for number in range(1, repeats + 1):
        if number > 1:
            progress.inform("Pixels and groups once more, from the corrected table")
        _repeat(course, ingredients, options, number, progress.part(_done(number - 1), _done(number)))
        if course.group_steps[-1].converged:
            break
        if number < repeats:  # the next repetition sees sharper peaks: what it finds is what is warned of
            for text in other_phases(course.group_steps[-1].foreign):
                progress.inform(text)
    for text in other_phases(course.group_steps[-1].foreign):
        progress.warn(text)
    for text in unconverged(tuple(course.pixel_steps)):
        progress.warn(text)
    after = finish(ingredients, course, options, progress.part(_done(number), 1.0))
    account = account_of_steps(
        ingredients,
        options,
        course.table,
        course.mask,
        course.pixel_steps,
        course.group_steps,
        after,
        warnings,
        beam=course.beam,
    )
    return Calibration(
        account=account,
        start=ingredients.table,
        grouping=ingredients.grouping,
        table=course.table,
        mask=course.mask,
        results=None if course.results is None else moved_results(course.results, found.moved, course.mask),
        spectra=after.spectra,
        fits=after.fits,
        fitted=after.fitted,
        pattern=course.pattern,
    )


def look_at_beam(ingredients: Ingredients, options: CalibrationOptions, progress: Progress) -> Examined:
    """Whether the run is of the calibrant, and which modules are where; see `beam.examine`."""
    return examine(
        ingredients.events,
        ingredients.grouping,
        ingredients.table,
        ingredients.mask,
        calibrant=ingredients.sources.calibrant_name,
        reflections=reflections_of(ingredients),
        resolution=ingredients.resolution,
        bounds=ingredients.bounds,
        options=options,
        progress=progress,
    )


def finish(ingredients: Ingredients, course: _Course, options: CalibrationOptions, progress: Progress) -> Assessment:
    """Test every pixel against the finished pattern, and look at the result; masks what does not belong to it."""
    foreign = course.group_steps[-1].foreign
    if options.pixels.skip or not options.pixels.search:
        return assess(
            ingredients, course.table, course.mask, options, progress, foreign=foreign, pattern=course.pattern
        )
    first = progress.part(0.0, 0.4)
    after = assess(ingredients, course.table, course.mask, options, first, foreign=foreign, pattern=course.pattern)
    mask = tested(
        ingredients.events,
        course.table,
        ingredients.grouping,
        course.mask,
        after.spectra,
        after.parameters,
        reflections_of(ingredients),
        foreign,
        ingredients.company,
        options,
        progress.part(0.4, 0.7),
    )
    newly = int(np.count_nonzero(mask.masked & ~course.mask.masked))
    if not newly:
        return after
    progress.warn(f"{newly} pixels fit another set of peaks better than the finished pattern, and are masked.")
    course.mask = mask
    last = progress.part(0.7, 1.0)
    return assess(ingredients, course.table, mask, options, last, foreign=foreign, pattern=course.pattern)


def moved_results(results: PixelResults, moved: FloatArray, mask: PixelMask) -> PixelResults:
    """Results counted from the table that the calibration started from, before modules were moved; the final mask."""
    used = ~mask.masked
    return replace(
        results,
        shift=np.where(used, results.shift + moved, 0.0),
        own_shift=np.where(used, results.own_shift + moved, results.own_shift),
        reason=mask.reason,
    )


def _done(number: int) -> float:
    """Fraction of the work behind us after `number` repetitions: the first is by far the longest."""
    return 0.95 * (1.0 - 0.35**number)


def _repeat(
    course: _Course, ingredients: Ingredients, options: CalibrationOptions, number: int, progress: Progress
) -> None:
    """Both steps once."""
    if not options.pixels.skip:
        part, known = progress.part(0.0, 0.6), course.results
        pixel, step = align(ingredients, course.table, course.mask, options, part, number=number, known=known)
        course.results = pixel.results if course.results is None else added(course.results, pixel.results)
        course.table, course.mask = pixel.table, pixel.mask
        course.pixel_steps.append(step)
        if number == 1:
            _look_again(course, ingredients, options, progress.part(0.6, 0.6))
    part = progress.part(0.6, 1.0)
    group, made = correct(ingredients, course.table, course.mask, options, part, number=number, pattern=course.pattern)
    course.table, course.mask, course.pattern = group.table, group.mask, group.pattern
    course.group_steps.append(made)


def _look_again(course: _Course, ingredients: Ingredients, options: CalibrationOptions, progress: Progress) -> None:
    """Ask the modules again that could not tell where they are."""
    course.beam, course.mask = look_again(
        course.beam,
        ingredients.events,
        ingredients.grouping,
        course.table,
        course.mask,
        reflections=reflections_of(ingredients),
        resolution=ingredients.resolution,
        bounds=ingredients.bounds,
        options=options,
        progress=progress,
    )


def align(
    ingredients: Ingredients,
    table: DiffCalTable,
    mask: PixelMask,
    options: CalibrationOptions,
    progress: Progress,
    *,
    number: int = 1,
    known: PixelResults | None = None,
) -> tuple[PixelCalibration, PixelStep]:
    """Align the pixels of each group with each other.

    `number` is that of the repetition, `known` the results of the step before, which aligned the pixels of `table`.
    """
    clock = time.monotonic()
    parameters = parameters_of(ingredients, mask, options.peaks)
    found = calibrate_pixels(
        ingredients.events,
        table,
        ingredients.grouping,
        mask,
        parameters,
        options=options.pixels,
        known=known,
        progress=progress,
    )
    return found, PixelStep(
        number=number,
        stop=found.stop,
        message=found.message,
        passes=found.passes,
        bin_width=parameters.bin_width(options.pixels.bins_per_delta_d),
        masked=masked_by_reason(found.mask),
        seconds=round(time.monotonic() - clock, 2),
    )


def added(before: PixelResults, after: PixelResults) -> PixelResults:
    """The results of a repeated pixel step, counted from the table that the first one started from."""
    used = after.reason == 0
    return replace(
        after,
        shift=np.where(used, before.shift + after.shift, 0.0),
        own_shift=np.where(used, before.shift + after.own_shift, 0.0),
    )


def correct(
    ingredients: Ingredients,
    table: DiffCalTable,
    mask: PixelMask,
    options: CalibrationOptions,
    progress: Progress,
    *,
    number: int = 1,
    pattern: PatternFit | None = None,
) -> tuple[GroupCalibration, GroupStep]:
    """Put each group on the absolute scale by its Bragg peaks.

    `number` is that of the repetition, `pattern` the joint fit of the one before, from which this one goes on.
    """
    clock = time.monotonic()
    parameters = parameters_of(ingredients, mask, options.peaks)
    spectra = focused(ingredients, table, mask, parameters, options, progress.part(0.0, 0.25))
    company = ingredients.company
    foreign = foreign_peaks(spectra, parameters, reflections_of(ingredients), company, options)
    peaks = undisturbed(peaks_of(ingredients, parameters, options.peaks), foreign, parameters, company)
    found = calibrate_groups(
        spectra,
        table,
        ingredients.grouping,
        mask,
        parameters,
        peaks,
        reflections=ingredients.reflections,
        profile=ingredients.profile,
        before=pattern,
        phases=phases_of(foreign, parameters, company),
        options=options.groups,
        progress=progress.part(0.25, 1.0),
    )
    correction = largest_correction(ingredients.grouping, table, found, parameters)
    converged = correction < options.groups.tolerance
    joint = None
    if found.pattern is not None:
        joint = joint_account(found.pattern, parameters, ingredients.profile, options.groups.convention)
    limit = f"the tolerance of {1e6 * options.groups.tolerance:.3g} ppm"
    return found, GroupStep(
        number=number,
        stop="converged" if converged else "corrected",
        message=f"Corrected by up to {1e6 * correction:.3g} ppm, {'below' if converged else 'above'} {limit}.",
        correction=correction,
        results=found.results,
        fits=found.fits if number == 1 else None,
        bins_per_delta_d=options.pixels.bins_per_delta_d,
        bin_width=parameters.bin_width(options.pixels.bins_per_delta_d),
        seconds=round(time.monotonic() - clock, 2),
        joint=joint,
        foreign=foreign,
    )


def largest_correction(
    grouping: PixelGrouping, before: DiffCalTable, result: GroupCalibration, parameters: GroupParameters
) -> float:
    """Largest over the groups of the median relative change of TOF, at the middle of the group's d range."""
    after, changes = result.table, [0.0]
    middle = np.sqrt(parameters.d_min * parameters.d_max)
    for group, d in zip(parameters.group, middle, strict=True):
        use = (grouping.group == group) & ~result.mask.masked
        if use.any():
            old = tof_from_d(d, difc=before.difc[use], difa=before.difa[use], tzero=before.tzero[use])
            new = tof_from_d(d, difc=after.difc[use], difa=after.difa[use], tzero=after.tzero[use])
            changes.append(abs(float(np.median(new / old - 1.0))))
    return max(changes)


def assess(
    ingredients: Ingredients,
    table: DiffCalTable,
    mask: PixelMask,
    options: CalibrationOptions,
    progress: Progress,
    *,
    foreign: Foreign | None = None,
    pattern: PatternFit | None = None,
) -> Assessment:
    """Focus with `table` and `mask`, fit the expected peaks but those beside foreign ones, make the quality figures.

    `foreign` is what else is in the beam, `pattern` the joint fit that the table comes from, where they are known.
    """
    parameters = parameters_of(ingredients, mask, options.peaks)
    foreign, company = foreign or Foreign(), ingredients.company
    peaks = undisturbed(peaks_of(ingredients, parameters, options.peaks), foreign, parameters, company)
    spectra = focused(ingredients, table, mask, parameters, options, progress.part(0.0, 0.5))
    fits, fitted, after = fitted_peaks(
        spectra,
        table,
        parameters,
        peaks,
        reflections=ingredients.reflections,
        profile=ingredients.profile,
        before=pattern,
        phases=phases_of(foreign, parameters, company),
        options=options.groups,
        progress=progress.part(0.5, 1.0),
    )
    return Assessment(parameters, peaks, spectra, fits, fitted, group_metrics(spectra, fits, parameters), after)
