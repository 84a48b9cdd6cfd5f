"""Mantid's workspaces as the plugin's values. Each function reads one workspace and changes nothing."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from mantid.api import AlgorithmFactory, ITableWorkspace, MatrixWorkspace, Run, SpectrumInfo, Workspace, WorkspaceGroup
from mantid.kernel import logger
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
    FloatArray,
    Geometry,
    IntArray,
    LogValue,
    PixelGrouping,
    PixelMap,
    PixelMask,
    PixelResults,
    RunInfo,
    Spectra,
    Unit,
)
from snapcal_workbench.calibration.types.calibration import ACCOUNT_LOG
from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.formats.tables import Table, table_to_fit_table
from snapcal_workbench.hosts import conversions, spectra_arrays
from snapcal_workbench.hosts.conversions import NOTE, RESULT_COLUMNS, PixelSpectra, note_of, plain_log
from snapcal_workbench.hosts.mantid_execution import run_past_list
from snapcal_workbench.hosts.spectra_arrays import (
    COLUMNS,
    DetectorTable,
    agrees,
    azimuth_of,
    cancellable,
    detector_table,
    detectors_of,
    is_one_a_detector,
)
from snapcal_workbench.instrument.known import completed
from snapcal_workbench.instrument.loading import cropped

FEW_SPECTRA = 2000
"""Fewer spectra are asked one by one: it takes a tenth of a second."""
MANY_MONITORS = 1000
"""With more detectors than that without a spectrum a workspace is a part of its instrument."""
_UNITS: dict[str, Unit] = {"TOF": "TOF", "dSpacing": "dSpacing"}


def kind_of(workspace: Workspace) -> str:
    """Of which kind a workspace is, without reading its data; "Other" for what the plugin has no value for."""
    kinds = {"WorkspaceGroup": "Group", "MaskWorkspace": "PixelMask", "GroupingWorkspace": "PixelGrouping"}
    if workspace.id() in kinds:
        return kinds[workspace.id()]
    if isinstance(workspace, ITableWorkspace):
        columns = set(workspace.getColumnNames())
        if {"detid", "difc"} <= columns:
            return "DiffCalTable"
        return "FitTable" if {"group", "centre", "why_not"} <= columns else "Other"
    return _kind_of_matrix(workspace) if isinstance(workspace, MatrixWorkspace) else "Other"


def _kind_of_matrix(workspace: MatrixWorkspace) -> str:
    unit = _unit_id(workspace)
    if workspace.id() == "EventWorkspace":
        return {"TOF": "Events", "dSpacing": "Spectra"}.get(unit, "Other")
    stated = str(note_of(_note(workspace)).get("kind", ""))
    if stated == "PixelResults" and workspace.blocksize() == len(RESULT_COLUMNS):
        return stated
    if unit in _UNITS:
        return "Spectra" if unit == "dSpacing" or stated == "Spectra" else "Events"
    single = workspace.blocksize() == 1
    return "PixelMap" if single and (stated == "PixelMap" or workspace.id() == "SpecialWorkspace2D") else "Other"


def _unit_id(workspace: MatrixWorkspace) -> str:
    return workspace.getAxis(0).getUnit().unitID()


def _note(workspace: MatrixWorkspace) -> dict[str, LogValue]:
    run = workspace.run()
    return {NOTE: str(run.getProperty(NOTE).value)} if run.hasProperty(NOTE) else {}


def read_events(workspace: MatrixWorkspace) -> Events:
    """A run of single pixels: events, or a histogram in TOF as weighted events. Masked pixels have no events.

    Raises:
        InputError: Spectra are grouped, or the unit is not TOF.
        Cancelled: The user cancelled the step that this thread is in.
    """
    if _unit_id(workspace) != "TOF":
        raise InputError(
            f"The run '{workspace.name()}' must be in TOF.",
            found=f"the unit {_unit_id(workspace)}",
            fix="Convert it with ConvertUnits, or use the run as it was loaded.",
        )
    pixels = _table_of(workspace) or _table_by_calls(workspace)
    is_events = workspace.id() == "EventWorkspace"
    take = spectra_arrays.event_lists if is_events else _bins
    tof, weight, start = take(workspace, pixels.spectrum, ~pixels.masked)
    run = read_run_info(workspace)
    geometry = _geometry(workspace, pixels)
    window = conversions.window_of(tof, note_of(_note(workspace)))
    return cropped(Events(tof, start, geometry, window, run, weight), window)


def _table_of(workspace: MatrixWorkspace) -> DetectorTable | None:
    """The detectors of a workspace that has one spectrum for each, in ascending order; None where it has not.

    Nor is there a table where few spectra are quickly asked, or where this release's is not what it should be.
    """
    if workspace.getNumberHistograms() < FEW_SPECTRA or not AlgorithmFactory.exists("PreprocessDetectorsToMD"):
        return None
    try:
        table = run_past_list(
            "PreprocessDetectorsToMD",
            lambda made: detector_table(_columns(made, set(COLUMNS))),
            given="OutputWorkspace",
            InputWorkspace=workspace,
        )
        return _ordered(table) if _is_true(table, workspace) else None
    except Cancelled:
        raise
    except Exception as error:  # of a release where one of these is another one: there are the calls
        logger.information(f"SNAPCal: detectors are asked one by one: {type(error).__name__}: {error}")
        return None


def _is_true(table: DetectorTable, workspace: MatrixWorkspace) -> bool:
    """Whether a table is of all detectors but the monitors, each with its own spectrum, and says what they say."""
    info = workspace.detectorInfo()
    ids = np.asarray(info.detectorIDs(), np.int64)
    left = np.flatnonzero(~np.isin(ids, table.detid))
    if len(left) > MANY_MONITORS:
        return False
    monitors = [int(ids[i]) for i in left.tolist() if info.isMonitor(i)]
    return is_one_a_detector(table, ids, monitors) and agrees(table, workspace, workspace.spectrumInfo())


def _ordered(table: DetectorTable) -> DetectorTable:
    order = np.argsort(table.detid, kind="stable")
    order = order[table.detid[order] >= 0]
    return DetectorTable(*(getattr(table, field.name)[order] for field in fields(table)))


def _table_by_calls(workspace: MatrixWorkspace) -> DetectorTable:
    """The same, asked spectrum by spectrum.

    Raises:
        InputError: Spectra are grouped, or two are of one detector.
    """
    pixels = conversions.pixel_spectra(detectors_of(workspace), workspace.name())
    info = workspace.spectrumInfo()
    places = pixels.spectrum.tolist()
    kept = [i for i in cancellable(range(len(places))) if _is_pixel(info, places[i])]
    places = [places[i] for i in kept]
    return DetectorTable(
        detid=pixels.detid[kept],
        spectrum=pixels.spectrum[kept],
        l2=np.array([info.l2(s) for s in cancellable(places)]),
        two_theta=np.array([info.twoTheta(s) for s in cancellable(places)]),
        azimuth=np.array([azimuth_of(info, s) for s in cancellable(places)]),
        masked=np.array([info.isMasked(s) for s in cancellable(places)], bool),
    )


def _is_pixel(info: SpectrumInfo, spectrum: int) -> bool:
    return info.hasDetectors(spectrum) and not info.isMonitor(spectrum)


def pixels_of(workspace: MatrixWorkspace) -> PixelSpectra:
    """Which spectra of a workspace are pixels, in ascending order of detid.

    Raises:
        InputError: Spectra are grouped, or two are of one detector.
    """
    table = _table_of(workspace)
    if table is not None:
        return PixelSpectra(table.detid, table.spectrum)
    return conversions.pixel_spectra(detectors_of(workspace), workspace.name())


def _per_detector(workspace: MatrixWorkspace, value: FloatArray) -> tuple[IntArray, FloatArray]:
    """A value a spectrum as a value a detector, in ascending order of detid."""
    table = _table_of(workspace)
    if table is not None:
        return table.detid, value[table.spectrum]
    return conversions.per_detector(detectors_of(workspace), value)


def _bins(
    workspace: MatrixWorkspace, spectrum: IntArray, used: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    y = workspace.extractY()[spectrum] * used[:, None]
    return conversions.histogram_events(workspace.extractX()[spectrum], y, distribution=workspace.isDistribution())


def _geometry(workspace: MatrixWorkspace, pixels: DetectorTable) -> Geometry:
    geometry = Geometry(
        detid=pixels.detid,
        l1=workspace.spectrumInfo().l1(),
        l2=pixels.l2,
        two_theta=pixels.two_theta,
        azimuth=pixels.azimuth,
        instrument=workspace.getInstrument().getName(),
    )
    return completed(geometry)


def read_run_info(workspace: MatrixWorkspace) -> RunInfo:
    """What the logs of a workspace say of its run: the last value of each."""
    run = workspace.run()
    logs = {name: plain_log(_log_value(run, name)) for name in run.keys()}  # noqa: SIM118 - not a dict
    known = {name: value for name, value in logs.items() if value is not None}
    return conversions.run_info_of(known, title=workspace.getTitle(), name=workspace.name())


def _log_value(run: Run, name: str) -> object:
    try:
        return run.getProperty(name).value
    except (RuntimeError, ValueError, TypeError):
        return None


def read_spectra(workspace: MatrixWorkspace) -> Spectra:
    """Histograms in TOF or d-spacing, from bins or points; events as they are binned at present.

    Raises:
        InputError: The unit is another one.
    """
    unit = _UNITS.get(_unit_id(workspace))
    if unit is None:
        raise InputError(
            f"The spectra '{workspace.name()}' must be in TOF or d-spacing.",
            found=f"the unit {_unit_id(workspace)}",
            fix="Convert them with ConvertUnits.",
        )
    n = workspace.getNumberHistograms()
    return conversions.spectra_of(
        workspace.extractX(),
        workspace.extractY(),
        workspace.extractE(),
        distribution=workspace.isDistribution(),
        unit=unit,
        detids=[np.array(sorted(ids), np.int32) for ids in detectors_of(workspace)],
        number=np.array([workspace.getSpectrum(i).getSpectrumNo() for i in cancellable(range(n))], np.int32),
        title=workspace.getTitle(),
        run=read_run_info(workspace),
    )


def read_mask(workspace: MatrixWorkspace) -> PixelMask:
    """A mask; of ours with the reasons, of others "masked by the user"."""
    both = np.stack([workspace.extractY()[:, 0], workspace.extractE()[:, 0]], axis=1)
    detid, value = _per_detector(workspace, both)
    run = workspace.run()
    account = str(run.getProperty(ACCOUNT_LOG).value) if run.hasProperty(ACCOUNT_LOG) else ""
    return replace(conversions.mask_of(detid, value[:, 0], value[:, 1]), account=account)


def read_grouping(workspace: MatrixWorkspace) -> PixelGrouping:
    """A grouping; its name is the workspace's title."""
    detid, group = _per_detector(workspace, workspace.extractY()[:, 0])
    return conversions.grouping_of(detid, group, workspace.getTitle())


def read_map(workspace: MatrixWorkspace) -> PixelMap:
    """One value a pixel."""
    detid, value = _per_detector(workspace, workspace.extractY()[:, 0])
    return PixelMap(detid, value, str(note_of(_note(workspace)).get("label", "") or workspace.getTitle()))


def read_results(workspace: MatrixWorkspace) -> PixelResults:
    """What the pixel calibration found for each pixel."""
    pixels = pixels_of(workspace)
    return conversions.results_of(pixels.detid, workspace.extractY()[pixels.spectrum])


def read_table(workspace: ITableWorkspace) -> DiffCalTable:
    """A calibration table; columns in any order, others among them."""
    return conversions.table_of(_columns(workspace, {"detid", "difc", "difa", "tzero"}), workspace.name())


def read_fits(workspace: ITableWorkspace) -> FitTable:
    """A table of peak fits."""
    columns = _columns(workspace, None)
    return table_to_fit_table(
        Table({name: values if _is_text(values) else np.asarray(values) for name, values in columns.items()})
    )


def _columns(workspace: ITableWorkspace, wanted: set[str] | None) -> dict[str, list[Any]]:
    names = list(workspace.getColumnNames())
    return {name: workspace.column(i) for i, name in enumerate(names) if wanted is None or name in wanted}


def _is_text(values: list[Any]) -> bool:
    return bool(values) and isinstance(values[0], str)


def read_group(workspace: WorkspaceGroup) -> tuple[str, ...]:
    """Names of the members."""
    return tuple(workspace.getNames())
