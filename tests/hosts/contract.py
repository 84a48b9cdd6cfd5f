"""What every `WorkspaceList` promises, as tests that each host's own test class inherits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.pixels.pixel import calibrate_pixels
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
    Geometry,
    PixelGrouping,
    PixelMap,
    PixelMask,
    PixelResults,
    RunInfo,
    Spectra,
    TofWindow,
)
from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.options import PixelOptions
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.protocol import Change, Group, WorkspaceList
from tests.synthetic_pixels import SILICON, one_group, panel, simulate

N = 6


def detids() -> np.ndarray:
    return np.arange(N, dtype=np.int32)


def geometry() -> Geometry:
    return Geometry(detids(), 15.0, np.full(N, 0.55), np.linspace(1.0, 2.0, N), np.linspace(-0.4, 0.4, N))


def events() -> Events:
    counts = np.array([3, 0, 5, 1, 2, 4])
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    tof = np.linspace(3000.0, 12000.0, start[-1]).astype(np.float32)
    logs = {"det_arc1": -65.3, "det_arc2": 104.95}
    return Events(tof, start, geometry(), TofWindow(2500.0, 14000.0), RunInfo("58882", "silicon", logs=logs))


def table() -> DiffCalTable:
    return DiffCalTable(detids(), np.linspace(5000.0, 7000.0, N), np.linspace(0, 0.5, N), np.linspace(-8, 0, N))


def mask() -> PixelMask:
    return PixelMask(detids(), np.array([0, 1, 0, 0, 5, 0], np.uint8))


def grouping() -> PixelGrouping:
    return PixelGrouping(detids(), np.array([1, 1, 2, 2, 2, 0], np.int32), "Column")


def spectra() -> Spectra:
    rng = np.random.default_rng(3)
    y = rng.poisson(50.0, (2, 40)).astype(float)
    ids = [np.array([0, 1], np.int32), np.array([2, 3, 4], np.int32)]
    edges = np.geomspace(0.5, 2.5, 41)
    return Spectra(edges, y, np.sqrt(y), "dSpacing", ids, np.array([1, 2], np.int32), "focused")


def results() -> PixelResults:
    one = np.linspace(-1e-3, 1e-3, N)
    reason = np.array([0, 1, 0, 0, 5, 0], np.uint8)
    return PixelResults(detids(), one, 2 * one, 3 * one, 4 * one, 5 * one, 6 * one, reason)


def fit_table() -> FitTable:
    ones = np.array([1.0, 1.2])
    return FitTable(
        group=np.array([1, 2], np.int32),
        hkl=np.array([[1, 1, 1], [2, 2, 0]], np.int32),
        d=ones,
        centre=ones + 1e-3,
        centre_error=ones * 1e-5,
        sigma=ones * 3e-3,
        height=ones * 100,
        intensity=ones * 1000,
        chi2=ones,
        used=np.array([True, False]),
        why_not=("", "too weak"),
        window_min=ones - 0.01,
        window_max=ones + 0.01,
        parameters=np.array([[100.0, 1.0, 0.003], [90.0, 1.2, 0.004]]),
        parameter_names=("Height", "PeakCentre", "Sigma"),
        profile="Gaussian",
    )


def simulated_events() -> Events:
    """Silicon on a small panel whose pixels are out of place."""
    geometry, rng = panel(1, 6), np.random.default_rng(5)
    true_difc = geometry.difc * np.exp(1e-3 * rng.standard_normal(len(geometry)))
    return simulate(geometry, SILICON, true_difc, np.full(len(geometry), 0.003), 500, rng)


def aligned_difc(run: Events) -> np.ndarray:
    grouping, parameters = one_group(run.geometry, 0.003)
    mask, table = PixelMask.none(grouping.detid), DiffCalTable.from_geometry(run.geometry)
    options = PixelOptions(max_passes=2)
    result = calibrate_pixels(run, table, grouping, mask, parameters, options=options, progress=Progress())
    return result.table.difc


class WorkspaceListContract:
    """Inherit this and give the fixture `workspaces`: an empty workspace list of the host."""

    @pytest.fixture
    def workspaces(self) -> WorkspaceList:
        raise AssertionError("the host's test class provides this fixture")

    def test_a_new_list_is_empty(self, workspaces: WorkspaceList) -> None:
        assert workspaces.names() == []

    def test_events_come_back_as_written(self, workspaces: WorkspaceList) -> None:
        workspaces.write("run", events())
        found, wanted = workspaces.read("run", Events), events()
        assert workspaces.kind("run") == "Events"
        np.testing.assert_array_equal(found.start, wanted.start)
        for i in range(N):
            part = slice(wanted.start[i], wanted.start[i + 1])
            np.testing.assert_allclose(np.sort(found.tof[part]), np.sort(wanted.tof[part]), rtol=1e-6)
        np.testing.assert_allclose(found.geometry.difc, wanted.geometry.difc, rtol=1e-6)
        assert found.run.logs["det_arc2"] == pytest.approx(104.95)
        assert found.run.run_number == "58882"

    def test_every_event_that_is_written_is_there(self, workspaces: WorkspaceList) -> None:
        for pixels_with_events in (1, N):
            counts = np.where(np.arange(N) < pixels_with_events, 1000, 0)
            start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            tof = np.random.default_rng(4).uniform(3000.0, 12000.0, start[-1]).astype(np.float32)
            workspaces.write("run", replace(events(), tof=tof, start=start))
            found = workspaces.read("run", Events)
            np.testing.assert_array_equal(found.counts, counts)
            assert len(found.tof) == len(tof)

    def test_the_order_of_a_pixel_s_events_makes_no_difference(self, workspaces: WorkspaceList) -> None:
        given = simulated_events()
        pixel = np.repeat(np.arange(len(given.geometry)), np.diff(given.start))
        order = np.lexsort((np.random.default_rng(6).random(len(pixel)), pixel))
        difc = []
        for run in (given, replace(given, tof=given.tof[order])):
            workspaces.write("run", run)
            difc.append(aligned_difc(workspaces.read("run", Events)))
        np.testing.assert_allclose(difc[1], difc[0], rtol=1e-12)
        assert np.ptp(np.log(difc[0] / given.geometry.difc)) > 1e-4

    def test_a_table_comes_back_as_written(self, workspaces: WorkspaceList) -> None:
        workspaces.write("table", table())
        found = workspaces.read("table", DiffCalTable)
        for name in ("detid", "difc", "difa", "tzero"):
            np.testing.assert_array_equal(getattr(found, name), getattr(table(), name))

    def test_a_mask_keeps_which_pixels_are_masked(self, workspaces: WorkspaceList) -> None:
        workspaces.write("mask", mask())
        np.testing.assert_array_equal(workspaces.read("mask", PixelMask).masked, mask().masked)
        workspaces.write("mask", replace(mask(), account='{"of": "a calibration"}'))
        assert workspaces.read("mask", PixelMask).account == '{"of": "a calibration"}'

    def test_a_grouping_comes_back_as_written(self, workspaces: WorkspaceList) -> None:
        workspaces.write("grouping", grouping())
        np.testing.assert_array_equal(workspaces.read("grouping", PixelGrouping).group, grouping().group)

    def test_spectra_come_back_as_written(self, workspaces: WorkspaceList) -> None:
        workspaces.write("dsp", spectra())
        found, wanted = workspaces.read("dsp", Spectra), spectra()
        assert found.unit == "dSpacing"
        np.testing.assert_allclose(found.edges_of(1), wanted.edges_of(1))
        np.testing.assert_allclose(found.y, wanted.y)
        np.testing.assert_allclose(found.e, wanted.e)
        np.testing.assert_array_equal(found.number, wanted.number)
        for mine, theirs in zip(found.detids, wanted.detids, strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def test_pixel_results_come_back_as_written(self, workspaces: WorkspaceList) -> None:
        workspaces.write("results", results())
        found = workspaces.read("results", PixelResults)
        for name in ("detid", "shift", "sigma", "own_shift", "own_sigma", "events", "chi2", "reason"):
            np.testing.assert_allclose(getattr(found, name), getattr(results(), name))

    def test_fits_come_back_as_written(self, workspaces: WorkspaceList) -> None:
        workspaces.write("fits", fit_table())
        found = workspaces.read("fits", FitTable)
        np.testing.assert_allclose(found.centre, fit_table().centre)
        np.testing.assert_array_equal(found.hkl, fit_table().hkl)
        np.testing.assert_allclose(found.parameters, fit_table().parameters)
        assert found.why_not == fit_table().why_not
        assert found.profile == "Gaussian"

    def test_a_map_is_of_kind_map(self, workspaces: WorkspaceList) -> None:
        workspaces.write("offsets", PixelMap(detids(), np.linspace(-1, 1, N), "offset (bins)"))
        np.testing.assert_allclose(workspaces.read("offsets", PixelMap).value, np.linspace(-1, 1, N))

    def test_writing_twice_replaces(self, workspaces: WorkspaceList) -> None:
        workspaces.write("mask", PixelMask.none(detids()))
        workspaces.write("mask", mask())
        assert workspaces.names() == ["mask"]
        assert workspaces.read("mask", PixelMask).masked.sum() == 2

    def test_reading_what_is_not_there_names_it(self, workspaces: WorkspaceList) -> None:
        with pytest.raises(NotFoundError, match="'absent'"):
            workspaces.read("absent", Events)

    def test_reading_another_kind_says_both_kinds(self, workspaces: WorkspaceList) -> None:
        workspaces.write("mask", mask())
        with pytest.raises(InputError, match="DiffCalTable"):
            workspaces.read("mask", DiffCalTable)

    def test_a_group_names_its_members_and_is_deleted_with_them(self, workspaces: WorkspaceList) -> None:
        workspaces.write("fits", fit_table())
        workspaces.write("mask", mask())
        workspaces.write("both", ("fits", "mask"))
        assert workspaces.kind("both") == "Group"
        assert workspaces.read("both", Group) == ("fits", "mask")
        workspaces.delete("both")
        assert workspaces.names() == []

    def test_a_renamed_member_stays_in_its_group(self, workspaces: WorkspaceList) -> None:
        workspaces.write("fits", fit_table())
        workspaces.write("mask", mask())
        workspaces.write("both", ("fits", "mask"))
        workspaces.rename("fits", "peaks")
        assert set(workspaces.read("both", Group)) == {"peaks", "mask"}

    def test_renaming_onto_another_workspace_is_refused(self, workspaces: WorkspaceList) -> None:
        workspaces.write("mask", mask())
        workspaces.write("other", mask())
        with pytest.raises(InputError, match="exists"):
            workspaces.rename("mask", "other")
        assert workspaces.names() == ["mask", "other"]

    def test_renaming_what_is_not_there_is_an_error(self, workspaces: WorkspaceList) -> None:
        with pytest.raises(NotFoundError):
            workspaces.rename("absent", "new")

    def test_deleting_what_is_not_there_is_no_error(self, workspaces: WorkspaceList) -> None:
        workspaces.delete("absent")
        assert workspaces.names() == []

    @pytest.mark.parametrize("name", ["", "  ", "a/b", "a\nb"])
    def test_a_bad_name_is_refused(self, workspaces: WorkspaceList, name: str) -> None:
        with pytest.raises(InputError, match="name"):
            workspaces.write(name, mask())

    def test_changes_are_told_in_order_until_the_subscription_ends(self, workspaces: WorkspaceList) -> None:
        heard: list[Change] = []
        end = workspaces.subscribe(heard.append)
        workspaces.write("mask", mask())
        workspaces.write("mask", mask())
        workspaces.rename("mask", "mask2")
        workspaces.delete("mask2")
        workspaces.write("table", table())
        workspaces.clear()
        end()
        workspaces.write("grouping", grouping())
        assert [change.kind for change in heard] == ["add", "replace", "rename", "delete", "add", "clear"]
        assert (heard[2].name, heard[2].new_name) == ("mask", "mask2")
