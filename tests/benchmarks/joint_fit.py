"""The joint fit of all groups' patterns: accuracy, errors, prediction and speed, on simulated and measured runs.

    python -m tests.benchmarks.joint_fit [--seeds 8] [--neutrons 2e6] [--measured]

Simulated patterns have a known truth (`tests.back_to_back`). The measured ones are those that SNAPCAL_REFERENCE_DATA
holds: runs 58882 and 57514 of silicon, six column groups.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from snapcal_workbench.calibration.groups.convention import curve_terms, group_curve
from snapcal_workbench.calibration.groups.pattern.fit import UNKNOWN_PROFILE, PatternOptions, fit_pattern
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    FloatArray,
    GroupParameters,
    ModeratorProfile,
    PatternFit,
    Reflections,
    Spectra,
)
from snapcal_workbench.calibration.units import tof_from_d
from snapcal_workbench.formats.processed import read_processed
from tests.back_to_back import Moderator, Truth, drawn, some
from tests.calibration.conftest import LATTICE, WIDTHS

D = np.array([0.7, 1.2, 1.9, 3.0])
MEASURED = {
    "58882": ("snap_058882_column_dspacing_pixel_calibrated.nxs", [0.0003, 0.0002, 0.0004, 0.0028, 0.0047, 0.0069]),
    "57514": ("snap_057514_column_dspacing_calibrated.nxs", [0.0] * 6),
}
BANDS = {"58882": (0.0, np.inf), "57514": (2000.0, 14500.0)}
"""TOF (us) between which all pixels count: where the spectra of run 57514 end for each group's extreme pixels. Those of
58882 are means over the pixels that see a d, so that they have no such ends."""
TWO_THETA = np.array([2.11184839, 1.8256144, 1.53763507, 1.44338729, 1.15889862, 0.87615528])
L2 = np.array([0.5879, 0.572, 0.5879, 0.5899, 0.574, 0.5899])
GAUSSIAN = ModeratorProfile(
    UNKNOWN_PROFILE.names, np.array([5.0, 0.0, 5.0, 0.0, -2.0, 0.0, -6.0, 0.0]), 1e-8 * np.eye(8)
)
"""Exponentials so short that peaks are symmetrical."""


PULSES = {
    "t0 = -5 us": (Moderator(), 0.0),
    "t0 = -5 us + 3 us A / lambda": (Moderator(inverse=3.0), 0.0),
    "pixels of +- 2 sigma": (Moderator(), 2.0),
    "a slow decay of 3 % at 1 A, 27 % at 3 A": (Moderator(tail=0.03), 0.0),
}
"""Moderator, and extent of the pixels."""


def silicon(d_min: float = 0.3) -> Reflections:
    """Silicon's reflections down to d_min, by the rule of the diamond structure."""
    h = np.arange(int(LATTICE / d_min) + 1)
    hkl = np.array([(i, j, k) for i in h for j in h for k in h if i >= j >= k and i > 0])
    odd = np.all(hkl % 2 == 1, axis=1)
    hkl = hkl[odd | (np.all(hkl % 2 == 0, axis=1) & (hkl.sum(axis=1) % 4 == 0))]
    n = np.sum(hkl**2, axis=1)
    signs = 2 ** np.count_nonzero(hkl, axis=1)
    permutations = np.array(
        [len({(a, b, c), (b, c, a), (c, a, b), (b, a, c), (a, c, b), (c, b, a)}) for a, b, c in hkl]
    )
    strength = np.where(np.all(hkl % 2 == 0, axis=1), 64.0, 32.0) * np.exp(-0.24 * n / LATTICE**2)
    values, first, inverse = np.unique(n, return_index=True, return_inverse=True)
    total = np.bincount(inverse, signs * permutations).astype(np.int32)
    order = np.argsort(values)[::-1]
    keep = order[LATTICE / np.sqrt(values[order]) > d_min]
    return Reflections(
        hkl[first][keep].astype(np.int32), LATTICE / np.sqrt(values[keep]), strength[first][keep], total[keep]
    )


def columns(d_min: FloatArray, d_max: FloatArray, band: tuple[float, float] = (2546.7, 14105.0)) -> GroupParameters:
    """The six column groups at the arcs of run 58882."""
    return GroupParameters(
        np.arange(1, 7, dtype=np.int32), L2, TWO_THETA, np.zeros(6), d_min, d_max, WIDTHS, 15.0, *band
    )


def simulated(seeds: int, neutrons: float, name: str) -> None:
    """Deviation from the truth, pulls, Cramer-Rao ratio."""
    moderator, extent = PULSES[name]
    sine = np.sin(TWO_THETA / 2.0)
    parameters = columns(0.68 / (2.0 * sine), 3.35 / (2.0 * sine))
    print(f"\nSimulated, {neutrons:g} neutrons a group, {seeds} seeds, {name}; relative to the maximum of a peak")
    pulls, table_off, table_error, curves, bounds, seconds = [], [], [], [], [], []
    for seed in range(seeds):
        shift = np.random.default_rng(1000 + seed).normal(0.0, 1e-3, 6)
        truth = Truth(parameters, silicon(), shift, moderator, extent)
        run = drawn(truth, seed, neutrons)
        start = time.process_time()
        fit = fit_pattern(*run, parameters, truth.reflections)
        seconds.append(time.process_time() - start)
        sharp = PatternOptions(loss=None, hold_out=False)
        bound_fit = fit_pattern(*run, parameters, truth.reflections, start=fit, options=sharp)
        for off, error, given, given_error, bound in _deviations(fit, bound_fit, truth):
            pulls.append(off / error)
            curves.append(off)
            table_off.append(given)
            table_error.append(given_error)
            bounds.append(bound)
        text = f"{fit.layout.text()}{' + box' if fit.layout.box else ''}"
        print(f"  seed {seed}: {text}, chi2 {fit.chi2_whole:.3f}, error factor {fit.error_factor:.2f}", flush=True)
    off, error = np.concatenate(table_off), np.concatenate(table_error)
    within = np.abs(off) < np.maximum(30e-6, 2.0 * error)
    print(f"  table within 30 ppm or 2 sigma at d = {', '.join(map(str, D))}: {within.sum()} of {within.size}")
    print(
        f"  rms deviation of the table {1e6 * np.sqrt(np.mean(off**2)):.1f} ppm, largest {1e6 * np.abs(off).max():.0f}"
    )
    bias = 1e6 * np.mean(np.concatenate(curves))
    print(
        f"  pulls of the curves: rms {np.sqrt(np.mean(np.concatenate(pulls) ** 2)):.2f}; mean deviation {bias:.1f} ppm"
    )
    ratio = np.sqrt(np.mean(np.concatenate(curves) ** 2) / np.mean(np.concatenate(bounds) ** 2))
    print(f"  scatter over the bound of the same model by the counts (Cramer-Rao): {ratio:.2f}")
    print(f"  CPU seconds a fit, terms looked for: {np.median(seconds):.1f}")


def _deviations(fit: PatternFit, bound_fit: PatternFit, truth: Truth) -> Iterator[tuple[FloatArray, ...]]:
    """Of each group, at those of `D` that it sees: curve - truth, its error, table - truth, its error, bound; relative.

    The table's error holds what its terms cannot represent of the curve.
    """
    for index in range(len(fit)):
        d = D[(fit.d_min[index] < D) & (fit.d_max[index] > D)]
        curve = group_curve(fit, truth.parameters, index, "maximum", d)
        tof, error = truth.maximum(index, d), np.sqrt(np.diag(curve.covariance))
        terms = curve_terms(group_curve(fit, truth.parameters, index, "maximum"))
        difc, difa, tzero = terms.value
        table = tof_from_d(d, difc=difc, difa=difa, tzero=tzero)
        least = np.diag(group_curve(bound_fit, truth.parameters, index, "maximum", d).covariance)
        bound = np.sqrt(least) / bound_fit.error_factor
        yield curve.tof / tof - 1.0, error / tof, table / tof - 1.0, np.hypot(error / tof, terms.left), bound / tof


def measured(name: str, folder: Path) -> tuple[Spectra, DiffCalTable, GroupParameters, dict[int, float]]:
    """A measured run, the table of three pixels a group that stand for its angles, parameters and first shifts."""
    file, shifts = MEASURED[name]
    (spectra,) = read_processed(folder / file).values()
    assert isinstance(spectra, Spectra)
    parameters = columns(spectra.edges[:, 0], np.nanmax(spectra.edges, axis=1), BANDS[name])
    with (
        h5py.File(folder / "SNAPFocGroup_Column.lite.hdf") as grouping,
        h5py.File(folder / "snap_057514_lite_difc.h5") as calibration,
    ):
        group, detid, difc = grouping["calibration/group"][:], calibration["detid"][:], calibration["difc"][:]
    table = DiffCalTable(detid, difc, np.zeros(len(difc)), np.zeros(len(difc)))
    seen = replace(spectra, detids=[detid[group == g] for g in parameters.group], number=parameters.group)
    return seen, table, parameters, dict(zip(range(1, 7), shifts, strict=True))


MODELS: dict[str, tuple[str, ...]] = {
    "DIFC": (),
    "DIFC + t0": ("1",),
    "DIFC + t0 + t0/lambda": ("1", "1/lambda"),
    "DIFC + TZERO each": ("TZERO",),
    "DIFC + TZERO + DIFA each": ("TZERO", "DIFA"),
}


def predictions(name: str, folder: Path) -> None:
    """Held-out peaks for each position model, with the joint profile and with symmetrical peaks."""
    spectra, table, parameters, shifts = measured(name, folder)
    print(f"\nMeasured run {name}, d > 0.6 A: held-out peaks")
    print(f"  {'profile':12} {'model':26} {'chi2':>6} {'peaks':>5} {'rms ppm':>8} {'chi2 held out':>13}")
    for label, profile in (("joint", UNKNOWN_PROFILE), ("symmetrical", GAUSSIAN)):
        for model, terms in MODELS.items():
            options = PatternOptions(terms=terms, always=(), d_min=0.6)
            fit = fit_pattern(spectra, table, parameters, silicon(), profile=profile, shifts=shifts, options=options)
            p = fit.predictions[0]
            row = f"{fit.chi2_whole:6.2f} {p.peaks:5} {p.rms_ppm:8.0f} {p.chi2:13.2f}"
            print(f"  {label:12} {model:26} {row}", flush=True)
    start = time.process_time()
    fit = fit_pattern(spectra, table, parameters, silicon(), shifts=shifts, options=PatternOptions(d_min=0.6))
    rms = [p.rms_ppm for p in fit.predictions if p.kept][-1]
    print(
        f"  chosen: {fit.layout.text()}, chi2 {fit.chi2_whole:.2f}, {rms:.0f} ppm, error factor {fit.error_factor:.2f}"
    )
    print(f"  CPU seconds: {time.process_time() - start:.1f}")
    start = time.process_time()
    fit_pattern(spectra, table, parameters, silicon(), shifts=shifts)
    print(f"  CPU seconds, down to where reflections merge: {time.process_time() - start:.1f}")


def parts(name: str, folder: Path) -> None:
    """Groups against others for what all share, and halves of the counts against each other."""
    spectra, table, parameters, shifts = measured(name, folder)
    options = PatternOptions(terms=("1", "1/lambda"), d_min=0.6)
    whole = fit_pattern(spectra, table, parameters, silicon(), shifts=shifts, options=options)
    print(f"\nMeasured run {name}, t0 and t0/lambda: some of the groups against all, and halves of the counts")
    for groups in ([1, 2, 3], [4, 5, 6], *([g for g in range(1, 7) if g != left] for left in range(1, 7))):
        own = some(parameters, groups)
        fit = fit_pattern(spectra, table, own, silicon(), shifts=shifts, options=options)
        shared = fit.profile.value - whole.profile.value
        pull = shared / np.sqrt(np.diag(fit.profile.covariance) + np.diag(whole.profile.covariance))
        place = np.searchsorted(whole.group, fit.group)
        d = np.array([1.2])
        moved = [
            group_curve(fit, own, i, "maximum", d).tof[0] / group_curve(whole, parameters, int(p), "maximum", d).tof[0]
            - 1
            for i, p in enumerate(place)
        ]
        text = f"profile within {np.abs(pull).max():.1f} errors, maxima at 1.2 A moved by (ppm)"
        print(f"  groups {','.join(map(str, groups)):10} {text}", np.round(1e6 * np.array(moved)), flush=True)
    unit = np.nanmedian(np.where(spectra.y > 0, spectra.e**2 / spectra.y, np.nan))
    neutrons = np.rint(np.nan_to_num(spectra.y / unit)).astype(np.int64)
    first = np.random.default_rng(1).binomial(neutrons, 0.5)
    halves = []
    for half in (first, neutrons - first):
        seen = replace(spectra, y=half.astype(float), e=np.sqrt(half))
        halves.append(fit_pattern(seen, table, parameters, silicon(), shifts=shifts, options=options))
    pulls = []
    for i in range(6):
        d = D[(whole.d_min[i] < D) & (whole.d_max[i] > D)]
        one, other = (group_curve(h, parameters, i, "maximum", d) for h in halves)
        noise = (
            np.diag(one.covariance) / halves[0].error_factor ** 2
            + np.diag(other.covariance) / halves[1].error_factor ** 2
        )
        pulls.append((one.tof - other.tof) / np.sqrt(noise))
    rms = np.sqrt(np.mean(np.concatenate(pulls) ** 2))
    print(f"  halves of the counts: difference over the errors of the counts, rms {rms:.2f}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--neutrons", type=float, default=2e6)
    parser.add_argument("--measured", action="store_true", help="the measured runs alone")
    chosen = parser.parse_args()
    if not chosen.measured:
        for name in PULSES:
            simulated(chosen.seeds, chosen.neutrons, name)
    folder = Path(os.environ.get("SNAPCAL_REFERENCE_DATA", ""))
    if (folder / MEASURED["58882"][0]).is_file():
        for name in MEASURED:
            predictions(name, folder)
            parts(name, folder)


if __name__ == "__main__":
    main()
