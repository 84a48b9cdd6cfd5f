"""The plugin's values as Mantid's workspaces. Each function makes one workspace, which is in no list yet.

A *donor* is a run in the list: what is made of its pixels takes the instrument over from it, so that Show Instrument
and ConvertUnits work. Large tables, masks, groupings and event lists go through a temporary file, which Mantid reads at
once, because its Python functions take them row by row only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from mantid.api import ITableWorkspace, MatrixWorkspace, Workspace, WorkspaceFactory

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
    FloatArray,
    Geometry,
    IntArray,
    PixelGrouping,
    PixelMap,
    PixelMask,
    PixelResults,
    RunInfo,
    Spectra,
    TofWindow,
)
from snapcal_workbench.calibration.types.calibration import ACCOUNT_LOG
from snapcal_workbench.errors import InputError, StoreError
from snapcal_workbench.formats.diffcal import DiffCalRows, write_rows
from snapcal_workbench.formats.instrument_xml import instrument_definition
from snapcal_workbench.formats.nexus.events import BankEvents, write_events
from snapcal_workbench.formats.tables import fit_table_to_table
from snapcal_workbench.hosts import mantid_reading as reading
from snapcal_workbench.hosts.conversions import NOTE, flat_arrays, logs_to_write, make_note, results_to_rows
from snapcal_workbench.hosts.mantid_execution import run_child, run_past_list, run_watched
from snapcal_workbench.hosts.spectra_arrays import cancellable, number_of_events
from snapcal_workbench.instrument.known import mode_defined_as, native_mode_of
from snapcal_workbench.progress import Progress

_SOME_TIME = "2000-01-01T00:00:00"
"""Start and end of a run that does not say when it was: pulse times need one."""
_OF_THE_LOADER = ("pause", "nperiods", "period_log")
"""Logs by which LoadEventNexus leaves out events or divides a run, from series that a last value cannot replace."""
_UNNAMED = "unnamed"
"""Name of outputs that do not appear in the workspace list."""
_OfDiffCal = Literal["Cal", "Mask", "Grouping"]
_OF_DIFFCAL = get_args(_OfDiffCal)
"""What LoadDiffCal makes, as the names of its properties have it."""


@dataclass(frozen=True, eq=False)
class Donor:
    """A run in the workspace list, and where its pixels are."""

    workspace: MatrixWorkspace
    geometry: Geometry


@contextmanager
def _file(suffix: str, write: Callable[[Path], None]) -> Iterator[str]:
    """The path of a temporary file that `write` has written."""
    with tempfile.TemporaryDirectory(prefix="snapcal-") as folder:
        path = Path(folder) / f"workspace{suffix}"
        write(path)
        yield str(path)


# -- runs and spectra -------------------------------------------------------------------------------------------------


def events_workspace(events: Events, progress: Progress | None = None) -> MatrixWorkspace:
    """An EventWorkspace with the instrument of the events' geometry.

    Raises:
        InputError: This Mantid cannot take weighted events.
        StoreError: Mantid did not take over every event.
        Cancelled: The user cancelled.
    """
    progress = progress or Progress()
    with _file(".nxs.h5", lambda path: _write_run(path, events, progress.part(0.0, 0.4))) as path:
        made = run_watched(
            "LoadEventNexus",
            progress.part(0.4, 1.0),
            "OutputWorkspace",
            Filename=path,
            OutputWorkspace=_UNNAMED,
        )
    check_number_of_events(made, len(events.tof), f"run {events.run.run_number}".strip())
    _check_weights(made, events)
    describe(made, "Events", events.run, window=events.window)
    return made


def _write_run(path: Path, events: Events, progress: Progress) -> None:
    """The events as a run of one bank; pulse times are not known."""
    run, geometry = events.run, events.geometry
    start = run.start_time or _SOME_TIME
    logs = {
        name: value for name, value in run.logs.items() if not isinstance(value, list) and name not in _OF_THE_LOADER
    }
    number = run.run_number.split("+")[0]
    info = replace(run, run_number=number, start_time=start, end_time=run.end_time or start, logs=logs)
    bank = BankEvents(
        "bank1_events",
        np.repeat(geometry.detid, np.diff(events.start)).astype(np.uint32),
        events.tof,
        np.zeros(1),
        np.zeros(1, np.uint64),
        events.weight,
    )
    known = mode_defined_as(geometry.instrument)
    as_defined = known is not None and not known.merged and known.has(geometry)
    xml = "" if as_defined else instrument_definition(geometry)
    name = geometry.instrument or "pixels"
    write_events(path, run_info=info, banks=[bank], instrument=name, instrument_xml=xml, progress=progress, deflate=0)


def check_number_of_events(made: MatrixWorkspace, expected: int, what: str) -> None:
    """Stop where Mantid has loaded another number of events than there are: it says nothing of a bank that it skips.

    Raises:
        StoreError: The numbers differ.
    """
    found = number_of_events(made)
    if found != expected:
        raise StoreError(
            f"Mantid must hold all events of {what}.",
            found=f"{found} events in its workspace, {expected} in the run",
            fix="If the run was paused, set loadeventnexus.keeppausedevents=1 in Mantid's properties, or Mantid leaves "
            "out what came meanwhile. Else send the page that SnapCalSelfTest prints to the authors; "
            "`snapcal calibrate` works without Mantid.",
        )


def _check_weights(made: MatrixWorkspace, events: Events) -> None:
    """Whether Mantid took the weights: their sum in the one bin that LoadEventNexus makes, over all pixels."""
    if events.weight is None:
        return
    found = float(np.nansum(made.extractY()))
    whole = np.logical_and.reduceat(np.append(np.isfinite(events.weight), True), events.start[:-1])
    expected = float(events.counts[whole].sum())
    if not np.isclose(found, expected, rtol=1e-4):
        raise InputError(
            "This Mantid cannot take events that count more than one neutron.",
            found=f"{found:g} neutrons in its workspace, {expected:g} in the run",
            fix="Load the run as it was measured: set 'read_lite_from_ipts' to false.",
        )


def spectra_workspace(spectra: Spectra, donor: Donor | None) -> MatrixWorkspace:
    """A Workspace2D with the detectors of each spectrum."""
    x, y, e = flat_arrays(spectra)
    made = _workspace(x, y, e, len(spectra.y), spectra.unit, "Counts", spectra.title, donor)
    for i, detids in enumerate(spectra.detids):
        spectrum = made.getSpectrum(i)
        spectrum.setSpectrumNo(int(spectra.number[i]))
        spectrum.clearDetectorIDs()
        for detid in detids.tolist():
            spectrum.addDetectorID(detid)
    describe(made, "Spectra", spectra.run)
    return made


def map_workspace(value: PixelMap, donor: Donor | None) -> MatrixWorkspace:
    """A Workspace2D with one value a pixel, as Show Instrument displays it."""
    return _of_pixels("PixelMap", value.detid, value.value[:, None], value.label, donor)


def results_workspace(results: PixelResults, donor: Donor | None) -> MatrixWorkspace:
    """A Workspace2D with one point a quantity; see `conversions.RESULT_COLUMNS`."""
    return _of_pixels("PixelResults", results.detid, results_to_rows(results), "pixel results", donor)


def _of_pixels(kind: str, detid: IntArray, rows: FloatArray, label: str, donor: Donor | None) -> MatrixWorkspace:
    points = np.arange(rows.shape[1] + 1, dtype=np.float64)
    made = _workspace(points, rows.ravel(), np.zeros(rows.size), len(rows), "Empty", label, label, donor)
    if donor is None or not _has_detectors(made, detid):
        for i, one in zip(cancellable(range(len(detid))), detid.tolist(), strict=True):
            spectrum = made.getSpectrum(i)
            spectrum.setSpectrumNo(i + 1)
            spectrum.clearDetectorIDs()
            spectrum.addDetectorID(one)
    describe(made, kind, label=label)
    return made


def _has_detectors(made: MatrixWorkspace, detid: IntArray) -> bool:
    """Whether the spectra have these detectors already, in this order, as those of most runs have."""
    try:
        pixels = reading.pixels_of(made)
    except InputError:
        return False
    in_place = np.array_equal(pixels.spectrum, np.arange(made.getNumberHistograms()))
    return in_place and np.array_equal(pixels.detid, detid)


def _workspace(
    x: FloatArray, y: FloatArray, e: FloatArray, n: int, unit: str, label: str, title: str, donor: Donor | None
) -> MatrixWorkspace:
    parent: dict[str, object] = {} if donor is None else {"ParentWorkspace": donor.workspace}
    return run_child(
        "CreateWorkspace",
        "OutputWorkspace",
        OutputWorkspace=_UNNAMED,
        DataX=np.ascontiguousarray(x, np.float64),
        DataY=np.ascontiguousarray(y, np.float64),
        DataE=np.ascontiguousarray(e, np.float64),
        NSpec=n,
        UnitX=unit,
        YUnitLabel=label,
        WorkspaceTitle=title,
        **parent,
    )


def describe(
    workspace: MatrixWorkspace,
    kind: str,
    info: RunInfo | None = None,
    *,
    window: TofWindow | None = None,
    label: str = "",
) -> None:
    """Write what the workspace is, and of which run, into its logs; logs that are there already stay."""
    run = workspace.mutableRun()  # what `run` gives may be the donor's own, and writing there would be into both
    run.addProperty(NOTE, make_note(kind, info, window, label), True)
    if info is None:
        return
    for name, value in logs_to_write(info).items():
        if not run.hasProperty(name):
            run.addProperty(name, value, True)
    if info.title:
        workspace.setTitle(info.title if kind == "Events" else workspace.getTitle() or info.title)


# -- tables, masks and groupings --------------------------------------------------------------------------------------


def table_workspace(table: DiffCalTable) -> ITableWorkspace:
    """A TableWorkspace with exactly the columns detid, difc, difa and tzero, as ConvertDiffCal wants it."""
    ones = np.ones(len(table), np.int32)
    rows = DiffCalRows(table.detid, table.difc, table.difa, table.tzero, ones, ones, "", "")
    made = _load_diffcal(rows, "Cal")
    for name in list(made.getColumnNames()):
        if name not in ("detid", "difc", "difa", "tzero"):
            made.removeColumn(name)
    return made


def mask_workspace(mask: PixelMask, donor: Donor | None) -> MatrixWorkspace:
    """A MaskWorkspace (1: masked); the errors hold the reasons, the logs the account of the calibration."""
    use = np.where(mask.masked, 0, 1).astype(np.int32)
    made = _of_instrument(mask.detid, np.ones_like(use), use, donor, "Mask")
    pixels = reading.pixels_of(made)
    _, here, there = np.intersect1d(pixels.detid, mask.detid[mask.masked], return_indices=True)
    reasons = mask.reason[mask.masked][there].tolist()
    for i, reason in zip(cancellable(pixels.spectrum[here].tolist()), reasons, strict=True):
        made.setE(i, np.array([float(reason)]))
    if mask.account:
        made.mutableRun().addProperty(ACCOUNT_LOG, mask.account, True)
    return made


def grouping_workspace(grouping: PixelGrouping, donor: Donor | None) -> MatrixWorkspace:
    """A GroupingWorkspace; its title is the name of the grouping."""
    use = np.ones(len(grouping.detid), np.int32)
    made = _of_instrument(grouping.detid, grouping.group, use, donor, "Grouping")
    made.setTitle(grouping.name)
    return made


def _of_instrument(
    detid: IntArray, group: IntArray, use: IntArray, donor: Donor | None, kind: _OfDiffCal
) -> MatrixWorkspace:
    """A workspace of all pixels of an instrument: the donor's, one that Mantid knows, or one of just these."""
    zeros = np.zeros(len(detid))
    rows = DiffCalRows(detid, zeros + 1.0, zeros, zeros, group, use, "", "")
    if donor is not None:
        made = _load_diffcal(rows, kind, InputWorkspace=donor.workspace)
        if made.getNumberHistograms() == len(detid):
            return made
    elif (mode := native_mode_of(detid)) is not None:
        return _load_diffcal(rows, kind, InstrumentName=mode.definition)
    geometry = _somewhere(detid) if donor is None else donor.geometry
    with _file("_Definition.xml", lambda path: _write_text(path, instrument_definition(geometry))) as path:
        return _load_diffcal(rows, kind, InstrumentFilename=path)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _somewhere(detid: IntArray) -> Geometry:
    """A geometry for pixels of which only the ids are known: on an arc around the sample."""
    n = len(detid)
    return Geometry(detid, 15.0, np.ones(n), np.linspace(0.5, 2.5, n), np.zeros(n))


def _load_diffcal(rows: DiffCalRows, kind: _OfDiffCal, **where: object) -> Any:
    """One of the workspaces that LoadDiffCal makes of a file with these rows."""
    given = {f"Make{other}Workspace": other == kind for other in _OF_DIFFCAL} | where
    with _file(".h5", lambda path: write_rows(path, rows)) as path:
        if kind != "Grouping":
            return run_child("LoadDiffCal", f"Output{kind}Workspace", Filename=path, WorkspaceName=_UNNAMED, **given)
        return run_past_list("LoadDiffCal", _cloned, given="WorkspaceName", appended="_group", Filename=path, **given)


def _cloned(workspace: Workspace) -> MatrixWorkspace:
    return run_child("CloneWorkspace", "OutputWorkspace", InputWorkspace=workspace, OutputWorkspace=_UNNAMED)


def fits_workspace(fits: FitTable) -> ITableWorkspace:
    """A TableWorkspace with a row a peak."""
    table = fit_table_to_table(fits)
    made = WorkspaceFactory.createTable()
    columns = []
    for name, column in table.columns.items():
        is_text = isinstance(column, list)
        made.addColumn("str" if is_text else ("int" if np.asarray(column).dtype.kind == "i" else "double"), name)
        columns.append(column if isinstance(column, list) else column.tolist())
    for row in zip(*columns, strict=True):
        made.addRow(list(row))
    return made
