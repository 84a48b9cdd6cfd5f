"""The form: every option comes and goes unchanged, and what does not fit is said beside its field."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QMenu, QWidget

from snapcal_workbench.calibration.types import MaskReason, PixelMask
from snapcal_workbench.errors import InputError, InputProblemError
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.options import PRESETS, CalibrationOptions, leaves
from snapcal_workbench.panel.presenters.form import inputs_of
from snapcal_workbench.panel.presenters.pace import PATIENCE, Pace
from snapcal_workbench.panel.views.form.inputs_view import InputsView
from snapcal_workbench.panel.views.run_bar import RunBar
from snapcal_workbench.panel.widgets.fields import Line, choice
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.session import Request, build_request
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.panel.driving import RUN, Open, fill_in, log


def other_value(name: str, value: object) -> object:
    """A value of an option that is not its default."""
    choices = {
        "peaks.window": "fwhm",
        "peaks.overlap": "before intensity",
        "pixels.estimator": "correlation",
        "pixels.reference": "median",
        "groups.method": "peaks",
        "groups.convention": "T0",
        "groups.peak_function": "PseudoVoigt",
        "groups.peak_weights": "data errors",
        "groups.model": "DIFC+DIFA",
        "groups.weights": "height squared",
        "pixels.max_newly_masked": 0.3,
        "pixels.max_shift": 0.03,
        "peaks.intensity_fraction": 0.07,
        "pixels.max_offset_bins": 12.0,
    }
    if name in choices:
        return choices[name]
    if isinstance(value, bool):
        return not value
    assert isinstance(value, int | float), name
    return value + 1 if isinstance(value, int) else value * 1.25


def test_every_option_has_a_label_and_survives_the_form(qtbot) -> None:
    form = InputsView()
    qtbot.addWidget(form)
    names = [leaf.name for leaf in leaves(CalibrationOptions)]
    assert all(leaf.field.title for leaf in leaves(CalibrationOptions))
    request = Request().changed({name: other_value(name, form.options[name].value) for name in names})
    form.set_values(inputs_of(request))
    assert Request().changed(form.values) == request
    assert all(form.options[name].label.font().bold() for name in names)
    form.set_values(inputs_of(Request()))
    assert Request().changed(form.values) == Request()
    assert not any(form.options[name].label.font().bold() for name in names)


def test_a_preset_fills_in_all_options(qtbot) -> None:
    form = InputsView()
    qtbot.addWidget(form)
    form.options["groups.max_chi2"].set_value(3.0)
    form.preset.setCurrentText("snapred")
    assert Request().changed(form.values).options == PRESETS["snapred"]


def test_options_without_a_meaning_cannot_be_changed(qtbot) -> None:
    form = InputsView()
    qtbot.addWidget(form)
    assert not form.options["pixels.reference"].widget.isEnabled()
    form.options["pixels.estimator"].set_value("correlation")
    assert form.options["pixels.reference"].widget.isEnabled()
    form.options["pixels.skip"].set_value(True)
    assert not form.options["pixels.threshold"].widget.isEnabled()


def test_what_the_calibrant_fixes_is_shown_and_what_was_typed_comes_back(qtbot) -> None:
    view = InputsView()
    qtbot.addWidget(view)
    fields = view.options
    low, function = fields["peaks.crystal_d_min"], fields["groups.peak_function"]
    low.set_value(0.7)
    fields.fix({"peaks.crystal_d_min": 0.5, "groups.peak_function": "Lorentzian"}, "Lead")
    assert (low.widget.text(), function.widget.currentText()) == ("0.5", "Lorentzian")
    assert not low.widget.isEnabled()
    assert "Fixed by the calibrant Lead." in low.widget.toolTip()
    assert fields.values["peaks.crystal_d_min"] == 0.7
    low.set_value(0.8)
    assert low.widget.text() == "0.5"
    fields.fix({"groups.peak_function": "Lorentzian"}, "Lead")
    assert (low.widget.text(), low.widget.isEnabled()) == ("0.8", True)
    fields.fix({}, "")
    assert function.widget.currentText() == "Gaussian"


def test_the_number_fields_allow_what_the_options_allow(qtbot) -> None:
    form = InputsView()
    qtbot.addWidget(form)
    for name in ("pixels.max_passes", "pixels.bins_per_delta_d", "groups.min_peaks"):
        field = form.options[name]
        low, high = field.widget.minimum(), field.widget.maximum()
        Request().changed({name: low})
        Request().changed({name: high})
        with pytest.raises(InputError):
            Request().changed({name: low - 1})


def test_a_value_that_does_not_fit_is_said_beside_its_field(qtbot, open_window: Open) -> None:
    window = open_window()
    form = window.inputs_view
    form.options["groups.max_chi2"].widget.setText("-3")
    qtbot.waitUntil(lambda: "greater than 0" in form.problem("groups.max_chi2"), timeout=10_000)
    assert form.more.isChecked()
    assert "See under More: Largest χ² of a peak." in form.rest.text()
    form.options["groups.max_chi2"].widget.setText("many")
    qtbot.waitUntil(lambda: "many" in form.problem("groups.max_chi2"), timeout=10_000)
    form.options["groups.max_chi2"].set_value(5.0)
    qtbot.waitUntil(lambda: form.problem("groups.max_chi2") == "", timeout=10_000)


def test_the_error_names_the_input() -> None:
    with pytest.raises(InputProblemError) as caught:
        build_request({"options": {"pixels": {"max_passes": 0}}})
    assert caught.value.field == "pixels.max_passes"


def test_the_reflections_of_silicon(qtbot, open_window: Open) -> None:
    """Indices and d-spacings by the diamond structure's extinction rule, a = 5.43 A."""
    window = open_window()
    form = window.inputs_view
    form.calibrant.setCurrentText("Silicon_NIST_640d_001")
    opener = form.reflections.opener
    qtbot.waitUntil(opener.isEnabled, timeout=10_000)
    table = form.reflections.table
    form.reflections.opener.click()
    assert table.isVisible()
    cells = [[table.item(row, column).text() for column in range(4)] for row in range(4)]  # type: ignore[union-attr]
    assert [row[0].replace("−", "").replace(" ", "") for row in cells] == ["111", "220", "311", "400"]
    expected = 5.4312 / np.sqrt([3.0, 8.0, 11.0, 16.0])
    assert np.allclose([float(row[1]) for row in cells], expected, rtol=2e-4)
    assert "reflections used" in form.reflections.opener.text()
    form.options["peaks.crystal_d_max"].set_value(2.0)
    qtbot.waitUntil(lambda: table.item(0, 0).text() == "220", timeout=10_000)  # type: ignore[union-attr]
    form.calibrant.setCurrentText("Nickel")
    qtbot.waitUntil(lambda: not opener.isEnabled(), timeout=10_000)


def test_masks_are_taken_from_the_workspace_list(qtbot, open_worked: Open) -> None:
    window = open_worked()
    workspaces = window.presenter.session.host.workspaces
    detid = np.arange(18432, dtype=np.int32)
    reason = np.zeros(len(detid), np.uint8)
    reason[:100] = MaskReason.USER
    workspaces.write("mine", PixelMask(detid, reason))
    workspaces.write("other", PixelMask.none(detid))
    form = window.inputs_view
    menu = form.choose_masks.menu()
    assert isinstance(menu, QMenu)

    def names() -> list[str]:
        menu.aboutToShow.emit()
        return [action.text() for action in menu.actions()]

    qtbot.waitUntil(lambda: {"mine", "other"} <= set(names()), timeout=10_000)
    for name in ("mine", "other"):
        next(action for action in menu.actions() if action.text() == name).trigger()
    assert window.inputs["masks"] == ("mine", "other")
    menu.aboutToShow.emit()
    next(action for action in menu.actions() if action.text() == "mine").trigger()
    assert window.inputs["masks"] == ("other",)


def test_iterations_and_versions_are_offered_as_start(qtbot, open_worked: Open) -> None:
    window = open_worked()
    window.presenter.save(3, author="tester", comments="a good one", applies_to="")
    qtbot.waitUntil(lambda: "Saved as version 1" in log(window), timeout=30_000)
    box = window.inputs_view.start_from
    texts = lambda: [box.itemText(i) for i in range(box.count())]  # noqa: E731
    qtbot.waitUntil(lambda: "lite/04bd2c53f6bf6754/1" in texts(), timeout=20_000)
    assert texts()[:4] == ["default", "iteration 1", "iteration 2", "iteration 3"]
    tip = str(box.itemData(box.findText("lite/04bd2c53f6bf6754/1"), 3))
    assert "from run 58882" in tip
    assert "a good one" in tip
    box.setCurrentText("lite/04bd2c53f6bf6754/1")
    qtbot.wait(600)
    assert window.inputs_view.problem("start_from") == ""


def type_run(qtbot, window: CalibrationWindow, text: str, expected: str) -> None:
    form = window.inputs_view
    form.runs.setText(text)
    form.runs.textEdited.emit(text)
    qtbot.waitUntil(lambda: expected in form.problem("runs"), timeout=20_000)


def test_runs_that_cannot_be_used_are_said_beside_the_field(qtbot, open_window: Open, tree: SimulatedTree) -> None:
    window = open_window()
    fill_in(qtbot, window)
    run = tree.run_path(RUN)
    truncated = tree.directory / "SNAP_58883.nxs.h5"
    truncated.write_bytes(run.read_bytes()[:200_000])
    type_run(qtbot, window, "no number", "no number")
    type_run(qtbot, window, "99999", "99999")
    type_run(qtbot, window, str(tree.directory / "gone.nxs.h5"), "gone.nxs.h5")
    type_run(qtbot, window, str(truncated), "SNAP_58883.nxs.h5")
    elsewhere = tree.directory / "copy" / run.name
    elsewhere.parent.mkdir()
    shutil.copy(run, elsewhere)
    type_run(qtbot, window, str(elsewhere), "")
    qtbot.waitUntil(lambda: "state 04bd2c53f6bf6754" in window.inputs_view.run_view.text(), timeout=20_000)
    assert str(elsewhere) in window.inputs_view.run_view.lines.toolTip()
    assert "µAh" in window.inputs_view.run_view.text()


def drop(widget: QWidget, *paths: Path) -> None:
    """Let files fall on a widget."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    place, action = QPointF(5.0, 5.0), Qt.DropAction.CopyAction
    none = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    widget.dropEvent(QDropEvent(place, action, mime, *none))


def test_files_can_be_dropped_on_fields_and_form(qtbot, open_window: Open, tree: SimulatedTree, tmp_path: Path) -> None:
    form = open_window().inputs_view
    drop(form, tree.run_path(RUN))
    assert form.values["runs"] == (str(tree.run_path(RUN)),)
    qtbot.waitUntil(lambda: "state 04bd2c53f6bf6754" in form.run_view.text(), timeout=20_000)
    drop(form.masks, tmp_path / "a.xml", tmp_path / "b.xml")
    assert form.values["masks"] == (str(tmp_path / "a.xml"), str(tmp_path / "b.xml"))
    edit = form.start_from.lineEdit()
    assert edit is not None
    drop(edit, tmp_path / "table.h5")
    assert form.values["start_from"] == str(tmp_path / "table.h5")


def test_recent_runs_come_back_and_the_last_choice_is_proposed(qtbot, open_window: Open) -> None:
    window = open_window()
    form = window.inputs_view
    assert not form.recent.isEnabled()
    window.remember(Request(runs=("1-3",), calibrant="Diamond_001", grouping="All"))
    window.remember(Request(runs=(RUN,), calibrant="Diamond_001", grouping="All"))
    menu = form.recent.menu()
    assert isinstance(menu, QMenu)
    assert [action.text() for action in menu.actions()] == [RUN, "1, 2, 3"]
    menu.actions()[0].trigger()
    assert form.values["runs"] == (RUN,)
    qtbot.waitUntil(lambda: form.values["grouping"] == "All", timeout=20_000)
    assert form.values["calibrant"] == "Silicon_NIST_640d_001"  # the title knows better than the last use


def test_the_data_say_which_calibrant_it_is_where_the_title_is_wrong(
    qtbot, open_window: Open, tree: SimulatedTree
) -> None:
    path = tree.run_path(RUN)
    content = path.read_bytes()
    path.unlink()  # it is a hard link to that of other tests
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:
        del file["entry/title"]
        file["entry/title"] = [b"Diamond powder"]
    window = open_window()
    form = window.inputs_view
    assert not form.identify.isEnabled()
    type_run(qtbot, window, RUN, "")
    qtbot.waitUntil(lambda: form.values["calibrant"] == "Diamond_001", timeout=20_000)  # as the title says
    form.identify.click()
    qtbot.waitUntil(lambda: form.values["calibrant"] == "Silicon_NIST_640d_001", timeout=60_000)
    qtbot.waitUntil(lambda: "names Diamond_001, but the data are of" in form.problem("calibrant"), timeout=20_000)
    assert window.run_bar.step.text().startswith("By its data the run is of Silicon_NIST_640d_001.")
    assert "Silicon_NIST_640d_001 explains" in log(window)
    form.calibrant.setCurrentText("Diamond_001")
    expected = "The data are of Silicon_NIST_640d_001, not of Diamond_001."
    qtbot.waitUntil(lambda: expected in form.problem("calibrant"), timeout=20_000)
    assert window.run_bar.calibrate.isEnabled()  # a warning: whoever knows better may go on


def test_native_pixels_are_no_choice_where_there_are_no_others(
    qtbot, settings: None, small_tree: SimulatedTree
) -> None:
    for instrument, offered in (("SNAP", True), ("POWGEN", False)):
        window = CalibrationWindow(EmbeddedHost(small_tree.settings.model_copy(update={"instrument": instrument})))
        qtbot.addWidget(window)
        window.show()
        assert window.inputs_view.native.isVisible() == offered
        window.close()


def test_a_long_name_is_cut_in_the_middle(qtbot) -> None:
    field = choice("Calibrant", "The known powder")
    qtbot.addWidget(field)
    field.resize(120, 30)
    field.setEditText("Silicon_NIST_640d_001")
    field.show()
    edit = field.lineEdit()
    assert isinstance(edit, Line)
    assert "Silicon_NIST_640d_001" in edit.toolTip()
    assert edit.elided().startswith("Si")
    assert edit.elided().endswith("1")
    assert len(edit.elided()) < len(edit.text())


def test_the_time_left_at_a_constant_rate() -> None:
    pace = Pace()
    for second in range(11):
        pace.add(100.0 + second, 0.02 * second)
    assert pace.left() == pytest.approx(40.0)
    assert pace.text() == "about 40 s left"


def test_the_time_left_follows_a_change_of_rate_and_is_never_negative() -> None:
    pace = Pace()
    for second in range(60):
        pace.add(second, 0.01 * min(second, 20) + 0.001 * max(second - 20, 0))
    assert pace.left() == pytest.approx((1.0 - 0.2 - 0.039) / 0.001, rel=0.05)
    assert pace.text() == "about 13 min left"
    pace.add(60.0, 1.0)
    assert pace.left() == 0.0


def test_an_earlier_run_tells_the_time_left_from_the_first_second() -> None:
    """A step whose first half takes 80 s and whose second 20 s, done again at twice the speed."""
    first, again = Pace(), Pace()
    seconds = np.linspace(0.0, 100.0, 401)
    fractions = np.interp(seconds, [0.0, 80.0, 100.0], [0.0, 0.5, 1.0])
    for second, fraction in zip(seconds, fractions, strict=True):
        first.add(1000.0 + second, fraction)
    course = first.course()
    assert course[-1] == pytest.approx(100.0)
    again.restart(course)
    again.add(0.0, 0.0)
    assert again.left() == pytest.approx(100.0)
    for second, fraction in zip(seconds[seconds <= 80.0], fractions, strict=False):
        again.add(0.5 * second, fraction)
    assert again.left() == pytest.approx(10.0, rel=0.2)  # the rate of the first half would say 40 s
    again.add(50.0, 1.0)
    assert again.left() == 0.0


def test_nothing_is_said_of_the_first_seconds_or_of_a_step_that_stands_still() -> None:
    pace = Pace()
    assert pace.text() == ""
    pace.add(0.0, 0.0)
    pace.add(0.5 * PATIENCE, 0.3)
    assert pace.left() is None
    still = Pace()
    for second in range(10):
        still.add(second, 0.4)
    assert still.left() is None
    still.add(10.0, 0.1)
    assert still.left() is None


def test_the_row_below_says_one_thing(qtbot) -> None:
    """What hinders goes before what came of the last step."""
    bar = RunBar()
    qtbot.addWidget(bar)
    bar.show_outcome("Cancelled.")
    assert bar.step.text() == "Cancelled."
    bar.show_obstacle("A run is needed.")
    assert bar.step.text() == "A run is needed."
    bar.show_obstacle("")
    assert bar.step.text() == "Cancelled."


def test_defaults_are_those_of_the_options() -> None:
    assert Request().options == CalibrationOptions()


def test_the_log_has_times_and_can_be_kept(qtbot, open_window: Open, tmp_path: Path) -> None:
    window = open_window()
    window.log("warning", "something to know")
    line = log(window).splitlines()[-1]
    assert line[2] == line[5] == ":"
    assert line.endswith("  WARNING: something to know")
    window.messages.save(tmp_path / "steps.log")
    assert (tmp_path / "steps.log").read_text(encoding="utf-8").splitlines()[-1] == line
