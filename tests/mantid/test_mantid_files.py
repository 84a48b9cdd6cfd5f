"""Mantid reads what we write, and we read what Mantid writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.formats.processed import Table

pytest.importorskip("mantid")

from mantid.api import AnalysisDataService

from snapcal_workbench.calibration.types import Events, Spectra
from snapcal_workbench.formats.diffcal import read_diffcal, write_diffcal
from snapcal_workbench.formats.instrument_xml import instrument_definition
from snapcal_workbench.formats.processed import read_processed, write_processed
from snapcal_workbench.formats.tables import table_to_fit_table
from snapcal_workbench.hosts.mantid_execution import run_on_list
from snapcal_workbench.hosts.mantid_host import MantidHost
from snapcal_workbench.hosts.mantid_reading import read_grouping, read_mask, read_spectra, read_table
from snapcal_workbench.hosts.mantid_workspaces import MantidWorkspaces
from snapcal_workbench.instrument.loading import load_events
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.protocol import RunRequest
from tests.hosts.contract import events, fit_table, grouping, mask, spectra, table


@pytest.fixture
def definition(tmp_path: Path) -> str:
    path = tmp_path / "contract_Definition.xml"
    path.write_text(instrument_definition(events().geometry), encoding="utf-8")
    return str(path)


def test_load_diffcal_reads_our_file(tmp_path: Path, definition: str) -> None:
    path = tmp_path / "calibration.h5"
    write_diffcal(path, table(), mask(), grouping())
    run_on_list("LoadDiffCal", Filename=str(path), InstrumentFilename=definition, WorkspaceName="w")
    loaded = {kind: AnalysisDataService.retrieve(f"w_{kind}") for kind in ("cal", "mask", "group")}
    found = read_table(loaded["cal"])
    for name in ("detid", "difc", "difa", "tzero"):
        np.testing.assert_array_equal(getattr(found, name), getattr(table(), name))
    np.testing.assert_array_equal(read_mask(loaded["mask"]).masked, mask().masked)
    np.testing.assert_array_equal(read_grouping(loaded["group"]).group, grouping().group)


def test_we_read_what_save_diffcal_writes(tmp_path: Path) -> None:
    workspaces = MantidWorkspaces()
    workspaces.write("run", events())
    workspaces.write("table", table())
    workspaces.write("mask", mask())
    workspaces.write("grouping", grouping())
    path = tmp_path / "saved.h5"
    run_on_list(
        "SaveDiffCal",
        CalibrationWorkspace="table",
        MaskWorkspace="mask",
        GroupingWorkspace="grouping",
        Filename=str(path),
    )
    found = read_diffcal(path)
    np.testing.assert_allclose(found.table.difc, table().difc, rtol=1e-15)
    np.testing.assert_allclose(found.table.tzero, table().tzero, rtol=1e-15, atol=1e-15)
    np.testing.assert_array_equal(found.mask.masked, mask().masked)
    np.testing.assert_array_equal(found.grouping.group, grouping().group)


def test_load_nexus_processed_reads_our_file(tmp_path: Path) -> None:
    path = tmp_path / "ours.nxs"
    write_processed(path, {"dsp": spectra(), "fits": fit_table()}, instrument="SNAP")
    run_on_list("LoadNexusProcessed", Filename=str(path), OutputWorkspace="both")
    names = list(AnalysisDataService.retrieve("both").getNames())
    assert len(names) == 2
    found = read_spectra(AnalysisDataService.retrieve(names[0]))
    np.testing.assert_allclose(found.y, spectra().y)
    np.testing.assert_allclose(found.edges_of(0), spectra().edges_of(0))
    assert AnalysisDataService.retrieve(names[1]).rowCount() == len(fit_table())


def test_we_read_what_save_nexus_processed_writes(tmp_path: Path) -> None:
    workspaces = MantidWorkspaces()
    workspaces.write("dsp", spectra())
    workspaces.write("fits", fit_table())
    for name in ("dsp", "fits"):
        run_on_list("SaveNexusProcessed", InputWorkspace=name, Filename=str(tmp_path / f"{name}.nxs"))
    (found,) = read_processed(tmp_path / "dsp.nxs").values()
    assert isinstance(found, Spectra)
    np.testing.assert_allclose(found.y, spectra().y)
    (rows,) = read_processed(tmp_path / "fits.nxs").values()
    assert isinstance(rows, Table)
    np.testing.assert_allclose(table_to_fit_table(rows).centre, fit_table().centre)


@pytest.mark.parametrize("lite", [True, False])
def test_load_event_nexus_gives_the_events_of_our_own_reader(simulated: Settings, lite: bool) -> None:
    request = RunRequest(("58882",), SNAP.lite if lite else SNAP.native)
    host = MantidHost(simulated)
    host.load_run(request, "run", Progress())
    found, wanted = host.workspaces.read("run", Events), load_events(request, simulated)
    np.testing.assert_array_equal(found.start, wanted.start)
    np.testing.assert_allclose(found.geometry.difc, wanted.geometry.difc, rtol=1e-12)
    assert found.geometry.solid_angle is not None
    assert wanted.geometry.solid_angle is not None
    np.testing.assert_allclose(found.geometry.solid_angle, wanted.geometry.solid_angle, rtol=1e-9)
    assert found.window == wanted.window
    pixels = np.repeat(np.arange(len(found.geometry)), np.diff(found.start))
    order, wanted_order = np.lexsort((found.tof, pixels)), np.lexsort((wanted.tof, pixels))
    np.testing.assert_array_equal(found.tof[order], wanted.tof[wanted_order])
    assert found.run.run_number == wanted.run.run_number
    assert host.workspaces.names() == ["run"]
