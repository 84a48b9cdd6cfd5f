"""Mantid's workspaces as the plugin's values. Each function reads one workspace and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from mantid.api import ITableWorkspace, MatrixWorkspace, Run, SpectrumInfo, Workspace, WorkspaceGroup
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
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
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.tables import Table, table_to_fit_table
from snapcal_workbench.hosts import conversions
from snapcal_workbench.hosts.conversions import NOTE, RESULT_COLUMNS, note_of, plain_log
from snapcal_workbench.instrument.loading import cropped
from snapcal_workbench.instrument.snap.geometry import with_snap_layout

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
    """
    if _unit_id(workspace) != "TOF":
        raise InputError(
            f"The run '{workspace.getName()}' must be in TOF.",
            found=f"the unit {_unit_id(workspace)}",
            fix="Convert it with ConvertUnits, or use the run as it was loaded.",
        )
    pixels = conversions.pixel_spectra(detectors_of(workspace), workspace.getName())
    info = workspace.spectrumInfo()
    present = [i for i, s in enumerate(pixels.spectrum.tolist()) if info.hasDetectors(s) and not info.isMonitor(s)]
    detid, spectrum = pixels.detid[present], pixels.spectrum[present]
    used = np.array([not info.isMasked(s) for s in spectrum.tolist()], bool)
    is_events = workspace.id() == "EventWorkspace"
    tof, weight, start = _event_lists(workspace, spectrum, used) if is_events else _bins(workspace, spectrum, used)
    run = read_run_info(workspace)
    geometry = _geometry(workspace, info, detid, spectrum)
    window = conversions.window_of(tof, note_of(_note(workspace)))
    return cropped(Events(tof, start, geometry, window, run, weight), window)


def _event_lists(
    workspace: MatrixWorkspace, spectrum: IntArray, used: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.int64]]:
    lists = spectrum.tolist()
    counts = np.array([workspace.getSpectrum(s).getNumberEvents() for s in lists], np.int64) * used

    def events_of(pixel: int) -> tuple[NDArray[Any], NDArray[Any]]:
        events = workspace.getSpectrum(lists[pixel])
        return events.getTofs(), events.getWeights()

    return conversions.collect_events(counts, events_of)


def _bins(
    workspace: MatrixWorkspace, spectrum: IntArray, used: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    y = workspace.extractY()[spectrum] * used[:, None]
    return conversions.histogram_events(workspace.extractX()[spectrum], y, distribution=workspace.isDistribution())


def _geometry(workspace: MatrixWorkspace, info: SpectrumInfo, detid: IntArray, spectrum: IntArray) -> Geometry:
    places = spectrum.tolist()
    sample = info.samplePosition()
    positions = [info.position(s) for s in places]
    azimuth = np.arctan2([p.Y() - sample.Y() for p in positions], [p.X() - sample.X() for p in positions])
    geometry = Geometry(
        detid=detid,
        l1=info.l1(),
        l2=np.array([info.l2(s) for s in places]),
        two_theta=np.array([info.twoTheta(s) for s in places]),
        azimuth=azimuth,
        instrument=workspace.getInstrument().getName(),
    )
    return with_snap_layout(geometry)


def detectors_of(workspace: MatrixWorkspace) -> list[tuple[int, ...]]:
    """Detector ids of each spectrum."""
    return [tuple(workspace.getSpectrum(i).getDetectorIDs()) for i in range(workspace.getNumberHistograms())]


def read_run_info(workspace: MatrixWorkspace) -> RunInfo:
    """What the logs of a workspace say of its run: the last value of each."""
    run = workspace.run()
    logs = {name: plain_log(_log_value(run, name)) for name in run.keys()}  # noqa: SIM118 - not a dict
    known = {name: value for name, value in logs.items() if value is not None}
    return conversions.run_info_of(known, title=workspace.getTitle(), name=workspace.getName())


def _log_value(run: Run, name: str) -> Any:
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
            f"The spectra '{workspace.getName()}' must be in TOF or d-spacing.",
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
        number=np.array([workspace.getSpectrum(i).getSpectrumNo() for i in range(n)], np.int32),
        title=workspace.getTitle(),
        run=read_run_info(workspace),
    )


def read_mask(workspace: MatrixWorkspace) -> PixelMask:
    """A mask; of ours with the reasons, of others "masked by the user"."""
    detectors = detectors_of(workspace)
    detid, masked = conversions.per_detector(detectors, workspace.extractY()[:, 0])
    _, reason = conversions.per_detector(detectors, workspace.extractE()[:, 0])
    return conversions.mask_of(detid, masked, reason)


def read_grouping(workspace: MatrixWorkspace) -> PixelGrouping:
    """A grouping; its name is the workspace's title."""
    detid, group = conversions.per_detector(detectors_of(workspace), workspace.extractY()[:, 0])
    return conversions.grouping_of(detid, group, workspace.getTitle())


def read_map(workspace: MatrixWorkspace) -> PixelMap:
    """One value a pixel."""
    detid, value = conversions.per_detector(detectors_of(workspace), workspace.extractY()[:, 0])
    return PixelMap(detid, value, str(note_of(_note(workspace)).get("label", "") or workspace.getTitle()))


def read_results(workspace: MatrixWorkspace) -> PixelResults:
    """What the pixel calibration found for each pixel."""
    pixels = conversions.pixel_spectra(detectors_of(workspace), workspace.getName())
    return conversions.results_of(pixels.detid, workspace.extractY()[pixels.spectrum])


def read_table(workspace: ITableWorkspace) -> DiffCalTable:
    """A calibration table; columns in any order, others among them."""
    return conversions.table_of(_columns(workspace, {"detid", "difc", "difa", "tzero"}), workspace.getName())


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
