"""What the panel does and shows, without Qt: a real session, and a view that records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.panel.presenters.presenter import Presenter
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.session.preview import Outlook
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.panel.driving import RUN
from tests.panel.recording import RecordingView
from tests.support import copy_tree

pytestmark = pytest.mark.one_binding

TABLE = "diffract_consts_058882"


@pytest.fixture
def view(calibrated_tree: SimulatedTree, tmp_path: Path) -> Iterator[RecordingView]:
    tree = copy_tree(calibrated_tree, tmp_path / "tree")
    session = Session(EmbeddedHost(tree.settings))
    view = RecordingView(session)
    view.presenter.begin()
    yield view
    session.close()


def save(view: RecordingView) -> str:
    """Save the second iteration; returns the reference of the version."""
    view.presenter.save(2, author="tester", comments="c", applies_to="")
    path, version = view.saved[-1]
    assert (version, Path(path).name) == (1, "v_0001")
    return f"lite/{view.presenter.session.iteration(2).state_id}/1"


def test_every_public_method_is_tried_here() -> None:
    tried = set(re.findall(r"\bpresenter\.(\w+)\(", Path(__file__).read_text(encoding="utf-8")))
    tried |= {"finished", "looked"}  # by the view, after each job and each look
    public = {name for name, value in vars(Presenter).items() if callable(value) and not name.startswith("_")}
    assert public - tried == set()


def test_it_begins_with_what_the_session_holds(view: RecordingView) -> None:
    assert view.choices[-1].starts == ["default", "iteration 1", "iteration 2"]
    assert [iteration.number for iteration in view.iterations[-1]] == [1, 2]
    assert view.selected == [2]
    shown = view.results[-1]
    assert shown is not None
    assert shown.iteration.number == 2
    assert list(shown.baselines) == ["the start", "iteration 1"]
    assert view.inputs["runs"] == (RUN,)
    assert view.changes[-1].keys() == {2}, "how far the second is from the first"
    remembered = view.presenter.request().changed({"groups.model": "DIFC+DIFA"}).model_dump_json()
    view.presenter.begin(remembered)
    assert view.inputs["groups.model"] == "DIFC+DIFA"
    view.presenter.begin("{no JSON")
    assert view.inputs["groups.model"] == "DIFC+TZERO", "that of the last iteration"


def test_inputs_are_looked_at_emptied_and_brought_back(view: RecordingView) -> None:
    presenter = view.presenter
    presenter.inputs_changed()
    looked = view.look_now()
    assert looked.summary is not None
    assert looked.summary.run_number == RUN
    assert view.obstacles[-1] == ""
    view.set_inputs({"calibrant": "unobtainium"})
    presenter.inputs_changed()
    assert [problem.field for problem in view.look_now().problems if problem.severity == "error"] == ["calibrant"]
    assert view.obstacles[-1]
    presenter.calibrate()
    assert "unobtainium" in view.said("error")
    presenter.new_calibration()
    assert view.inputs["runs"] == ()
    assert view.undo_offered == [True]
    assert view.asked_to_clear == [], "it has no workspaces in the list"
    presenter.undo_new_calibration()
    assert view.inputs["calibrant"] == "unobtainium"
    assert view.undo_offered == [True, False]
    request = presenter.session.iteration(1).request
    presenter.fill_in(request)
    assert presenter.request() == request
    view.set_inputs({"pixels.max_passes": "many"})
    presenter.calibrate()
    assert "max_passes" in str(view.errors[-1])


def test_a_calibration_is_shown_and_remembered(view: RecordingView) -> None:
    presenter = view.presenter
    presenter.use_inputs(2)
    view.set_inputs({"pixels.skip": True})
    presenter.calibrate()
    assert [iteration.number for iteration in view.iterations[-1]] == [1, 2, 3]
    assert (view.selected[-1], view.spectra_first) == (3, 1)
    shown = view.results[-1]
    assert shown is not None
    assert shown.iteration.number == 3
    assert view.remembered[-1].options.pixels.skip
    assert view.outcomes[-1].startswith("Iteration 3: ")
    presenter.open(2)
    assert (presenter.selected, view.spectra_first) == (2, 2)
    presenter.use_as_start(3)
    assert view.inputs["start_from"] == "iteration 3"


def test_long_jobs_wait_under_their_names_and_are_cancelled(view: RecordingView) -> None:
    presenter = view.presenter
    presenter.cancel()
    assert view.cancelled == 0, "nothing runs"
    view.waits = True
    presenter.calibrate()
    view.set_inputs({"lite": False})
    presenter.calibrate()
    presenter.identify_calibrant()
    presenter.make_demo("anywhere")
    presenter.report(1)
    presenter.apply("1", RUN)
    assert list(view.waiting) == [
        "calibrate",
        "calibrate native pixels",
        "identify the calibrant",
        "make the demonstration",
        "draw the report",
        f"apply 1 to {RUN}",
    ]
    assert view.busyness[-1] == (True, False)
    presenter.cancel()
    assert (view.cancelled, view.busyness[-1]) == (1, (True, True))
    presenter.failed("calibrate", Cancelled("by the user"))
    assert view.outcomes[-1].startswith("Cancelled. Nothing of this step was kept")
    assert view.errors == []
    presenter.failed("calibrate", InputError("The run must exist.", found="58884", fix="Choose another one."))
    assert (view.outcomes[-1], view.errors[-1].found) == ("Failed: The run must exist.", "58884")
    presenter.failed("calibrate", ZeroDivisionError("by zero"))
    assert view.errors[-1].found == "ZeroDivisionError: by zero"
    assert view.busyness[-1] == (False, False)


def test_iterations_are_named_compared_restored_and_forgotten(view: RecordingView) -> None:
    presenter = view.presenter
    presenter.select(1)
    shown = view.results[-1]
    assert shown is not None
    assert shown.iteration.number == 1
    presenter.label(2, "better")
    assert [iteration.name for iteration in view.iterations[-1]] == ["iteration 1", "better"]
    presenter.compare(["1", "2"])
    assert [entry.label for entry in view.comparisons[-1].entries] == ["iteration 1", "better"]
    presenter.comparison_report(view.comparisons[-1])
    assert "better" in Path(view.reports[-1]).read_text(encoding="utf-8")
    script = presenter.script()
    compile(script, "script", "exec")
    assert script.count(RUN) >= 1
    presenter.remove(1)
    assert view.results[-1] is None
    assert [iteration.number for iteration in view.iterations[-1]] == [2]


def test_workspaces_are_restored_plotted_changed_and_cleared(view: RecordingView) -> None:
    presenter, workspaces = view.presenter, view.presenter.session.host.workspaces
    presenter.offer_to_clear()
    assert "has no workspaces" in view.said("information")
    presenter.restore(2)
    assert view.outcomes[-1] == "The workspaces of iteration 2 are in the list again."
    assert view.standings[-1][2].text == "all there"
    assert presenter.workspaces_of_kind("PixelMask")
    presenter.refresh_choices()
    assert view.choices[-1].masks == presenter.workspaces_of_kind("PixelMask")
    table = next(name for name in presenter.workspaces_of_kind("DiffCalTable") if name.startswith(TABLE))
    presenter.plot([table])
    assert [plot.title for plot in view.plots[-1]] == [table]
    presenter.offer_to_clear()
    assert table in view.asked_to_clear[-1]
    workspaces.delete(table)
    presenter.workspaces_changed()
    assert view.standings[-1][2].text != "all there"
    assert table in view.said("information")
    presenter.clear_workspaces()
    assert presenter.session.workspaces() == []


def test_peaks_are_left_out_and_taken_in_again(view: RecordingView) -> None:
    presenter, shown = view.presenter, view.results[-1]
    assert shown is not None
    assert presenter.toggle_peak(1, (2, 2, 0))
    assert view.left_out[-1] == {(1, (2, 2, 0))}
    assert presenter.request().excluded_peaks == ((1, (2, 2, 0)),)
    assert not presenter.toggle_peak(1, (2, 2, 0))
    chi2 = shown.values["fit_table"].chi2
    limit = float(np.nanmedian(chi2))
    assert presenter.exclude_above(shown, limit) == int(np.count_nonzero(chi2 > limit)) > 0
    assert len(view.left_out[-1]) == np.count_nonzero(chi2 > limit)
    presenter.include_all()
    assert view.left_out[-1] == set()


def test_a_version_is_saved_checked_loaded_retired_and_brought_back(view: RecordingView) -> None:
    presenter = view.presenter
    outlook = presenter.outlook(2, None)(Progress())
    assert isinstance(outlook, Outlook)
    assert outlook.version == 1
    reference = save(view)
    presenter.load_baseline(reference)
    name, table = view.baselines[-1]
    assert name == reference
    np.testing.assert_allclose(table.difc, presenter.session.folders.values(2)["table"].difc, rtol=1e-14)
    presenter.check_versions()
    assert view.health[-1][reference] == "good"
    presenter.load_version(reference)
    assert f"{TABLE}_v0001" in presenter.session.host.workspaces.names()
    presenter.retire(reference, "a broken bank", "tester")
    presenter.inputs_changed()
    assert {item["version"]: item["retired"] for item in versions(view)}[1] == "a broken bank"
    presenter.unretire(reference, "it was mended", "tester")
    assert {item["version"]: item["retired"] for item in versions(view)}[1] is None
    presenter.apply(reference, RUN)
    (plot,) = view.plots[-1]
    assert plot.title == f"focused_0{RUN}"
    assert view.outcomes[-1] == f"The focused spectra are the workspace focused_0{RUN}."
    presenter.apply("nothing", "58882")
    assert view.errors[-1].fix
    presenter.initialise_state("again", "tester")
    assert "initialised" in str(view.errors[-1])


def versions(view: RecordingView) -> list[dict[str, object]]:
    """The versions that a look at the inputs finds."""
    found = view.look_now().versions
    assert found is not None
    return [dict(item) for item in found["versions"]]


def test_an_export_is_whole_or_leaves_the_file_as_it_was(view: RecordingView, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    view.presenter.export(path, lambda part: part.write_text("1,2", encoding="utf-8"))
    assert (path.read_text(encoding="utf-8"), view.outcomes[-1]) == ("1,2", f"Written: {path}")

    def broken(part: Path) -> None:
        part.write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    view.presenter.export(path, broken)
    assert path.read_text(encoding="utf-8") == "1,2"
    assert "No space left" in str(view.errors[-1])


def test_what_cannot_be_read_stands_in_the_list_and_showing_it_says_why(view: RecordingView) -> None:
    presenter = view.presenter
    (presenter.session.folders.path(1) / "iteration.json").write_text("{}", encoding="utf-8")
    presenter.label(2, "better")
    assert [iteration.name for iteration in view.iterations[-1]] == ["better"]
    assert [other.number for other in view.unreadable[-1]] == [1]
    presenter.select(1)
    assert "format" in view.errors[-1].found
