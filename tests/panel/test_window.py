"""The real window, driven as a scientist drives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import h5py
import numpy as np
from qtpy.QtCore import QPoint, Qt

from snapcal_workbench.calibration.types import PixelMask
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.panel.dialogs.save_dialog import SaveDialog
from snapcal_workbench.panel.views.form.inputs_view import InputsView
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.report.detectors import DetectorPicture
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.panel.driving import LONG, RUN, Open, fill_in, log, run, text_of

TABS = ("Spectra", "Groups", "Detectors", "Convergence", "Compare")


def visible_tabs(window: CalibrationWindow) -> tuple[str, ...]:
    """Titles of the results' tabs."""
    results = window.results
    return tuple(results.tabText(index) for index in range(results.count()) if results.isTabVisible(index))


@contextmanager
def watched(window: CalibrationWindow) -> Iterator[set[tuple[bool, tuple[str, ...]]]]:
    """What is seen at each pass: whether it is in front, and the tabs."""
    seen: set[tuple[bool, tuple[str, ...]]] = set()

    def look(_: object) -> None:
        seen.add((window.results.currentWidget() is window.results.running, visible_tabs(window)))

    window._work.interim.connect(look)
    yield seen
    window._work.interim.disconnect(look)


def is_marked(form: InputsView, name: str) -> bool:
    """Whether a field has the mark of a problem."""
    picture = form.mark(name).pixmap()
    return picture is not None and not picture.isNull()


def test_from_the_form_to_a_saved_version(qtbot, open_window: Open, tree: SimulatedTree) -> None:
    """Fill in, run, iterate, compare, choose the first iteration, save; then open it all again."""
    window = open_window()
    fill_in(qtbot, window)
    assert not window.inputs_view.run_view.initialise.isVisible()
    pane, pictures = window.results.running.pane, []
    pane.drawn.connect(lambda: pictures.append(pane.result))
    with watched(window) as seen:
        run(qtbot, window, 1)
    assert seen == {(True, ("Running",))}  # in the place of the first steps
    assert pictures
    assert all(isinstance(picture, DetectorPicture) for picture in pictures)
    window.inputs_view.options["groups.model"].set_value("DIFC+TZERO")
    with watched(window) as seen:
        run(qtbot, window, 2)
    assert seen == {(False, (*TABS, "Running"))}  # what the scientist looks at stays in front
    assert visible_tabs(window) == TABS
    folders = window.presenter.session.folders
    assert folders.asked(2).is_file()  # its report does not hold up the result
    assert not folders.report(2).exists()
    cells = [text_of(window.iterations.table, row, 2) for row in range(2)]
    assert "Terms of a group: DIFC+TZERO" in " ".join(cells)
    assert "diffract_consts_058882_01" in window.workspaces_shown()

    qtbot.mouseClick(window.iterations.doings.buttons["Compare"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.results.compare.comparison is not None, timeout=20_000)

    dialog = SaveDialog(window.presenter, [1, 2], 1, "")
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: "Still missing: author and comments" in dialog.preview.text(), timeout=10_000)
    qtbot.keyClicks(dialog.author, "tester")
    qtbot.keyClicks(dialog.comments, "the first")
    qtbot.keyClicks(dialog.applies_to, "all of them")
    assert "Write for example" in dialog.preview.text()
    dialog.applies_to.setText("")
    told = dialog.preview.text().splitlines()
    assert told[0] == "It becomes version 1 of this state."
    assert "It takes all runs from 58882 on from the default." in told
    window.presenter.save(1, author="tester", comments="the first", applies_to="")
    qtbot.waitUntil(lambda: "Saved as version 1" in log(window), timeout=30_000)
    qtbot.waitUntil(lambda: window.versions.table.rowCount() == 2, timeout=20_000)
    saved = tree.settings.powder_home / "04bd2c53f6bf6754" / "diffraction" / "v_0001"
    assert (saved / "report.html").is_file()
    window.inputs_view.options["groups.max_chi2"].set_value(7.0)
    window.close()

    again = open_window()
    assert again.iterations.table.rowCount() == 2
    assert again.inputs["runs"] == (RUN,)
    assert again.inputs["groups.model"] == "DIFC+TZERO"
    assert again.inputs["groups.max_chi2"] == 7.0
    again.presenter.select(1)
    qtbot.waitUntil(lambda: again.results.spectra.group.count() == 6, timeout=20_000)
    check_versions(qtbot, again, tree)


def check_versions(qtbot, window: CalibrationWindow, tree: SimulatedTree) -> None:
    """A check finds a version that was tampered with; an iteration and a version are applied to a run."""
    qtbot.waitUntil(lambda: window.versions.table.rowCount() == 2, timeout=20_000)
    window.presenter.check_versions()
    health = window.versions.table.columnCount() - 1
    cells = lambda: [text_of(window.versions.table, row, health) for row in range(2)]  # noqa: E731
    qtbot.waitUntil(lambda: cells() == ["good", "good"], timeout=20_000)
    saved = tree.settings.powder_home / "04bd2c53f6bf6754" / "diffraction" / "v_0001"
    table = saved / "diffract_consts_058882_v0001.h5"
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    window.presenter.check_versions()
    qtbot.waitUntil(lambda: any("changed" in cell for cell in cells()), timeout=20_000)


def test_cancel_answers_at_once_and_keeps_nothing(qtbot, open_window: Open) -> None:
    window = open_window()
    fill_in(qtbot, window)
    qtbot.waitUntil(window.run_bar.calibrate.isEnabled, timeout=20_000)
    window.activateWindow()
    qtbot.waitActive(window)
    qtbot.keyClick(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.run_bar.bar.value() > 150, timeout=LONG)
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert window.run_bar.cancel.text() == "Cancelling …"
    qtbot.waitUntil(lambda: "Cancelled." in log(window), timeout=10_000)
    assert window.run_bar.calibrate.isEnabled()
    assert window.iterations.table.rowCount() == 0
    assert not [name for name in window.workspaces_shown() if name.startswith("dsp_")]


def test_problems_stand_beside_their_field(qtbot, open_window: Open) -> None:
    window = open_window()
    fill_in(qtbot, window)
    form = window.inputs_view
    form.calibrant.setCurrentText("Nickel")
    form.masks.setText("no_such_mask")
    form.masks.textEdited.emit("no_such_mask")
    qtbot.waitUntil(lambda: "Nickel" in form.problem("calibrant"), timeout=20_000)
    assert "no_such_mask" in form.problem("masks")
    assert not window.run_bar.calibrate.isEnabled()
    assert "Nickel" in window.run_bar.step.text()
    assert "Nickel" in window.run_bar.calibrate.toolTip()
    form.runs.setText("58883")
    form.runs.textEdited.emit("58883")
    qtbot.waitUntil(lambda: "58883" in form.problem("runs"), timeout=20_000)
    for name in ("runs", "calibrant", "masks"):  # all at once, each with its mark and whole sentences
        assert is_marked(form, name)
        assert form.problem(name).endswith(".")
        assert "snapcal" not in form.problem(name)
    form.runs.setText(RUN)
    form.calibrant.setCurrentText("Silicon_NIST_640d_001")
    form.masks.clear()
    qtbot.waitUntil(window.run_bar.calibrate.isEnabled, timeout=20_000)
    assert not is_marked(form, "calibrant")


def test_nothing_moves_when_a_run_is_recognised_and_calibrant_and_grouping_are_proposed(
    qtbot, open_window: Open
) -> None:
    window = open_window()
    form = window.inputs_view
    fields = (form.runs, form.workspace, form.calibrant, form.grouping, form.masks, form.options["groups.model"].widget)
    places = lambda: [field.mapTo(form, QPoint(0, 0)).y() for field in fields]  # noqa: E731
    qtbot.waitUntil(lambda: "run is needed" in window.run_bar.step.text(), timeout=20_000)
    before = places()
    qtbot.keyClicks(form.runs, RUN)
    qtbot.waitUntil(window.run_bar.calibrate.isEnabled, timeout=20_000)
    assert places() == before
    assert window.inputs["calibrant"] == "Silicon_NIST_640d_001"  # named by the run's title
    assert window.inputs["grouping"] == "Column"
    assert window.inputs["start_from"] == "default"
    assert form.start_from.currentText() == "default"


def test_below_the_run_stands_what_is_known_of_it(qtbot, open_window: Open, tree: SimulatedTree) -> None:
    window = open_window()
    fill_in(qtbot, window)
    text = window.inputs_view.run_view.text()
    with h5py.File(tree.run_path(RUN)) as file:
        counts = [bank["event_id"].shape[0] for name, bank in file["entry"].items() if name.endswith("_events")]
        wavelength = file["entry/DASlogs/BL3:Chop:Skf1:WavelengthUserReq/value"][-1]
        arcs = [file[f"entry/DASlogs/det_arc{number}/value"][-1] for number in (1, 2)]
        title = file["entry/title"][0].decode()
    assert f"{sum(counts):,} events" in text
    assert f"λ {wavelength:g} Å" in text
    assert all(f"{arc:.5g}°" in text for arc in arcs)
    assert title in text
    assert "t, state 04bd2c53f6bf6754" in text  # the name that it was initialised with
    assert "Only the default applies; none is saved in this state." in text


def test_an_unknown_state_can_be_initialised_here(qtbot, small_tree: SimulatedTree, settings: None) -> None:
    window = CalibrationWindow(EmbeddedHost(small_tree.settings))
    qtbot.addWidget(window)
    window.show()
    fill_in(qtbot, window)
    assert window.inputs_view.run_view.initialise.isVisible()
    window.presenter.initialise_state("test", "tester")
    qtbot.waitUntil(lambda: not window.inputs_view.run_view.initialise.isVisible(), timeout=60_000)
    assert (small_tree.settings.powder_home / "04bd2c53f6bf6754").is_dir()


def test_workspaces_changed_by_hand_are_told(qtbot, open_worked: Open) -> None:
    window = open_worked()
    window.presenter.restore(3)
    qtbot.waitUntil(lambda: "dsp_column_058882_03" in window.workspaces_shown() and not window.busy, timeout=20_000)
    workspaces = window.presenter.session.host.workspaces
    workspaces.write("mine", PixelMask.none(np.arange(3, dtype=np.int32)))
    workspaces.delete("diffract_consts_058882_03")
    workspaces.rename("dsp_column_058882_03", "focused")
    qtbot.waitUntil(lambda: "focused" in window.workspaces_shown(), timeout=5_000)
    run(qtbot, window, 4)
    assert "'diffract_consts_058882_03' was deleted by hand" in log(window)
    window.presenter.clear_workspaces()
    qtbot.waitUntil(lambda: window.workspaces_shown() == ["mine"], timeout=5_000)
    assert window.iterations.table.rowCount() == 4


def test_the_state_of_the_form_comes_back(qtbot, open_window: Open) -> None:
    window = open_window()
    fill_in(qtbot, window)
    window.inputs_view.options["peaks.crystal_d_min"].set_value(0.7)
    state = window.get_state()
    window.presenter.new_calibration()
    assert window.inputs["runs"] == ()
    window.set_state(state)
    assert window.inputs["runs"] == (RUN,)
    assert window.inputs["peaks.crystal_d_min"] == 0.7
