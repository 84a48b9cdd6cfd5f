"""Small values and files for the tests of the formats."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    FitTable,
    Geometry,
    MaskReason,
    PixelGrouping,
    PixelMask,
    RunInfo,
    Spectra,
)

PIXELS = 40


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240607)


@pytest.fixture
def detid() -> np.ndarray:
    """Pixels with a gap in their numbers."""
    return np.concatenate([np.arange(10, 30), np.arange(100, 120)]).astype(np.int32)


@pytest.fixture
def table(detid: np.ndarray, rng: np.random.Generator) -> DiffCalTable:
    """A calibration in which every term differs from 0."""
    n = len(detid)
    return DiffCalTable(detid, rng.uniform(3000, 8000, n), rng.normal(0, 2, n), rng.normal(0, 5, n))


@pytest.fixture
def mask(detid: np.ndarray) -> PixelMask:
    """A mask with several reasons."""
    reason = np.zeros(len(detid), np.uint8)
    reason[[3, 7, 31]] = [MaskReason.NO_PEAK, MaskReason.USER, MaskReason.NO_COUNTS]
    return PixelMask(detid, reason)


@pytest.fixture
def pixel_grouping(detid: np.ndarray) -> PixelGrouping:
    """Groups that are not contiguous, with pixels in none."""
    group = np.repeat([2, 0, 7, 11], len(detid) // 4).astype(np.int32)
    return PixelGrouping(detid, group, "Natural")


@pytest.fixture
def geometry(detid: np.ndarray, rng: np.random.Generator) -> Geometry:
    """Positions of the pixels."""
    n = len(detid)
    angles = rng.uniform(0.5, 2.5, n), rng.uniform(-3, 3, n)
    return Geometry(detid, 15.0, rng.uniform(0.5, 0.6, n), *angles, instrument="SNAP")


@pytest.fixture
def spectra(detid: np.ndarray, rng: np.random.Generator) -> Spectra:
    """Two focused spectra with edges of their own."""
    edges = np.stack([np.geomspace(0.5, 2.0, 51), np.geomspace(0.6, 2.5, 51)])
    y = rng.poisson(20, (2, 50)).astype(float)
    run = RunInfo("58882", "Silicon", "2023-05-01T10:00:00", "2023-05-01T11:00:00", 12.5, {"det_arc1": -65.3}, "a run")
    halves = [detid[:20], detid[20:]]
    return Spectra(edges, y, np.sqrt(y), "dSpacing", halves, np.array([2, 7], np.int32), "focused", run)


@pytest.fixture
def fits(rng: np.random.Generator) -> FitTable:
    """Three fits, one of which failed."""

    def values(*, failed: bool = False) -> np.ndarray:
        found = rng.uniform(0.5, 2.0, 3)
        found[2] = np.nan if failed else found[2]
        return found

    return FitTable(
        group=np.array([1, 1, 6], np.int32),
        hkl=np.array([[1, 1, 1], [2, 2, 0], [3, 1, -1]], np.int32),
        d=values(),
        centre=values(failed=True),
        centre_error=values(failed=True),
        sigma=values(failed=True),
        height=values(),
        intensity=values(),
        chi2=values(failed=True),
        used=np.array([True, True, False]),
        why_not=("", "", "chi-squared 14.2 above 10"),
        window_min=values(),
        window_max=values(),
        parameters=rng.uniform(0, 1, (3, 4)),
        parameter_names=("PeakCentre", "Sigma", "A0", "A1"),
        profile="Gaussian",
    )


@pytest.fixture
def event_file(tmp_path: Path) -> Path:
    """An event file made with h5py alone, as the facility writes them: three banks with events and an empty one."""
    path = tmp_path / "SNAP_58882.nxs.h5"
    random = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        for name, text in (("run_number", b"0058882"), ("title", b"Silicon"), ("start_time", b"2023-05-01T10:00:00")):
            entry[name] = np.array([text])
        entry["proton_charge"] = np.array([3.6e9 * 2.5])
        entry["proton_charge"].attrs["units"] = "picoCoulomb"
        entry["duration"] = np.array([120.0], np.float32)
        for bank, events in enumerate((5000, 0, 12_345, 1)):
            group = entry.create_group(f"bank{bank}_events")
            group.attrs["NX_class"] = "NXevent_data"
            ids = random.integers(bank * 10, bank * 10 + 10, events).astype(np.uint32)
            tof = random.uniform(500, 16_000, events).astype(np.float32)
            packing = {"chunks": (1000,), "maxshape": (None,), "compression": "gzip", "compression_opts": 4}
            group.create_dataset("event_id", data=ids, **packing)
            group.create_dataset("event_time_offset", data=tof, **packing).attrs["units"] = "microsecond"
            group["event_index"] = np.array([0, events // 2], np.uint64)
            group["event_time_zero"] = np.array([0.0, 1 / 60])
            group["total_counts"] = np.array([events], np.uint64)
    return path
