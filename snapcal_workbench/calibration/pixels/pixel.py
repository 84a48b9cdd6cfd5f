"""Pixel calibration: align the pixels of each group with each other, pass by pass.

Each pass estimates the shift of every pixel in use and multiplies its DIFC by exp(shift). DIFA and TZERO stay: where
they are not zero the shift is that of ln(TOF - TZERO - DIFA d^2), so DIFC alone scales the d of an event.

- A pixel that a pass masks gets the DIFC back that it started with, and its shift is 0.
- A pixel that is in no group, or in one without parameters, keeps its DIFC and is not masked.
- Offsets are increments in bins of the width b that all groups share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.event_order import in_canonical_order
from snapcal_workbench.calibration.focus import pixels_in_use
from snapcal_workbench.calibration.pixels.convergence import Convergence, Increments, converge
from snapcal_workbench.calibration.pixels.correlation.estimate import CorrelationEstimator
from snapcal_workbench.calibration.pixels.estimator import PassEstimate, PixelEstimator
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FloatArray,
    Geometry,
    GroupParameters,
    MaskReason,
    PassRecord,
    PixelCalibration,
    PixelGrouping,
    PixelMask,
    PixelPass,
    PixelResults,
)
from snapcal_workbench.calibration.units import log_step, offset_from_shift
from snapcal_workbench.errors import CalibrationError, InputError
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress


@dataclass(frozen=True, eq=False)
class _State:
    """The calibration after a pass: total shift and reason of each pixel, and what the pass found."""

    shift: FloatArray
    reason: NDArray[np.uint8]
    estimate: PassEstimate | None = None


@dataclass(frozen=True, eq=False)
class _PixelStep:
    """One pass of the loop: called with the state before it."""

    estimator: PixelEstimator
    geometry: Geometry
    table: DiffCalTable
    grouping: PixelGrouping
    parameters: GroupParameters
    start_reason: NDArray[np.uint8]
    options: PixelOptions

    def __call__(self, state: _State, number: int, progress: Progress) -> tuple[_State, Increments]:
        estimate = self.estimator.estimate(self.table_of(state), state.reason, number, progress)
        used = self.in_use(state.reason)
        reason = np.where(used, estimate.reason, state.reason).astype(np.uint8)
        self._check_masked(reason)
        used &= reason == MaskReason.USED
        shift = np.where(used, state.shift + estimate.shift, 0.0)
        width = self.parameters.bin_width(self.options.bins_per_delta_d)
        offset = offset_from_shift(estimate.shift, bin_width=width)
        median_ppm = 1e6 * float(np.median(np.abs(estimate.shift[used])))
        progress.show(PixelPass(number, self.geometry, shift, reason, median_ppm, self.masked_in_groups(reason)))
        return _State(shift, reason, estimate), Increments(offset, used, self.grouping.group)

    def in_use(self, reason: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """bool[n], the pixels that take part."""
        return pixels_in_use(self.grouping, reason, self.parameters)

    def masked_in_groups(self, reason: NDArray[np.uint8]) -> int:
        """Number of masked pixels in the groups that are calibrated."""
        return int(np.count_nonzero(reason[np.isin(self.grouping.group, self.parameters.group)]))

    def table_of(self, state: _State) -> DiffCalTable:
        """The start table with the shifts so far."""
        return replace(self.table, difc=self.table.difc * np.exp(state.shift))

    def _check_masked(self, reason: NDArray[np.uint8]) -> None:
        """Stop when a pass leaves too few of the pixels that the calibration began with.

        Raises:
            CalibrationError: If more than `max_newly_masked` of them are masked now.
        """
        began = self.in_use(self.start_reason)
        now = reason[began]
        newly, limit = np.count_nonzero(now), self.options.max_newly_masked
        if newly > limit * len(now) or newly == len(now):
            raise CalibrationError(
                f"The pixel calibration may mask at most {limit:.0%} of the pixels in use.",
                found=f"{newly} of {len(now)} pixels newly masked ({_by_reason(now)})",
                fix=_what_to_do(now),
            )


def calibrate_pixels(
    events: Events,
    table: DiffCalTable,
    grouping: PixelGrouping,
    mask: PixelMask,
    parameters: GroupParameters,
    *,
    options: PixelOptions,
    progress: Progress,
    known: PixelResults | None = None,
) -> PixelCalibration:
    """Align the pixels of each group with each other.

    Args:
        events: Of n pixels; their order within a pixel makes no difference.
        table: Calibration to start from, of the same pixels.
        grouping: Group of each pixel.
        mask: Pixels that take no part; they keep their DIFC and their reason.
        parameters: Resolution and d range of each group.
        options: Estimator, threshold, largest number of passes and limits.
        progress: Reported to during the passes.
        known: Results of an earlier step by which the pixels of `table` are aligned already; None where they may be
            anywhere within the search.

    Returns:
        The table, mask and figures after the pass with the smallest increments.

    Raises:
        CalibrationError: If there is nothing to calibrate, or too many pixels had to be masked.
        InputError: If the inputs are not of the same pixels.
        Cancelled: If the user has cancelled; nothing was changed.
    """
    _check_inputs(events, table, grouping, mask, parameters)
    events = in_canonical_order(events, progress)
    step = _PixelStep(
        make_estimator(events, grouping, parameters, options, known),
        events.geometry,
        table,
        grouping,
        parameters,
        mask.reason,
        options,
    )
    _check_events(events, step.in_use(mask.reason))
    loop = converge(
        _State(np.zeros(len(table)), mask.reason),
        step,
        threshold=options.threshold,
        max_passes=options.max_passes,
        progress=progress,
        unit="bins",
    )
    state = loop.kept.state
    newly = state.reason[step.in_use(mask.reason)]
    newly = newly[newly != 0]
    return PixelCalibration(
        table=step.table_of(state),
        mask=PixelMask(table.detid, state.reason),
        results=_results(events, state),
        passes=_records(loop, step),
        stop=loop.stop,
        message=f"{loop.message} {_masked_in_words(newly)}",
    )


def make_estimator(
    events: Events,
    grouping: PixelGrouping,
    parameters: GroupParameters,
    options: PixelOptions,
    known: PixelResults | None = None,
) -> PixelEstimator:
    """The estimator that the options name; the likelihood begins with what is `known` of the pixels' places."""
    if options.estimator == "correlation":
        return CorrelationEstimator(events, grouping, parameters, options)
    from snapcal_workbench.calibration.pixels.likelihood.estimate import LikelihoodEstimator

    return LikelihoodEstimator(events, grouping, parameters, options, sigma=None if known is None else known.sigma)


def _check_inputs(
    events: Events, table: DiffCalTable, grouping: PixelGrouping, mask: PixelMask, parameters: GroupParameters
) -> None:
    for name, value in (("table", table), ("grouping", grouping), ("mask", mask)):
        if not np.array_equal(value.detid, events.geometry.detid):
            raise InputError(
                f"The {name} must be of the same pixels as the events.",
                found=f"{len(value.detid)} pixels in the {name}, {len(events.geometry)} in the events",
                fix="Use a file that was made for the same instrument, native or lite.",
            )
    if not np.any(np.isin(grouping.group, parameters.group) & ~mask.masked):
        raise CalibrationError(
            "A pixel calibration needs pixels that are in a group and not masked.",
            found=f"{np.count_nonzero(mask.masked)} of {len(mask.detid)} pixels masked, groups "
            f"{', '.join(str(g) for g in parameters.group) or 'none'}",
            fix="Check the mask and the grouping; unmask pixels or choose another grouping.",
        )


def _check_events(events: Events, used: NDArray[np.bool_]) -> None:
    counts = events.counts[used]
    if not np.any(counts > 0):
        raise CalibrationError(
            "A pixel calibration needs neutron events in the pixels in use.",
            found=f"no events in {len(counts)} pixels between {events.window.minimum:g} and "
            f"{events.window.maximum:g} us",
            fix="Check the run number, the TOF window and the mask.",
        )


def _results(events: Events, state: _State) -> PixelResults:
    """Per-pixel figures of the kept pass; the shift is the total of all passes up to it."""
    estimate = state.estimate
    assert estimate is not None
    return PixelResults(
        detid=events.geometry.detid,
        shift=state.shift,
        sigma=estimate.sigma,
        own_shift=state.shift - estimate.shift + estimate.own_shift,
        own_sigma=estimate.own_sigma,
        events=events.counts,
        chi2=estimate.chi2,
        reason=state.reason,
    )


def _records(loop: Convergence[_State], step: _PixelStep) -> tuple[PassRecord, ...]:
    """Figures of each pass, in ppm."""
    records, before = [], step.start_reason
    for entry in loop.passes:
        state, estimate = entry.state, entry.state.estimate
        assert estimate is not None
        used = step.in_use(state.reason)
        size = np.abs(estimate.shift[used]) * 1e6
        own_sigma = estimate.own_sigma[used]
        own_sigma = own_sigma[np.isfinite(own_sigma)]
        ppm = 1e6 * log_step(step.parameters.bin_width(step.options.bins_per_delta_d))
        records.append(
            PassRecord(
                number=entry.number,
                median_ppm=float(np.median(size)),
                p95_ppm=float(np.percentile(size, 95)),
                bound_ppm=float(np.median(own_sigma)) * 1e6 if len(own_sigma) else float("nan"),
                group_median_ppm={group: bins * ppm for group, bins in entry.part_measures.items()},
                masked=step.masked_in_groups(state.reason),
                newly_masked=int(np.count_nonzero((state.reason != 0) & (before == 0))),
                kept=entry is loop.kept,
            )
        )
        before = state.reason
    return tuple(records)


def _by_reason(reason: NDArray[np.uint8]) -> str:
    """Counts of masked pixels by reason, in words."""
    values, counts = np.unique(reason[reason != 0], return_counts=True)
    return ", ".join(f"{MaskReason(int(v)).text}: {c}" for v, c in zip(values, counts, strict=True))


def _masked_in_words(newly: NDArray[np.uint8]) -> str:
    return f"{len(newly)} pixels newly masked ({_by_reason(newly)})." if len(newly) else "No pixel newly masked."


def _what_to_do(reason: NDArray[np.uint8]) -> str:
    """What helps against the commonest reason."""
    values, counts = np.unique(reason[reason != 0], return_counts=True)
    advice = {
        MaskReason.NO_COUNTS: "Mask the detectors that saw no neutrons (switched off, shadowed) before calibrating",
        MaskReason.NO_PEAK: "Use a longer run, the lite mode or the likelihood estimator, and check the calibrant",
        MaskReason.AT_LIMIT: "Raise max_shift (or max_offset_bins), or start from a calibration of this state",
        MaskReason.FIT_FAILED: "Use a longer run, the lite mode or the likelihood estimator",
        MaskReason.BAD_SHAPE: "Check that the grouping puts like pixels together, and mask shadowed detectors",
    }
    first = advice.get(MaskReason(int(values[np.argmax(counts)])), "Check the mask")
    return f"{first}; if these pixels are rightly masked, raise max_newly_masked."
