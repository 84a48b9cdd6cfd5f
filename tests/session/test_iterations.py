"""A session keeps every iteration, on disk and in the workspace list, and saves the one that is chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, PixelMask, Spectra
from snapcal_workbench.errors import Cancelled, InputError, NotFoundError, SnapcalError
from snapcal_workbench.formats.diffcal import read_diffcal
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Request, Session
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.references import open_version
from snapcal_workbench.store.state_store import StateStore
from tests.support import copy_tree

RUN = "58882"


@dataclass
class Work:
    """A tree with an initialised state and a session with two iterations: one DIFC a group, then TZERO too."""

    tree: SimulatedTree
    session: Session
    request: Request


def new_session(tree: SimulatedTree, directory: Path | None = None) -> Session:
    return Session(EmbeddedHost(tree.settings), directory)


@pytest.fixture
def work(calibrated_tree: SimulatedTree, tmp_path: Path) -> Iterator[Work]:
    tree = copy_tree(calibrated_tree, tmp_path / "tree")
    session = new_session(tree)
    yield Work(tree, session, session.iterations[1].request)
    session.close()


def strain_spread(session: Session, number: int) -> float:
    return float(np.nanmedian(session.iteration(number).metrics.strain_std))


def test_iterations_survive_in_another_process(work: Work) -> None:
    assert [iteration.number for iteration in work.session.iterations] == [1, 2]
    assert work.session.iterations[1].request.differences(work.session.iterations[0].request) == {
        "groups.model": ("DIFC", "DIFC+TZERO")
    }


def test_the_second_term_removes_the_strain_that_depends_on_d(work: Work) -> None:
    """The run has TZERO = -8 us: one DIFC cannot describe it, DIFC and TZERO can."""
    assert strain_spread(work.session, 2) < 0.5 * strain_spread(work.session, 1)
    np.testing.assert_allclose(work.session.folders.values(2)["table"].tzero, -8.0, atol=2.0)


def test_a_restored_iteration_has_its_own_values_and_names(work: Work) -> None:
    names = work.session.restore(1)
    assert names["table"] == "diffract_consts_058882_01"
    read = work.session.host.workspaces.read
    np.testing.assert_array_equal(read(names["table"], DiffCalTable).tzero, 0.0)
    assert read(names["output"], Spectra).unit == "dSpacing"
    assert work.session.restore(1) == names


def test_saving_the_first_iteration_saves_its_own_table_and_figures(work: Work) -> None:
    saved = work.session.save(1, author="tester", comments="the first")
    assert saved.version == 1
    stored = open_version(work.tree.settings, f"{RUN}:1")
    kept = work.session.folders.values(1)
    np.testing.assert_allclose(stored.table.difc, kept["table"].difc, rtol=1e-14)
    np.testing.assert_array_equal(stored.mask.masked, kept["mask"].masked)
    own = stored.record.own
    assert own is not None
    options: Any = own.options
    provenance: Any = own.provenance
    assert options["groups"]["model"] == "DIFC"
    assert provenance["iteration"] == 1
    assert "CalibrateDiffraction" in [entry["algorithm"] for entry in provenance["history"]]
    assert provenance["software"]["numpy"] == np.__version__
    (file,) = provenance["inputFiles"]
    path = Path(file["path"])
    data = path.read_bytes()
    assert file["size"] == len(data)
    assert file["endsSha256"] == hashlib.sha256(data[: 1 << 20] + data[-(1 << 20) :]).hexdigest()
    metrics: Any = own.metrics
    np.testing.assert_allclose(metrics["strain_std"], work.session.iteration(1).metrics.strain_std)
    assert read_diffcal(Path(saved.path) / "diffract_consts_058882_v0001.h5").table.difc.min() > 0


def test_versions_and_iterations_compare(work: Work) -> None:
    work.session.save(2, author="tester", comments="c")
    found = work.session.compare(["1", "iteration 2", f"{RUN}:1"])
    labels = {row.label for row in found.rows}
    assert labels == {"iteration 1", "iteration 2", f"version {RUN}:1"}
    same = [row for row in found.rows if row.label.startswith("version")]
    other = [row for row in found.rows if row.label == "iteration 2"]
    np.testing.assert_allclose([r.strain_ppm for r in same], [r.strain_ppm for r in other])
    np.testing.assert_allclose([r.difc_difference_ppm for r in same], [r.difc_difference_ppm for r in other], rtol=1e-9)


@pytest.mark.parametrize("start", ["iteration 2", "1", f"{RUN}:1", "file"])
def test_starting_from_a_result_leaves_little_to_do(work: Work, start: str) -> None:
    saved = work.session.save(2, author="tester", comments="c")
    if start == "file":
        start = str(Path(saved.path) / "diffract_consts_058882_v0001.h5")
    done = work.session.iterate({"start_from": start, "pixels.max_passes": 1}, Progress(), report=False)
    fresh = work.session.iteration(2).passes[0].median_ppm
    assert done.passes[0].median_ppm < 0.1 * fresh


def test_a_lite_table_starts_a_native_calibration_and_back(work: Work) -> None:
    native = work.session.iterate(
        {"lite": False, "start_from": "iteration 2", "pixels.skip": True}, Progress(), report=False
    )
    assert native.account.n_pixels == 1179648
    assert any("other mode" in text for text in native.warnings)
    assert abs(float(np.median(native.metrics.strain))) < 5e-4
    back = work.session.iterate(
        {"lite": True, "start_from": f"iteration {native.number}", "pixels.skip": True}, Progress(), report=False
    )
    lite = work.session.folders.values(2)["table"].difc
    np.testing.assert_allclose(work.session.folders.values(back.number)["table"].difc, lite, rtol=1e-3)


def test_masks_come_from_files_and_from_the_list(work: Work) -> None:
    detid = np.arange(18432, dtype=np.int32)
    reason = np.zeros(18432, np.uint8)
    reason[1024:2048] = 5
    work.session.host.workspaces.write("MaskWorkspace", PixelMask(detid, reason))
    saved = work.session.save(2, author="tester", comments="c")
    version_file = str(Path(saved.path) / "diffract_consts_058882_v0001.h5")
    done = work.session.iterate({"masks": ("MaskWorkspace", version_file)}, Progress(), report=False)
    mask = work.session.folders.values(done.number)["mask"]
    before = work.session.folders.values(2)["mask"].masked
    assert mask.masked[1024:2048].all()
    assert (mask.masked >= before).all()


def test_an_excluded_peak_is_not_fitted(work: Work) -> None:
    done = work.session.iterate({"excluded_peaks": ((3, (2, 2, 0)),), "pixels.skip": True}, Progress(), report=False)
    fits = work.session.folders.values(done.number)["fit_table"]
    assert not any(g == 3 and tuple(h) == (2, 2, 0) for g, h in zip(fits.group, fits.hkl.tolist(), strict=True))
    assert any(g == 2 and tuple(h) == (2, 2, 0) for g, h in zip(fits.group, fits.hkl.tolist(), strict=True))


def test_a_run_in_the_list_is_used_as_it_is(work: Work) -> None:
    done = work.session.iterate({"pixels.skip": True}, Progress(), report=False)
    run_name = next(name for name in work.session.host.workspaces.names() if name.startswith("tof_all"))
    again = work.session.iterate({"workspace": run_name, "runs": ()}, Progress(), report=False)
    np.testing.assert_array_equal(
        work.session.folders.values(again.number)["table"].difc, work.session.folders.values(done.number)["table"].difc
    )


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3, 0.6, 0.75])
def test_cancelling_keeps_the_list_and_the_iterations(work: Work, fraction: float) -> None:
    names = work.session.restore(2)
    before = [iteration.number for iteration in work.session.iterations]
    reached: list[float] = [0.0]
    progress = Progress(on_report=lambda f, _: reached.append(f), is_cancelled=lambda: max(reached) >= fraction)
    with pytest.raises(Cancelled):
        work.session.iterate({"groups.model": "DIFC"}, progress, report=False)
    assert [iteration.number for iteration in work.session.iterations] == before
    listed = work.session.host.workspaces.names()
    assert set(names.values()) <= set(listed)
    assert not [name for name in listed if name in ("diffract_consts_058882", "dsp_column_058882")]


def test_a_failing_iteration_leaves_the_list_as_it_was(work: Work) -> None:
    work.session.restore(2)
    before = set(work.session.host.workspaces.names())
    with pytest.raises(SnapcalError):
        work.session.iterate({"pixels.skip": True, "groups.max_chi2": 1e-9, "groups.chi2_grows": False}, Progress())
    made_since = set(work.session.host.workspaces.names()) - before
    assert not [name for name in made_since if name.startswith(("dsp_", "diagnostic_", "offsets_", "pixel_results"))]


def test_a_workspace_deleted_by_hand_is_told_and_restored_for_saving(work: Work) -> None:
    names = work.session.restore(2)
    work.session.host.workspaces.delete(names["table"])
    assert any(names["table"] in text for text in work.session.remarks())
    assert work.session.save(2, author="tester", comments="c").version == 1


def test_an_iteration_that_is_saved_already_is_said_to_be(work: Work) -> None:
    """Whoever saves it again may; the others are not meant."""
    session, said = work.session, []
    progress = Progress(on_message=lambda level, text: said.append((level, text)))
    session.save(2, author="tester", comments="once", progress=progress)
    assert session.outlook(1).saved_as is None
    assert session.outlook(2).sentences("")[:2] == [
        "It is saved already, as version 1.",
        "It becomes version 2 of this state.",
    ]
    assert not [text for _, text in said if "already" in text]
    assert session.save(2, author="tester", comments="again", progress=progress).version == 2
    assert ("warning", "Iteration 2 is saved already, as version 1; it is saved once more.") in said


def test_a_removed_iteration_is_gone_and_its_number_is_not_used_again(work: Work) -> None:
    work.session.restore(1)
    work.session.host.workspaces.write("mine", PixelMask.none(np.arange(3, dtype=np.int32)))
    work.session.remove(1)
    assert [iteration.number for iteration in work.session.iterations] == [2]
    assert not [name for name in work.session.host.workspaces.names() if name.endswith("_01")]
    assert "mine" in work.session.host.workspaces.names()
    assert work.session.folders.next_number() == 3
    with pytest.raises(NotFoundError, match="iteration 1"):
        work.session.iteration(1)


def test_a_label_is_shown_instead_of_the_number(work: Work) -> None:
    work.session.label(2, "with time offset")
    assert new_session(work.tree).iteration(2).name == "with time offset"


def test_clearing_deletes_only_what_the_session_made(work: Work) -> None:
    work.session.host.workspaces.write("mine", PixelMask.none(np.arange(3, dtype=np.int32)))
    work.session.restore(1)
    work.session.clear_workspaces()
    assert work.session.host.workspaces.names() == ["mine"]
    assert len(work.session.iterations) == 2


def test_iterating_without_an_iteration_says_so(small_tree: SimulatedTree) -> None:
    with pytest.raises(InputError, match="no iteration yet"):
        new_session(small_tree).iterate({}, Progress())


def test_saving_into_an_unknown_state_says_what_to_do(work: Work, tmp_path: Path) -> None:
    bare = work.tree.settings.model_copy(update={"powder_home": tmp_path / "empty"})
    session = Session(EmbeddedHost(bare), work.session.directory)
    with pytest.raises(SnapcalError, match="init-state"):
        session.save(2, author="tester", comments="c")


def test_the_preset_replaces_all_options_but_those_that_are_given(work: Work) -> None:
    changed = work.request.changed({"preset": "snapred", "pixels.max_passes": 3})
    assert changed.options.pixels.estimator == "correlation"
    assert changed.options.pixels.max_passes == 3
    assert changed.options.groups.model == "DIFC"


@pytest.mark.parametrize("reference", [f"{RUN}:9", "iteration 9"])
def test_what_does_not_exist_is_said_before_the_run_is_read(work: Work, reference: str) -> None:
    told: list[str] = []
    progress = Progress(on_report=lambda _, message: told.append(message))
    with pytest.raises(NotFoundError, match="9"):
        work.session.apply(reference, work.request, "focused", progress)
    assert told == []


def test_a_version_of_the_default_can_be_started_from(work: Work) -> None:
    store = StateStore(work.tree.settings, work.session.iteration(1).state_id, SNAP.lite)
    assert [entry.version for entry in store.entries()] == [0]
    done = work.session.iterate({"start_from": f"{RUN}:0", "pixels.skip": True}, Progress(), report=False)
    np.testing.assert_allclose(
        work.session.folders.values(done.number)["start"].difc, work.session.folders.values(1)["start"].difc, rtol=1e-12
    )
