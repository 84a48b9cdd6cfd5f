"""Between the arrays that Mantid's workspaces hand out and the plugin's values. No Mantid here: only arrays and text.

A *pixel spectrum* is a spectrum of exactly one detector; monitors (negative detector ids) and spectra without a
detector are no pixels. What a workspace cannot say by itself - of which kind its value is, which TOF range of a run was
kept - is a *note*: JSON text in the log `snapcal` of the workspace, which clones and renamed workspaces keep.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    FloatArray,
    Geometry,
    IntArray,
    LogValue,
    MaskReason,
    PixelGrouping,
    PixelMask,
    PixelResults,
    RunInfo,
    Spectra,
    TofWindow,
    Unit,
)
from snapcal_workbench.errors import InputError

NOTE = "snapcal"
"""Name of the log that holds the note."""
RESULT_COLUMNS = ("shift", "sigma", "own_shift", "own_sigma", "events", "chi2", "reason")
"""What each point of a workspace of pixel results is, in this order."""
CROPPED_FRACTION = 0.02
"""A run without events in this fraction of its TOF range, at either end, was cropped by the user."""
ROUNDING = 1e-12
"""Difference (relative, m or rad) that writing positions and reading them back may make: a thousand times what it does,
and a thousandth of what a moved detector does."""
LARGEST_WHOLE_NUMBER = 2**31 - 1
"""A log of an int that every release of Mantid takes."""
_ORIGIN = ("run_number", "title", "start_time", "end_time", "source")
"""What the note says of the run; its title, too, because Mantid gives the log of it to the title of the workspace."""


@dataclass(frozen=True, eq=False)
class PixelSpectra:
    """Which spectra of a workspace are pixels, in ascending order of detid: int32[n] each."""

    detid: IntArray
    spectrum: IntArray


def pixel_spectra(detectors: Sequence[Sequence[int]], name: str) -> PixelSpectra:
    """The pixel spectra among spectra with these detector ids.

    Raises:
        InputError: A spectrum has several detectors, a detector has several spectra, or there is no pixel.
    """
    counts = np.array([len(ids) for ids in detectors], np.int64)
    if np.any(counts > 1):
        raise InputError(
            f"Each spectrum of '{name}' must be of one detector.",
            found=f"{np.count_nonzero(counts > 1)} spectra of several",
            fix="Use the run before it was grouped or focused.",
        )
    spectrum = np.flatnonzero(counts == 1)
    detid = np.array([detectors[i][0] for i in spectrum.tolist()], np.int64)
    spectrum, detid = spectrum[detid >= 0], detid[detid >= 0]
    order = np.argsort(detid, kind="stable")
    spectrum, detid = spectrum[order], detid[order]
    if len(detid) == 0 or np.any(detid[1:] == detid[:-1]):
        raise InputError(
            f"The spectra of '{name}' must be of different detectors.",
            found="no detectors" if len(detid) == 0 else "two spectra of one detector",
            fix="Use a workspace with an instrument and one spectrum a detector.",
        )
    return PixelSpectra(detid.astype(np.int32), spectrum.astype(np.int32))


def per_detector(detectors: Sequence[Sequence[int]], value: FloatArray) -> tuple[IntArray, FloatArray]:
    """A value (or row) a spectrum as one a detector, of which it may have several; in ascending order of detid."""
    counts = [len(ids) for ids in detectors]
    detid = np.fromiter((i for ids in detectors for i in ids), np.int32, sum(counts))
    repeated = np.repeat(value, counts, axis=0)
    order = np.argsort(detid, kind="stable")
    order = order[detid[order] >= 0]
    return detid[order], repeated[order]


# -- events -------------------------------------------------------------------------------------------------------


def histogram_events(
    x: FloatArray, y: FloatArray, *, distribution: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Counts as weighted events at the bin centres; empty bins and counts that are not finite make none.

    Args:
        x: float64[n, bins + 1] edges, or float64[n, bins] points, us.
        y: float64[n, bins].
        distribution: Whether y is counts per us.

    Returns:
        tof: float32[events], us.
        weight: float32[events].
        start: int64[n + 1].
    """
    edges = bin_edges(x, y.shape[1])
    if distribution:
        y = y * np.diff(edges, axis=1)
    kept = np.isfinite(y) & (y != 0.0)
    centre = 0.5 * (edges[:, 1:] + edges[:, :-1])
    start = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)
    return centre[kept].astype(np.float32), y[kept].astype(np.float32), start


def bin_edges(x: FloatArray, bins: int) -> FloatArray:
    """float64[n, bins + 1]: the edges of bins; of points, the bins that have them in their middle."""
    if x.shape[1] == bins + 1:
        return x
    if bins < 2:
        return np.concatenate([x - 0.5, x + 0.5], axis=1)
    middle = 0.5 * (x[:, 1:] + x[:, :-1])
    return np.concatenate([2.0 * x[:, :1] - middle[:, :1], middle, 2.0 * x[:, -1:] - middle[:, -1:]], axis=1)


def window_of(tof: NDArray[np.float32], note: Mapping[str, Any]) -> TofWindow:
    """The TOF range that was kept: as the note says, but from the first to the last event where those are well within.

    Then the user has cropped the run, or nobody has said what was kept.
    """
    stated = note.get("window")
    finite = tof[np.isfinite(tof)]
    first, last = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if not stated:
        return TofWindow(first, last)
    low, high = stated["minimum"], stated["maximum"]
    slack = CROPPED_FRACTION * (high - low) if len(finite) else np.inf
    gaps = tuple((start, end) for start, end in stated["gaps"])
    return TofWindow(low if first - low <= slack else first, high if high - last <= slack else last, gaps)


def unrounded(read: Geometry, written: Geometry | None) -> Geometry:
    """The geometry that a workspace was written with, where what it says now differs by rounding alone.

    Positions in Cartesian coordinates change distances and angles by 1e-16, which single precision in the pixel step
    makes 1e-8 of DIFC.
    """
    if written is None or len(read) != len(written) or not np.array_equal(read.detid, written.detid):
        return read
    pairs = [(np.float64(read.l1), np.float64(written.l1))]
    pairs += [(getattr(read, name), getattr(written, name)) for name in ("l2", "two_theta", "azimuth")]
    same = all(np.allclose(one, other, rtol=ROUNDING, atol=ROUNDING) for one, other in pairs)
    return written if same and read.instrument == written.instrument else read


# -- spectra and maps -----------------------------------------------------------------------------------------------


def spectra_of(
    x: FloatArray,
    y: FloatArray,
    e: FloatArray,
    *,
    distribution: bool,
    unit: Unit,
    detids: Sequence[IntArray],
    number: IntArray,
    title: str,
    run: RunInfo,
) -> Spectra:
    """Histograms of the arrays of a workspace (bins or points; counts, or counts a unit of x)."""
    edges = bin_edges(x, y.shape[1])
    if distribution:
        width = np.diff(edges, axis=1)
        y, e = y * width, e * width
    shared = edges[0] if np.all(edges == edges[0]) else edges
    return Spectra(shared, y, e, unit, detids, number, title, run)


def flat_arrays(spectra: Spectra) -> tuple[FloatArray, FloatArray, FloatArray]:
    """X, Y and E of all spectra one after the other, as CreateWorkspace takes them."""
    edges = np.broadcast_to(spectra.edges, (len(spectra.y), spectra.edges.shape[-1]))
    return edges.ravel(), spectra.y.ravel(), spectra.e.ravel()


def results_to_rows(results: PixelResults) -> FloatArray:
    """float64[n, 7]: a row a pixel, with the columns of `RESULT_COLUMNS`."""
    return np.stack([np.asarray(getattr(results, name), np.float64) for name in RESULT_COLUMNS], axis=1)


def results_of(detid: IntArray, rows: FloatArray) -> PixelResults:
    """Pixel results of their rows, in ascending order of detid."""
    order = np.argsort(detid, kind="stable")
    columns = dict(zip(RESULT_COLUMNS, rows[order].T, strict=True))
    reason = columns.pop("reason").astype(np.uint8)
    return PixelResults(detid=detid[order].astype(np.int32), reason=reason, **columns)


# -- tables, masks, groupings ---------------------------------------------------------------------------------------


def table_of(columns: Mapping[str, Sequence[object]], name: str) -> DiffCalTable:
    """The calibration in a table's columns, which may be in any order and among others; rows in any order, too.

    Raises:
        InputError: There is no detid or difc, or a detector has two rows.
    """
    missing = [column for column in ("detid", "difc") if column not in columns]
    if missing:
        raise InputError(
            f"The table '{name}' must have the columns detid and difc.",
            found=", ".join(columns) or "no columns",
            fix="Choose a calibration table, as LoadDiffCal makes it.",
        )
    detid = np.asarray(columns["detid"], np.int32)
    order = np.argsort(detid, kind="stable")
    detid = detid[order]
    if np.any(detid[1:] == detid[:-1]):
        raise InputError(
            f"The table '{name}' must have one row a detector.",
            found=f"detector {detid[:-1][detid[1:] == detid[:-1]][0]} more than once",
            fix="Remove the rows that are too many.",
        )
    zeros = np.zeros(len(detid))
    difc, difa, tzero = (
        np.asarray(columns[column], np.float64)[order] if column in columns else zeros
        for column in ("difc", "difa", "tzero")
    )
    return DiffCalTable(detid, difc, difa, tzero)


def mask_of(detid: IntArray, masked: FloatArray, reason: FloatArray) -> PixelMask:
    """A mask of the values (not 0: masked) and errors of a MaskWorkspace, where our masks keep the reason.

    A masked pixel whose error is no reason was masked by the user.
    """
    known = np.isin(reason, [value for value in MaskReason if value != MaskReason.USED])
    found = np.where(known, reason, MaskReason.USER)
    return PixelMask(detid, np.where(masked != 0, found, MaskReason.USED).astype(np.uint8))


def grouping_of(detid: IntArray, group: FloatArray, name: str) -> PixelGrouping:
    """A grouping of the values of a GroupingWorkspace."""
    return PixelGrouping(detid, np.rint(group).astype(np.int32), name)


# -- what is said of a run ------------------------------------------------------------------------------------------


def plain_log(value: Any) -> LogValue | None:
    """The last value of a log as Mantid hands it out: a number, text, or a series of them; None without a value."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    try:
        last = list(value)[-1]
    except (TypeError, IndexError):
        return None
    plain = last.item() if isinstance(last, np.generic) else last
    return plain if isinstance(plain, (bool, int, float, str)) else str(plain)


def run_info_of(logs: Mapping[str, LogValue], *, title: str, name: str) -> RunInfo:
    """What a workspace says of its run, from its logs and the note among them."""
    note = note_of(logs)

    def words(*keys: str) -> str:
        return next((str(logs[key]).strip() for key in keys if logs.get(key) not in (None, "")), "")

    def number(key: str, noted: str) -> float:
        value = logs.get(key)
        return (float(value) if isinstance(value, (int, float)) else 0.0) or float(note.get(noted, 0.0))

    info = RunInfo(
        run_number=words("run_number").lstrip("0"),
        title=words("run_title") or title,
        start_time=words("start_time", "run_start"),
        end_time=words("end_time", "run_end"),
        proton_charge=number("gd_prtn_chrg", "proton_charge"),
        logs={key: value for key, value in logs.items() if key != NOTE},
        source=words("Filename") or name,
        duration=number("duration", "duration"),
    )
    stated: dict[str, Any] = {key: str(note[key]) for key in _ORIGIN if note.get(key)}
    return replace(info, **stated)


def logs_to_write(info: RunInfo) -> dict[str, LogValue]:
    """The logs that a workspace must have so that `run_info_of` finds what `info` says; lists are left out.

    Each is of one of Python's own types, which alone Mantid takes: numpy's, and others that are made from these, it
    refuses. So it does with whole numbers of more than 32 bits, in some releases: they become floating-point numbers.
    """
    own: dict[str, LogValue] = {
        "run_number": info.run_number.split("+")[0],
        "run_title": info.title,
        "gd_prtn_chrg": float(info.proton_charge),
        "duration": float(info.duration),
    }
    given = {key: _of_python(value) for key, value in info.logs.items() if isinstance(value, (bool, int, float, str))}
    return {**given, **{key: value for key, value in own.items() if value not in ("", 0.0)}}


def _of_python(value: bool | int | float | str) -> LogValue:
    if isinstance(value, (bool, str)):
        return bool(value) if isinstance(value, bool) else str(value)
    return int(value) if isinstance(value, int) and abs(value) <= LARGEST_WHOLE_NUMBER else float(value)


def make_note(kind: str, info: RunInfo | None = None, window: TofWindow | None = None, label: str = "") -> str:
    """The note of a workspace with a value of `kind`."""
    note: dict[str, object] = {"kind": kind, "label": label}
    if info is not None:
        note.update({key: getattr(info, key) for key in (*_ORIGIN, "proton_charge", "duration")})
    if window is not None:
        note["window"] = {"minimum": window.minimum, "maximum": window.maximum, "gaps": window.gaps}
    return json.dumps(note)


def note_of(logs: Mapping[str, LogValue]) -> dict[str, Any]:
    """The note among the logs; empty without one that can be read."""
    try:
        note = json.loads(str(logs.get(NOTE, "")))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}
