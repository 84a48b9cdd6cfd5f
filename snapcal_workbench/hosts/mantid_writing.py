"""The plugin's values as Mantid's workspaces. Each function makes one workspace, which is in no list yet.

A *donor* is a run in the list: what is made of its pixels takes the instrument over from it, so that Show Instrument
and ConvertUnits work. Large tables, masks, groupings and event lists go through a temporary file, which Mantid reads at
once, because its Python functions take them row by row only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mantid.api import ITableWorkspace, MatrixWorkspace, WorkspaceFactory

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
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
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.diffcal import DiffCalRows, write_rows
from snapcal_workbench.formats.events import BankEvents, write_events
from snapcal_workbench.formats.instrument_xml import instrument_definition
from snapcal_workbench.formats.tables import fit_table_to_table
from snapcal_workbench.hosts.conversions import NOTE, flat_arrays, logs_to_write, make_note, results_to_rows
from snapcal_workbench.hosts.mantid_execution import run_child
from snapcal_workbench.instrument.snap.geometry import NATIVE_PIXELS

_SOME_TIME = "2000-01-01T00:00:00"
"""Start and end of a run that does not say when it was: pulse times need one."""
_UNNAMED = "unnamed"
"""Name of outputs that do not appear in the workspace list."""


@dataclass(frozen=True, eq=False)
class Donor:
    """A run in the workspace list, and where its pixels are."""

    workspace: MatrixWorkspace
    geometry: Geometry


def _through_file(suffix: str, write: Callable[[Path], None], algorithm: str, output: str, **properties: Any) -> Any:
    """What `algorithm` makes of a temporary file that `write` writes."""
    with tempfile.TemporaryDirectory(prefix="snapcal-") as folder:
        path = Path(folder) / f"workspace{suffix}"
        write(path)
        return run_child(algorithm, Filename=str(path), **properties).getProperty(output).value


# -- runs and spectra -------------------------------------------------------------------------------------------------


def events_workspace(events: Events) -> MatrixWorkspace:
    """An EventWorkspace with the instrument of the events' geometry.

    Raises:
        InputError: This Mantid cannot take weighted events.
    """
    run, geometry = events.run, events.geometry
    start = run.start_time or _SOME_TIME
    logs = {name: value for name, value in run.logs.items() if not isinstance(value, list)}
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
    native = len(geometry) == NATIVE_PIXELS
    xml = "" if native else instrument_definition(geometry)
    name = geometry.instrument or "pixels"

    def write(path: Path) -> None:
        write_events(path, run_info=info, banks=[bank], instrument=name, instrument_xml=xml)

    made = _through_file(".nxs.h5", write, "LoadEventNexus", "OutputWorkspace", OutputWorkspace=_UNNAMED)
    _check_weights(made, events)
    describe(made, "Events", run, window=events.window)
    return made


def _check_weights(made: MatrixWorkspace, events: Events) -> None:
    """Whether Mantid took the weights: their sum in the first pixel that has events."""
    busy = np.flatnonzero(np.diff(events.start))
    if events.weight is None or len(busy) == 0:
        return
    detid = int(events.geometry.detid[busy[0]])
    spectra = (made.getSpectrum(i) for i in range(made.getNumberHistograms()))
    found = next((s.getWeights().sum() for s in spectra if detid in tuple(s.getDetectorIDs())), np.nan)
    if not np.isclose(found, events.weight[: events.start[busy[0] + 1]].sum()):
        raise InputError(
            "This Mantid cannot take events that count more than one neutron.",
            found=f"a sum of {found:g} in detector {detid}",
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


def _of_pixels(kind: str, detid: IntArray, rows: Any, label: str, donor: Donor | None) -> MatrixWorkspace:
    points = np.arange(rows.shape[1] + 1, dtype=np.float64)
    made = _workspace(points, rows.ravel(), np.zeros(rows.size), len(rows), "Empty", label, label, donor)
    for i, one in enumerate(detid.tolist()):
        spectrum = made.getSpectrum(i)
        spectrum.setSpectrumNo(i + 1)
        spectrum.clearDetectorIDs()
        spectrum.addDetectorID(one)
    describe(made, kind, label=label)
    return made


def _workspace(
    x: Any, y: Any, e: Any, n: int, unit: str, label: str, title: str, donor: Donor | None
) -> MatrixWorkspace:
    parent: dict[str, Any] = {} if donor is None else {"ParentWorkspace": donor.workspace}
    made = run_child(
        "CreateWorkspace",
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
    return made.getProperty("OutputWorkspace").value


def describe(
    workspace: MatrixWorkspace,
    kind: str,
    info: RunInfo | None = None,
    *,
    window: TofWindow | None = None,
    label: str = "",
) -> None:
    """Write what the workspace is, and of which run, into its logs; logs that are there already stay."""
    run = workspace.run()
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
    made = _load_diffcal(lambda path: write_rows(path, rows), "OutputCalWorkspace", MakeCalWorkspace=True)
    for name in list(made.getColumnNames()):
        if name not in ("detid", "difc", "difa", "tzero"):
            made.removeColumn(name)
    return made


def mask_workspace(mask: PixelMask, donor: Donor | None) -> MatrixWorkspace:
    """A MaskWorkspace (1: masked); the errors hold the reasons."""
    use = np.where(mask.masked, 0, 1).astype(np.int32)
    made = _of_instrument(mask.detid, np.ones_like(use), use, donor, "OutputMaskWorkspace", MakeMaskWorkspace=True)
    reason_of = dict(zip(mask.detid[mask.masked].tolist(), mask.reason[mask.masked].tolist(), strict=True))
    for i in range(made.getNumberHistograms()) if reason_of else ():
        for detid in tuple(made.getSpectrum(i).getDetectorIDs()):
            if detid in reason_of:
                made.setE(i, np.array([float(reason_of[detid])]))
    return made


def grouping_workspace(grouping: PixelGrouping, donor: Donor | None) -> MatrixWorkspace:
    """A GroupingWorkspace; its title is the name of the grouping."""
    use = np.ones(len(grouping.detid), np.int32)
    made = _of_instrument(
        grouping.detid, grouping.group, use, donor, "OutputGroupingWorkspace", MakeGroupingWorkspace=True
    )
    made.setTitle(grouping.name)
    return made


def _of_instrument(
    detid: IntArray, group: IntArray, use: IntArray, donor: Donor | None, output: str, **make: bool
) -> Any:
    """A workspace of all pixels of an instrument: the donor's, Mantid's own SNAP, or one that has just these pixels."""
    zeros = np.zeros(len(detid))
    rows = DiffCalRows(detid, zeros + 1.0, zeros, zeros, group, use, "", "")

    def made_for(**where: Any) -> Any:
        return _load_diffcal(lambda path: write_rows(path, rows), output, **where, **make)

    if donor is not None:
        made = made_for(InputWorkspace=donor.workspace)
        if made.getNumberHistograms() == len(detid):
            return made
    elif len(detid) == NATIVE_PIXELS:
        return made_for(InstrumentName="SNAP")
    with tempfile.TemporaryDirectory(prefix="snapcal-") as folder:
        path = Path(folder) / "pixels_Definition.xml"
        geometry = _somewhere(detid) if donor is None else donor.geometry
        path.write_text(instrument_definition(geometry), encoding="utf-8")
        return made_for(InstrumentFilename=str(path))


def _somewhere(detid: IntArray) -> Geometry:
    """A geometry for pixels of which only the ids are known: on an arc around the sample."""
    n = len(detid)
    return Geometry(detid, 15.0, np.ones(n), np.linspace(0.5, 2.5, n), np.zeros(n))


def _load_diffcal(write: Callable[[Path], None], output: str, **properties: Any) -> Any:
    made = {"MakeCalWorkspace": False, "MakeMaskWorkspace": False, "MakeGroupingWorkspace": False, **properties}
    return _through_file(".h5", write, "LoadDiffCal", output, WorkspaceName=_UNNAMED, **made)


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
