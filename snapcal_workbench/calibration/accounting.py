"""The account of a calibration: what it was made from, each step, and the evidence from which the verdict is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snapcal_workbench.calibration.groups.convention import curve_error
from snapcal_workbench.calibration.ingredients import Ingredients, parameters_of
from snapcal_workbench.calibration.types import (
    Account,
    BeamFindings,
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    FloatArray,
    Foreign,
    GroupMetrics,
    GroupParameters,
    GroupStep,
    PatternFit,
    PixelMask,
    PixelStep,
    Spectra,
)
from snapcal_workbench.calibration.types.calibration import table_hash
from snapcal_workbench.calibration.types.pattern import JointAccount
from snapcal_workbench.calibration.verdict import FOREIGN, Evidence, GroupEvidence, judge
from snapcal_workbench.options import CalibrationOptions

PLACED = 300e-6
"""A peak whose own place is known worse than this (relative) checks nothing: it is the spread that the peaks of a good
group may have. Of silicon with 30 % of corundum the group of the lowest angle has 4 such peaks in 3e6 events, 3 at half
of it, 5 at twice."""


@dataclass(frozen=True, eq=False)
class Assessment:
    """How a run looks with a calibration."""

    parameters: GroupParameters
    peaks: dict[int, ExpectedPeaks]
    spectra: Spectra
    fits: FitTable
    fitted: Spectra
    metrics: GroupMetrics
    pattern: PatternFit | None = None


def account_of_steps(
    ingredients: Ingredients,
    options: CalibrationOptions,
    table: DiffCalTable,
    mask: PixelMask,
    pixel_steps: list[PixelStep],
    group_steps: list[GroupStep],
    after: Assessment | None,
    warnings: list[str],
    *,
    beam: BeamFindings | None = None,
) -> Account:
    """The account of steps that were made, and of those before them.

    Args:
        ingredients: What they were made from.
        options: In force.
        table: Their result.
        mask: Their result.
        pixel_steps: In the order in which they were made.
        group_steps: As well.
        after: How the run looks with the result; None where no groups were calibrated.
        warnings: What the user was told.
        beam: What was found before the steps; None where nothing was looked for.
    """
    before = ingredients.before
    beam = beam or (before.beam if before else None)
    pixels = (*(before.pixel_steps if before else ()), *pixel_steps)
    groups = (*(before.group_steps if before else ()), *group_steps)
    grouped = ingredients.grouping.group > 0
    earlier = _still_said(before, group_steps) if before else []
    told = dict.fromkeys([*unconverged(pixels), *earlier, *ingredients.warnings, *warnings])
    return Account(
        sources=replace(ingredients.sources, start=before.sources.start) if before else ingredients.sources,
        options=options,
        pixel_steps=pixels,
        group_steps=groups,
        parameters=after.parameters if after else parameters_of(ingredients, mask, options.peaks),
        peaks=tuple(after.peaks.values()) if after else (),
        metrics=after.metrics if after else None,
        masked=masked_by_reason(PixelMask(mask.detid[grouped], mask.reason[grouped])),
        n_pixels=int(grouped.sum()),
        warnings=tuple(told),
        verdict=judge(evidence_of(ingredients, mask, pixels, groups, after, beam)),
        table_sha256=table_hash(table),
        beam=beam,
    )


def _still_said(before: Account, group_steps: list[GroupStep]) -> list[str]:
    """The earlier warnings without those of which later steps tell anew."""
    outdated = set(unconverged(before.pixel_steps))
    if group_steps:
        outdated.update(text for step in before.group_steps for text in other_phases(step.foreign))
    return [text for text in before.warnings if text not in outdated]


def masked_by_reason(mask: PixelMask) -> Mapping[str, int]:
    """Number of masked pixels by reason, in words."""
    return {reason.text: count for reason, count in mask.counts().items()}


def unconverged(steps: tuple[PixelStep, ...]) -> list[str]:
    """What is to be said of the pixel steps that did not converge, one sentence each."""
    return [
        f"Pixel calibration {i} of {len(steps)} did not converge: {step.message}"
        for i, step in enumerate(steps, start=1)
        if not step.converged
    ]


def other_phases(foreign: Foreign) -> list[str]:
    """What is to be said of the other phases that were found, and of the peaks of none, one sentence each."""
    told = [f"Another phase is in the beam: {phase.text}." for phase in foreign.phases]
    if foreign.unknown > FOREIGN[0]:
        where = ", ".join(f"{peak.d:.3f}" for peak in foreign.peaks if not peak.phase)
        told.append(f"Peaks of nothing known, with {foreign.unknown:.1%} of the counts in peaks: d = {where} A.")
    return told


def evidence_of(
    ingredients: Ingredients,
    mask: PixelMask,
    pixels: tuple[PixelStep, ...],
    groups: tuple[GroupStep, ...],
    after: Assessment | None,
    beam: BeamFindings | None,
) -> Evidence:
    """What the verdict is to be made from. Of convergence the last step counts: the earlier ones only lead to it."""
    reasons = []
    if pixels and not pixels[-1].converged:
        reasons.append(pixels[-1].message)
    if len(groups) > 1 and not groups[-1].converged:  # a single correction is large by its nature
        reasons.append(f"The groups may move further: {groups[-1].message}")
    text = pixels[-1].message if pixels else "The pixel calibration was left out."
    if len(pixels) > 1:
        text += f" Pixels and groups were calibrated {len(pixels)} times."
    found = group_evidence(ingredients, mask, groups[-1], after) if groups and after else ()
    return Evidence(
        groups=found,
        index=beam.index if beam else None,
        foreign=groups[-1].foreign if groups else None,
        cells=beam.cells if beam else (),
        unconverged=reasons,
        course=text,
    )


def group_evidence(
    ingredients: Ingredients, mask: PixelMask, step: GroupStep, after: Assessment
) -> tuple[GroupEvidence, ...]:
    """What is known of each group from the peaks of its finished spectrum, and from its joint fit."""
    evidence = []
    row = {int(group): i for i, group in enumerate(after.metrics.group)}
    for group, model in zip(step.results.group.tolist(), step.results.model, strict=True):
        members = (ingredients.grouping.group == group) & ~ingredients.mask.masked
        counts = {"pixels": int(members.sum()), "masked": int(np.count_nonzero(mask.masked[members]))}
        if not model or group not in row:
            evidence.append(GroupEvidence(group, 0, **counts))
            continue
        own = after.fits.used & (after.fits.group == group)
        missed, chi2, known = joint_evidence(after.pattern, after.parameters, group, step.joint)
        strain, error, spread = scale_of(after.fits.strain[own], after.fits.centre_error[own] / after.fits.d[own])
        evidence.append(
            GroupEvidence(
                group=group,
                peaks=max(int(after.metrics.peaks_used[row[group]]), placed_peaks(after.pattern, group)),
                error_ppm=1e6 * float(np.fmax(error, known)),
                strain_ppm=1e6 * strain,
                spread_ppm=1e6 * spread,
                foreseen_ppm=1e6 * missed,
                chi2=chi2,
                **counts,
            )
        )
    return tuple(evidence)


def joint_evidence(
    pattern: PatternFit | None, parameters: GroupParameters, group: int, joint: JointAccount | None
) -> tuple[float, float, float]:
    """What the joint fit says of a group; NaN where there is none of it.

    By how much held-out peaks were missed (relative), chi-squared, and the relative error of the places of its peaks.
    That error holds what all groups share (time offset, moderator), of which the scatter of the peaks knows nothing.
    """
    if pattern is None or joint is None or group not in pattern.group:
        return np.nan, np.nan, np.nan
    index = int(np.flatnonzero(pattern.group == group)[0])
    error = curve_error(pattern, parameters, index, "T0" if joint.convention == "T0" else "maximum")
    return float(pattern.missed[index]), float(pattern.chi2[index]), error


def placed_peaks(pattern: PatternFit | None, group: int) -> int:
    """Number of a group's peaks of the calibrant whose places the joint fit knows by themselves, to `PLACED`.

    Beside a peak of another phase a single fit cannot tell a peak's place; the joint fit, which has the phase in it,
    can. What the neighbour takes away is in the error of the place.
    """
    if pattern is None:
        return 0
    lines = pattern.lines
    own = (lines.group == group) & (lines.phase == 0)
    return int(np.count_nonzero(own & np.isfinite(lines.deviation) & (lines.deviation_error < PLACED)))


def scale_of(strain: FloatArray, error: FloatArray) -> tuple[float, float, float]:
    """What is left of a group's strain, its standard error, and the rms of the strains without what their errors give.

    The strain is the mean weighed by the peaks' errors; its error is multiplied by the root of chi-squared where that
    exceeds 1. NaN with fewer than two peaks.

    Args:
        strain: float64[p], of the used peaks.
        error: float64[p], its standard errors.
    """
    good = np.isfinite(strain) & np.isfinite(error) & (error > 0)
    if np.count_nonzero(good) < 2:
        return np.nan, np.nan, np.nan
    weight = 1.0 / error[good] ** 2
    mean = float(np.average(strain[good], weights=weight))
    off = strain[good] - mean
    chi2 = float(weight @ off**2) / (len(off) - 1)
    excess = float(weight @ off**2) / weight.sum() * len(off) / (len(off) - 1) - len(off) / weight.sum()
    return mean, float(np.sqrt(max(chi2, 1.0) / weight.sum())), float(np.sqrt(max(excess, 0.0)))
