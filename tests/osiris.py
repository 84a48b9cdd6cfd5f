"""Measured OSIRIS spectra as events, for the tests of the pixel step (the data come from `reference_data`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from snapcal_workbench.calibration.types import Events, Geometry, GroupParameters, PixelGrouping, TofWindow


@dataclass(frozen=True, eq=False)
class Osiris:
    """TOF histograms of 960 detectors: edges us, counts, and the flight paths (m) and angles (rad)."""

    edges: np.ndarray
    counts: np.ndarray
    geometry: Geometry


def read_osiris(folder: Path) -> Osiris:
    with h5py.File(folder / "osiris_089813_pixels.h5") as file:
        edges = file["tof_edges"][()] + file["frame_offset"][()]
        counts = file["counts"][()].astype(np.float64)
        n = len(counts)
        geometry = Geometry(
            np.arange(n, dtype=np.int32),
            float(file["L1"][()]),
            file["L2"][()],
            np.radians(file["two_theta"][()]),
            np.zeros(n),
            instrument="OSIRIS",
        )
    return Osiris(edges, counts, geometry)


def rebinned_events(data: Osiris, pixels: np.ndarray, d_edges: np.ndarray) -> Events:
    """Events of some pixels at the centres of d bins, one a bin, weighted with the counts that fall into the bin.

    Counts are shared between bins by linear interpolation of the cumulative counts.
    """
    geometry = subset(data.geometry, pixels)
    difc = geometry.difc
    centres = np.sqrt(d_edges[1:] * d_edges[:-1])
    weight = [
        np.diff(np.interp(d_edges, data.edges / c, np.concatenate([[0], np.cumsum(data.counts[p])])))
        for p, c in zip(pixels, difc, strict=True)
    ]
    tof = difc[:, None] * centres
    start = np.arange(len(pixels) + 1, dtype=np.int64) * len(centres)
    window = TofWindow(float(data.edges[0]), float(data.edges[-1]))
    return Events(
        tof.ravel().astype(np.float32),
        start,
        geometry,
        window,
        weight=np.concatenate(weight).astype(np.float32),
    )


def spread_events(data: Osiris, pixels: np.ndarray, parts: int = 8) -> Events:
    """Events of some pixels: each TOF bin's counts on `parts` evenly spaced places within the bin.

    Counts all at a bin's centre would beat with the bins of another grid; a few places a bin keep the error of a
    bin's counts small.
    """
    geometry = subset(data.geometry, pixels)
    place = (np.arange(parts) + 0.5) / parts
    tof = (data.edges[:-1, None] + np.diff(data.edges)[:, None] * place).ravel().astype(np.float32)
    weight = np.repeat(data.counts[pixels] / parts, parts, axis=1).astype(np.float32)
    start = np.arange(len(pixels) + 1, dtype=np.int64) * len(tof)
    window = TofWindow(float(data.edges[0]), float(data.edges[-1]))
    return Events(np.tile(tof, len(pixels)), start, geometry, window, weight=weight.ravel())


def thinned_events(data: Osiris, pixels: np.ndarray, events_per_pixel: int, seed: int) -> Events:
    """Single events drawn from the measured spectra, a given number a pixel, evenly within their TOF bins."""
    random = np.random.default_rng(seed)
    edges = data.edges
    parts = []
    for p in pixels:
        counts = random.multinomial(events_per_pixel, data.counts[p] / data.counts[p].sum())
        k = np.repeat(np.arange(len(counts)), counts)
        parts.append(edges[k] + random.random(len(k)) * (edges[k + 1] - edges[k]))
    start = np.arange(len(pixels) + 1, dtype=np.int64) * events_per_pixel
    window = TofWindow(float(edges[0]), float(edges[-1]))
    return Events(np.concatenate(parts).astype(np.float32), start, subset(data.geometry, pixels), window)


def subset(geometry: Geometry, pixels: np.ndarray) -> Geometry:
    return Geometry(
        np.arange(len(pixels), dtype=np.int32),
        geometry.l1,
        geometry.l2[pixels],
        geometry.two_theta[pixels],
        geometry.azimuth[pixels],
        instrument=geometry.instrument,
    )


def grouped(events: Events, size: int, delta_d: float) -> tuple[PixelGrouping, GroupParameters]:
    """Groups of `size` consecutive detectors, with the d range that every detector of a group sees, and 2 % less."""
    group = (np.arange(len(events.geometry)) // size + 1).astype(np.int32)
    difc, ids = events.geometry.difc, np.unique(group)
    lowest = np.array([difc[group == i].min() for i in ids])
    highest = np.array([difc[group == i].max() for i in ids])
    angle = np.array([events.geometry.two_theta[group == i].mean() for i in ids])
    flat = np.ones(len(ids))
    window = events.window
    parameters = GroupParameters(
        group=ids.astype(np.int32),
        l2=flat,
        two_theta=angle,
        azimuth=0 * flat,
        d_min=window.minimum / lowest * 1.02,
        d_max=window.maximum / highest * 0.98,
        delta_d=delta_d * flat,
        l1=events.geometry.l1,
        tof_min=window.minimum,
        tof_max=window.maximum,
    )
    return PixelGrouping(events.geometry.detid, group), parameters
