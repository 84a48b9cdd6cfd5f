"""The AnalysisDataService keeps what every workspace list promises, and takes and gives every kind of workspace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.workspaces.protocol import Value

pytest.importorskip("mantid")

from mantid.api import AlgorithmManager, AnalysisDataService, WorkspaceFactory

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    MaskReason,
    PixelGrouping,
    PixelMap,
    PixelMask,
    PixelResults,
    Spectra,
)
from snapcal_workbench.calibration.types.calibration import ACCOUNT_LOG
from snapcal_workbench.errors import InputError
from snapcal_workbench.hosts.mantid_workspaces import MantidWorkspaces
from snapcal_workbench.workspaces.protocol import Change, Group, WorkspaceList
from tests.hosts.contract import WorkspaceListContract, detids, events, grouping, mask, results, spectra, table


@pytest.fixture
def workspaces() -> MantidWorkspaces:
    return MantidWorkspaces()


class TestMantidWorkspaces(WorkspaceListContract):
    @pytest.fixture
    def workspaces(self) -> WorkspaceList:
        return MantidWorkspaces()


def run(name: str, **properties: object) -> None:
    """Run an algorithm of Mantid on the list, as a user does."""
    algorithm = AlgorithmManager.createUnmanaged(name)
    algorithm.initialize()
    algorithm.setRethrows(True)
    for key, value in properties.items():
        algorithm.setProperty(key, value)
    algorithm.execute()


def test_reasons_of_a_mask_come_back(workspaces: MantidWorkspaces) -> None:
    workspaces.write("mask", mask())
    np.testing.assert_array_equal(workspaces.read("mask", PixelMask).reason, mask().reason)


def test_a_mask_that_the_user_made_is_the_user_s(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    run("MaskDetectors", Workspace="run", DetectorList="1,4")
    run("ExtractMask", InputWorkspace="run", OutputWorkspace="extracted")
    found = workspaces.read("extracted", PixelMask)
    assert found.reason[[1, 4]].tolist() == [MaskReason.USER, MaskReason.USER]
    assert found.masked.sum() == 2


def test_pixels_that_the_user_masked_have_no_events(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    run("MaskDetectors", Workspace="run", DetectorList="2")
    counts = np.diff(workspaces.read("run", Events).start)
    wanted = np.diff(events().start)
    wanted[2] = 0
    np.testing.assert_array_equal(counts, wanted)


def test_a_run_that_the_user_cropped_is_cropped(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    run("CropWorkspace", InputWorkspace="run", OutputWorkspace="run", XMin=5000.0, XMax=9000.0)
    found = workspaces.read("run", Events)
    wanted = events().tof
    assert len(found.tof) == np.count_nonzero((wanted >= 5000.0) & (wanted <= 9000.0))


def test_runs_that_the_user_summed_count_twice(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    run("CloneWorkspace", InputWorkspace="run", OutputWorkspace="copy")
    run("Plus", LHSWorkspace="run", RHSWorkspace="copy", OutputWorkspace="sum")
    np.testing.assert_array_equal(workspaces.read("sum", Events).counts, 2 * events().counts)


@pytest.mark.parametrize("points", [False, True])
def test_a_histogram_in_tof_is_read_as_a_run(workspaces: MantidWorkspaces, points: bool) -> None:
    workspaces.write("run", events())
    run("Rebin", InputWorkspace="run", OutputWorkspace="run", Params="2000,100,13000", PreserveEvents=False)
    if points:
        run("ConvertToPointData", InputWorkspace="run", OutputWorkspace="run")
    assert workspaces.kind("run") == "Events"
    np.testing.assert_allclose(workspaces.read("run", Events).counts, events().counts)


def test_a_run_may_be_read_as_the_histogram_that_it_is_binned_to(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    run("Rebin", InputWorkspace="run", OutputWorkspace="run", Params="2000,100,13000", PreserveEvents=True)
    assert workspaces.read("run", Spectra).y.sum() == pytest.approx(events().counts.sum())


def test_weights_come_back(workspaces: MantidWorkspaces) -> None:
    weight = np.linspace(0.5, 3.0, len(events().tof)).astype(np.float32)
    try:
        workspaces.write("run", replace(events(), weight=weight))
    except InputError as error:
        pytest.skip(str(error))
    np.testing.assert_allclose(
        workspaces.read("run", Events).counts, replace(events(), weight=weight).counts, rtol=1e-6
    )


def test_geometry_comes_back(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    found, wanted = workspaces.read("run", Events).geometry, events().geometry
    assert found.l1 == pytest.approx(wanted.l1, rel=1e-12)
    for name in ("l2", "two_theta", "azimuth"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-9)


def test_grouped_spectra_are_refused_as_a_run(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    workspaces.write("grouping", grouping())
    run("GroupDetectors", InputWorkspace="run", OutputWorkspace="run", CopyGroupingFromWorkspace="grouping")
    with pytest.raises(InputError, match="one detector"):
        workspaces.read("run", Events)


def test_columns_in_any_order_and_more_of_them_make_a_table(workspaces: MantidWorkspaces) -> None:
    made = WorkspaceFactory.createTable()
    for kind, name in (("double", "tzero"), ("int", "detid"), ("str", "remark"), ("double", "difc")):
        made.addColumn(kind, name)
    made.addRow([-8.0, 5, "b", 6000.0])
    made.addRow([0.0, 2, "a", 5000.0])
    AnalysisDataService.addOrReplace("table", made)
    found = workspaces.read("table", DiffCalTable)
    assert found.detid.tolist() == [2, 5]
    assert found.difc.tolist() == [5000.0, 6000.0]
    assert found.tzero.tolist() == [0.0, -8.0]


def test_a_written_table_has_exactly_the_columns_of_a_calibration(workspaces: MantidWorkspaces) -> None:
    workspaces.write("table", table())
    assert list(AnalysisDataService.retrieve("table").getColumnNames()) == ["detid", "difc", "difa", "tzero"]


def test_maps_take_the_instrument_of_the_run(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    workspaces.write("map", PixelMap(detids(), np.linspace(-1, 1, 6), "offset (bins)"))
    workspaces.write("results", results())
    workspaces.write("mask", mask())
    info = AnalysisDataService.retrieve("run").spectrumInfo()
    for name in ("map", "results", "mask"):
        made = AnalysisDataService.retrieve(name)
        assert made.getNumberHistograms() == 6
        for i in range(6):
            assert made.spectrumInfo().l2(i) == pytest.approx(info.l2(i))
            assert made.spectrumInfo().twoTheta(i) == pytest.approx(info.twoTheta(i))
    assert workspaces.kind("results") == "PixelResults"
    assert workspaces.read("map", PixelMap).label == "offset (bins)"
    assert np.isfinite(workspaces.read("results", PixelResults).shift).all()


def test_spectra_know_their_run(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    workspaces.write("dsp", replace(spectra(), run=events().run))
    found = workspaces.read("dsp", Spectra).run
    assert found.run_number == "58882"
    assert found.logs["det_arc1"] == pytest.approx(-65.3)


def test_what_is_written_of_one_workspace_is_not_said_of_the_run_it_was_made_of(workspaces: MantidWorkspaces) -> None:
    workspaces.write("run", events())
    logs = {ACCOUNT_LOG: "an account"}
    untitled = replace(spectra(), title="", run=replace(events().run, title="", logs=logs))
    workspaces.write("dsp", untitled)
    assert workspaces.read("dsp", Spectra).run.logs[ACCOUNT_LOG] == "an account"
    found = workspaces.read("run", Events)
    assert ACCOUNT_LOG not in found.run.logs
    assert found.window == events().window


def test_clones_keep_their_kind(workspaces: MantidWorkspaces) -> None:
    workspaces.write("results", results())
    run("CloneWorkspace", InputWorkspace="results", OutputWorkspace="copy")
    assert workspaces.kind("copy") == "PixelResults"


def test_the_grouping_s_name_comes_back(workspaces: MantidWorkspaces) -> None:
    workspaces.write("grouping", grouping())
    assert workspaces.read("grouping", PixelGrouping).name == "Column"


def test_renaming_a_group_keeps_the_names_of_its_members(workspaces: MantidWorkspaces) -> None:
    workspaces.write("group_fits", mask())
    workspaces.write("group_other", mask())
    workspaces.write("group", ("group_fits", "group_other"))
    workspaces.rename("group", "renamed")
    assert set(workspaces.read("renamed", Group)) == {"group_fits", "group_other"}
    assert "group" not in workspaces.names()


def test_what_we_have_no_value_for_is_other(workspaces: MantidWorkspaces) -> None:
    made = WorkspaceFactory.createTable()
    made.addColumn("str", "name")
    AnalysisDataService.addOrReplace("notes", made)
    assert workspaces.kind("notes") == "Other"


def test_what_the_user_does_by_hand_is_told(workspaces: MantidWorkspaces) -> None:
    workspaces.write("mask", mask())
    heard: list[Change] = []
    end = workspaces.subscribe(heard.append)
    run("CloneWorkspace", InputWorkspace="mask", OutputWorkspace="copy")
    run("DeleteWorkspace", Workspace="copy")
    run("GroupWorkspaces", InputWorkspaces="mask", OutputWorkspace="group")
    end()
    kinds = [(change.kind, change.name) for change in heard]
    assert ("add", "copy") in kinds
    assert ("delete", "copy") in kinds
    assert any(name == "group" for _, name in kinds)


def test_an_error_of_a_subscriber_does_not_reach_mantid(workspaces: MantidWorkspaces) -> None:
    def broken(change: Change) -> None:
        raise ValueError("of the subscriber")

    end = workspaces.subscribe(broken)
    workspaces.write("mask", mask())
    end()
    assert workspaces.names() == ["mask"]


def test_no_temporaries_stay(workspaces: MantidWorkspaces) -> None:
    written: dict[str, Value] = {
        "run": events(),
        "table": table(),
        "mask": mask(),
        "grouping": grouping(),
        "dsp": spectra(),
    }
    for name, value in written.items():
        workspaces.write(name, value)
    assert workspaces.names() == sorted(written)
    for hidden in ("unnamed", "unnamed_mask", "unnamed_cal", "unnamed_group"):
        assert not AnalysisDataService.doesExist(hidden)
