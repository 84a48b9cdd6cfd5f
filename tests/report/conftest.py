"""A calibration of silicon on SNAP, made from closed forms, from which reports and pictures are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    Geometry,
    GroupCalibration,
    GroupMetrics,
    GroupResults,
    MaskReason,
    PassRecord,
    PixelCalibration,
    PixelLayout,
    PixelMask,
    PixelResults,
    RunInfo,
    Spectra,
)
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.geometry import PANELS
from snapcal_workbench.options import CalibrationOptions
from snapcal_workbench.report.html import ReportContents

SI_HKL = np.array(
    [[6, 2, 0], [5, 3, 1], [4, 4, 0], [5, 1, 1], [4, 2, 2], [3, 3, 1], [4, 0, 0], [3, 1, 1], [2, 2, 0], [1, 1, 1]]
)
SI_D = 5.43123 / np.sqrt((SI_HKL**2).sum(axis=1))
DELTA_D = (0.0028, 0.0032, 0.0040, 0.0043, 0.0054, 0.0075)


def snap_like_geometry(side: int) -> Geometry:
    """18 modules of side x side pixels, placed as SNAP's with arcs of 104.95 (East) and -65.3 (West) degrees."""
    n = 18 * side * side
    index = np.arange(n)
    module, rest = np.divmod(index, side * side)
    x, y = np.divmod(rest, side)
    pitch, width = 0.167548, 0.158208
    offset = (np.arange(side) - (side - 1) / 2) * width / side
    across = ((module % 9) // 3 - 1) * pitch + offset[x]
    up = (module % 3 - 1) * pitch + offset[y]
    arc = np.radians(np.where(module < 9, 104.95, -65.3))
    world = np.stack([0.5 * np.sin(arc) - across * np.cos(arc), up, 0.5 * np.cos(arc) + across * np.sin(arc)])
    l2 = np.sqrt((world**2).sum(axis=0))
    layout = PixelLayout(module.astype(np.int16), x.astype(np.int16), y.astype(np.int16), side, panels=PANELS)
    name = "SNAPLite" if side == 32 else "SNAP"
    azimuth = np.arctan2(world[1], world[0])
    return Geometry(index.astype(np.int32), 15.0, l2, np.arccos(world[2] / l2), azimuth, layout, name)


def column_groups(geometry: Geometry) -> np.ndarray:
    """Groups 1 to 6: the columns of modules, in the order of falling scattering angle."""
    return np.array([1, 2, 3, 6, 5, 4])[layout_of(geometry).module // 3]


def layout_of(geometry: Geometry) -> PixelLayout:
    assert geometry.layout is not None
    return geometry.layout


def expected(group: int) -> ExpectedPeaks:
    """Silicon's peaks in the group's range of d; the shortest are left out."""
    low = (0.55, 0.6, 0.68, 0.72, 0.86, 1.1)[group - 1]
    chosen, half = low * 1.25 < SI_D, 3.0 * DELTA_D[group - 1]
    d = SI_D[chosen]
    dropped = (
        ((7, 5, 1), float(5.43123 / np.sqrt(75.0)), "weaker than 1 % of the strongest"),
        ((8, 0, 0), 0.6789, "windows overlap"),
    )
    ones = np.ones(len(d))
    return ExpectedPeaks(
        group,
        SI_HKL[chosen].astype(np.int32),
        d,
        ones,
        ones.astype(np.int32),
        d * (1 - half),
        d * (1 + 1.25 * half),
        dropped,
    )


def spectra_and_fits(peaks: dict[int, ExpectedPeaks], rng: np.random.Generator) -> tuple[Spectra, Spectra, FitTable]:
    """Poisson counts of Gaussian peaks on a background, the curves behind them, and the table of the peaks."""
    edges = np.exp(np.arange(np.log(0.5), np.log(4.2), 0.00028))
    centres = 0.5 * (edges[1:] + edges[:-1])
    truth, inside, rows = [], [], []
    for group, each in peaks.items():
        sigma = DELTA_D[group - 1] * each.d
        strain = rng.normal(0, 4e-5, len(each))
        height = 900 * each.d**1.5 * rng.uniform(0.3, 1, len(each))
        model = 120 + 30 / centres
        window = np.zeros(len(centres), bool)
        for d, s, h, e, low, high in zip(each.d, sigma, height, strain, each.window_min, each.window_max, strict=True):
            model = model + h * np.exp(-0.5 * ((centres - d * (1 + e)) / s) ** 2)
            window |= (centres > low) & (centres < high)
        limits = (0.55, 0.6, 0.68, 0.72, 0.86, 1.1)[group - 1], 3.4 + 0.12 * group
        model = np.where((centres > limits[0]) & (centres < limits[1]), model, 0)
        truth.append(model)
        inside.append(np.where(window, model, np.nan))
        used = np.ones(len(each), bool)
        used[0] = False
        rows.append((group, each, strain, sigma, height, used))
    counts = rng.poisson(np.array(truth)).astype(float)
    number = np.array(list(peaks), np.int32)
    detids = [np.arange(3, dtype=np.int32)] * len(number)
    spectra = Spectra(edges, counts, np.sqrt(np.maximum(counts, 1)), "dSpacing", detids, number)
    return spectra, replace(spectra, y=np.array(inside)), fit_table(rows, rng)


def fit_table(rows: list, rng: np.random.Generator) -> FitTable:
    def joined(values):
        return np.concatenate(values) if values else np.empty(0)

    d = joined([p.d for _, p, *_ in rows])
    used = joined([u for *_, u in rows]).astype(bool)
    sigma = joined([s for _, _, _, s, _, _ in rows])
    strain = joined([s for _, _, s, *_ in rows])
    height = joined([h for *_, h, _ in rows])
    reasons = ["chi-squared 38.2 is above the limit of 12.4", "centre at the edge of its window"]
    why = tuple("" if u else reasons[i % 2] for i, u in enumerate(used))
    return FitTable(
        joined([np.full(len(p), g) for g, p, *_ in rows]).astype(np.int32),
        np.concatenate([p.hkl for _, p, *_ in rows]) if rows else np.empty((0, 3), np.int32),
        d, d * (1 + strain), sigma / np.sqrt(30 * height), sigma, height, 2.5 * height * sigma / (0.00028 * d),
        rng.uniform(0.8, 2.0, len(d)), used, why,
        joined([p.window_min for _, p, *_ in rows]), joined([p.window_max for _, p, *_ in rows]),
        np.column_stack([height, d]) if len(d) else np.empty((0, 2)), ("Height", "PeakCentre"), "Gaussian",
    )  # fmt: skip


def metrics_of(fits: FitTable, two_theta: np.ndarray, groups: np.ndarray) -> GroupMetrics:
    """Quality figures by their definitions."""

    def each(function, values):
        return np.array([function(values[(fits.group == g) & fits.used]) for g in groups])

    count = [int(((fits.group == g) & fits.used).sum()) for g in groups]
    rejected = [int(((fits.group == g) & ~fits.used).sum()) for g in groups]
    width, own = fits.sigma / fits.centre, (fits.d - fits.centre) / fits.sigma
    return GroupMetrics(
        groups.astype(np.int32), two_theta, each(np.mean, width), each(np.std, width), each(np.median, fits.strain),
        each(np.std, fits.strain), each(np.mean, own), each(np.std, own), each(np.median, fits.chi2),
        np.full(len(groups), 1.1), np.array(count, np.int32), np.array(rejected, np.int32),
    )  # fmt: skip


def results_of(groups: np.ndarray, metrics: GroupMetrics) -> GroupResults:
    """Terms that were found: DIFC and TZERO in all groups."""
    n, difc = len(groups), 252.778 * 15.5 * 2 * np.sin(metrics.two_theta / 2)
    factor = 1 + 1e-4 * np.array([4.8, 2.7, 4.8, 29.6, 47.4, 72.2])[:n]
    return GroupResults(
        groups.astype(np.int32), ("DIFC+TZERO",) * n, difc, difc * factor, np.zeros(n), np.full(n, -7.5),
        difc * 2e-5, np.full(n, np.nan), np.full(n, 0.8), metrics.peaks_used,
        metrics.peaks_used + metrics.peaks_rejected,
        np.full(n, 1.3), "Recommended: DIFC+TZERO in every group (smallest AICc).",
    )  # fmt: skip


def pixel_calibration(geometry: Geometry, shift: np.ndarray, mask: PixelMask, table: DiffCalTable) -> PixelCalibration:
    """Three passes, the last of which was kept."""
    rng = np.random.default_rng(5)
    n = len(geometry)
    sigma = rng.gamma(20, 4e-6, n)
    shift = np.where(mask.masked, 0.0, shift)
    events = np.where(mask.reason == MaskReason.NO_COUNTS, 0.0, 2000.0)
    results = PixelResults(geometry.detid, shift, sigma, shift, 1.1 * sigma, events, np.ones(n), mask.reason)
    passes = tuple(
        PassRecord(
            i + 1,
            m,
            3.1 * m,
            85.0,
            {g: m * (0.6 + 0.15 * g) for g in range(1, 7)},
            200 + 40 * i,
            40 * (i > 0) + 200 * (i == 0),
            i == 2,
        )
        for i, m in enumerate((310.0, 24.0, 6.1))
    )
    return PixelCalibration(
        table, mask, results, passes, "converged", "Converged in pass 3: the median |offset| is below 0.5 bins."
    )


def make_contents(side: int = 32) -> ReportContents:
    rng = np.random.default_rng(1)
    geometry = snap_like_geometry(side)
    group = column_groups(geometry)
    layout = layout_of(geometry)
    module = layout.module
    steps = rng.uniform(0.001, 0.0077, 18)[module]
    smooth = 4e-4 * (np.sin(3 * layout.x / side + module) + layout.y / side - 0.5)
    shift = steps + smooth + rng.normal(0, 1e-4, len(geometry))
    before = DiffCalTable.from_geometry(geometry)
    after = DiffCalTable(before.detid, before.difc * np.exp(shift), before.difa, before.tzero - 7.5)
    reason = np.zeros(len(geometry), np.uint8)
    reason[(module == 12) & (layout.y < side // 3)] = MaskReason.NO_COUNTS
    reason[rng.random(len(geometry)) < 0.004] = MaskReason.NO_PEAK
    reason[(module == 4) & (layout.x > 0.9 * side)] = MaskReason.USER
    reason[rng.random(len(geometry)) < 0.002] = MaskReason.AT_LIMIT
    mask = PixelMask(geometry.detid, reason)
    peaks = {g: expected(g) for g in range(1, 7)}
    spectra, fitted, fits = spectra_and_fits(peaks, rng)
    detids = [geometry.detid[(group == g) & (reason == 0)] for g in peaks]
    two_theta = np.array([geometry.two_theta[ids].mean() for ids in detids])
    groups = np.array(list(peaks))
    metrics = metrics_of(fits, two_theta, groups)
    results = results_of(groups, metrics)
    first = replace(fits, centre=fits.centre * (1 + 1e-3 * fits.group))
    logs = {"det_arc1": -65.3, "det_arc2": 104.95}
    run = RunInfo(
        "58882", "Silicon NIST 640d", "2023-08-01T10:00:00", "2023-08-01T14:10:00", 3120.5, logs, "SNAP_58882.nxs.h5"
    )
    return ReportContents(
        title="Calibration of SNAP run 58882", run_info=run, state_id="04bd2c53f6bf6754",
        mode=SNAP.lite if side == 32 else SNAP.native,
        calibrant="Silicon_NIST_640D_001", grouping="Column", options=CalibrationOptions(), geometry=geometry,
        table_before=before, table_after=after, mask=mask, pixel=pixel_calibration(geometry, shift, mask, after),
        groups=GroupCalibration(after, mask, first, results), spectra=replace(spectra, detids=detids),
        fitted=replace(fitted, detids=detids), peaks=peaks, final_fits=fits, metrics=metrics,
        provenance={"Start": "default calibration (version 0)", "Author": "tester"},
        warnings=["Group 6 has only 3 peaks; 4 or more are better."],
    )  # fmt: skip


@pytest.fixture(scope="session")
def contents() -> ReportContents:
    """A lite calibration."""
    return make_contents()


@pytest.fixture(scope="session")
def builders() -> SimpleNamespace:
    """What makes other calibrations: make_contents(side), snap_like_geometry(side)."""
    builder: Callable[[int], ReportContents] = make_contents
    return SimpleNamespace(make_contents=builder, snap_like_geometry=snap_like_geometry)
