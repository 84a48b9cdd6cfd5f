"""What the tuned numbers of the pixel step do: its result with each at half, at, and at twice its value.

Run: python -m tests.benchmarks.tuned_numbers [NAME ...]

Two runs of one group are simulated: one of silicon with many events a pixel, and one of a sample with few counts in its
peaks and few events. In each a twentieth of the pixels see no peaks at all, and a twentieth see another crystal. For
each number the table has the robust error of the good pixels in Cramer-Rao bounds, the good pixels that are further
than 6 bounds off and not masked, the good pixels that are masked, the bad ones that are not, and the time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from snapcal_workbench.calibration.pixels.correlation import estimate as correlation
from snapcal_workbench.calibration.pixels.correlation.estimate import CorrelationEstimator
from snapcal_workbench.calibration.pixels.likelihood import estimate as likelihood
from snapcal_workbench.calibration.pixels.likelihood import group as likelihood_group
from snapcal_workbench.calibration.pixels.likelihood import rough_alignment, smooth_field, surface, template
from snapcal_workbench.calibration.pixels.likelihood import round as likelihood_round
from snapcal_workbench.calibration.pixels.likelihood.estimate import LikelihoodEstimator
from snapcal_workbench.calibration.types import DiffCalTable, Events, GroupParameters, PixelGrouping
from snapcal_workbench.options import PixelOptions
from tests.synthetic_pixels import (
    POOR,
    SILICON,
    WINDOW,
    Sample,
    cubic_sample,
    information_per_event,
    module_shape,
    one_group,
    panel,
    passes,
    simulate,
    spread,
)

DELTA_D = 0.004
FLAT = cubic_sample(5.43123, 0.0)
OTHER = cubic_sample(3.8, 0.9)
NUMBERS: tuple[tuple[ModuleType, str], ...] = (
    (likelihood, "SMALLEST_GROUP"),
    (likelihood, "FLAT_RATIO"),
    (likelihood, "BAD_CHI2_SIGMAS"),
    (likelihood, "BAD_SHAPE"),
    (likelihood, "BAD_SHAPE_FACTOR"),
    (likelihood_group, "LEAST_RATIO"),
    (likelihood_group, "ENOUGH_EVENTS"),
    (likelihood_group, "MANY_EVENTS"),
    (likelihood_round, "CERTAIN"),
    (likelihood_round, "SHARP"),
    (likelihood_round, "AMBIGUOUS"),
    (likelihood_round, "UNPLACED"),
    (likelihood_round, "MAX_SCORINGS"),
    (likelihood_round, "OUTLIER_GAIN"),
    (rough_alignment, "PIXELS"),
    (rough_alignment, "ENOUGH_COUNTS"),
    (rough_alignment, "TRIALS"),
    (rough_alignment, "ROUNDS"),
    (rough_alignment, "SHARP"),
    (rough_alignment, "LEVEL"),
    (rough_alignment, "LEAST_EXPOSURE"),
    (smooth_field, "CLIP"),
    (surface, "MAX_DEGREE"),
    (smooth_field, "SMALLEST_DEVIATION"),
    (template, "ENVELOPE_WIDTHS"),
    (template, "NARROWEST_ENVELOPE"),
    (template, "NOISE_FACTOR"),
    (template, "LOWEST_PATTERN"),
    (correlation, "LEVEL_WIDTH"),
    (correlation, "FIT_WIDTH"),
    (correlation, "UNALIGNED_WIDTH"),
    (correlation, "WIDEST_SHIFT"),
    (correlation, "SIGNIFICANCE"),
)


@dataclass(frozen=True, eq=False)
class Run:
    """A simulated run: its events, and what is true of its pixels."""

    events: Events
    grouping: PixelGrouping
    parameters: GroupParameters
    true_difc: np.ndarray
    bound: np.ndarray
    bad: np.ndarray


def simulated(sample: Sample, counts: float, seed: int, side: int = 20) -> Run:
    """A run in which every twentieth pixel sees no peaks, and every twentieth another crystal."""
    rng = np.random.default_rng(seed)
    geometry = panel(2, side)
    true_difc = geometry.difc * np.exp(module_shape(geometry, rng) + 2e-4 * rng.standard_normal(len(geometry)))
    sigma = np.full(len(geometry), DELTA_D)
    kind = rng.integers(0, 20, len(geometry))
    parts = [
        simulate(geometry, seen, true_difc, sigma, np.where(members, counts, 0.0), rng)
        for seen, members in ((sample, kind > 1), (FLAT, kind == 0), (OTHER, kind == 1))
    ]
    owner = np.concatenate([np.repeat(np.arange(len(geometry)), np.diff(part.start)) for part in parts])
    order = np.argsort(owner, kind="stable")
    tof = np.concatenate([part.tof for part in parts])[order]
    start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(geometry)))]).astype(np.int64)
    events = Events(tof, start, geometry, WINDOW)
    information = information_per_event(sample, true_difc, DELTA_D)
    bound = 1.0 / np.sqrt(np.maximum(events.counts, 1.0) * information)
    return Run(events, *one_group(geometry, DELTA_D), true_difc, bound, kind <= 1)


@contextmanager
def changed(module: ModuleType, name: str, factor: float) -> Iterator[str]:
    """The number times a factor, as long as the context lasts; yields its value as text."""
    before = getattr(module, name)
    value = tuple(int(factor * v) for v in before) if isinstance(before, tuple) else type(before)(before * factor)
    setattr(module, name, value)
    try:
        yield f"{value}" if isinstance(value, tuple) else f"{value:g}"
    finally:
        setattr(module, name, before)


def figures(run: Run, make: type[LikelihoodEstimator | CorrelationEstimator] = LikelihoodEstimator) -> str:
    """Error, outliers, masked good pixels, kept bad pixels and time of three passes."""
    started = time.perf_counter()
    estimator = make(run.events, run.grouping, run.parameters, PixelOptions())
    outcome = passes(estimator, DiffCalTable.from_geometry(run.events.geometry), run.true_difc)
    seconds = time.perf_counter() - started
    good = ~run.bad & outcome.used
    error = outcome.error - np.median(outcome.error[good])
    ratio = error[good] / run.bound[good]
    masked, kept = np.mean(~outcome.used[~run.bad]), np.mean(outcome.used[run.bad])
    outliers = np.sum(np.abs(ratio) > 6)
    return f"{spread(ratio):6.3f} {outliers:4d} {100 * masked:6.1f} % {100 * kept:6.1f} % {seconds:6.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="numbers to look at; all by default")
    names = parser.parse_args().names
    runs = (simulated(SILICON, 2000.0, 1), simulated(POOR, 150.0, 2))
    for run in runs:
        figures(run)  # compiles
    head = f"{'error':>6s} {'off':>4s} {'masked':>8s} {'bad':>8s} {'s':>6s}"
    print(f"{'number':22s} {'value':>9s}   {'silicon, 2000 events':38s}   {'few peaks, 150 events'}")
    print(f"{'':32s}   {head}     {head}")
    for module, name in NUMBERS:
        if names and name not in names:
            continue
        make = CorrelationEstimator if module is correlation else LikelihoodEstimator
        for factor in (0.5, 1.0, 2.0):
            with changed(module, name, factor) as value:
                shown = "     ".join(figures(run, make) for run in runs)
                print(f"{name:22s} {value:>9s}   {shown}", flush=True)


if __name__ == "__main__":
    main()
