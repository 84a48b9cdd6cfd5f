"""The form: what is calibrated, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.options import PRESETS, CalibrationOptions
from snapcal_workbench.panel.contract import Choices, Looked
from snapcal_workbench.panel.views.options_view import SECTIONS, OptionFields
from snapcal_workbench.panel.views.reflections_view import ReflectionsView
from snapcal_workbench.panel.widgets.layouts import button, combo, offer, select
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked
from snapcal_workbench.session import Problem, Request, RunSummary

DEBOUNCE_MS = 400
FOREMOST = ("pixels.skip", "groups.peak_function", "groups.model", "peaks.crystal_d_min", "peaks.crystal_d_max")
"""Options that are not under "More"."""


class InputsView(QWidget):
    """Typed inputs; problems stand beside the field.

    Signals:
        changed: The user has stopped typing for a moment.
        initialise_asked: The user wants to initialise the run's state.
        reset_asked: The user wants an empty form.
    """

    changed = Signal()
    initialise_asked = Signal()
    reset_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._tell)
        self._problems: dict[str, PlainLabel] = {}
        self._iterations: Sequence[str] = ()
        self._masks: Sequence[str] = ()
        self._make_fields()
        self._lay_out()
        self._connect()

    def _make_fields(self) -> None:
        self.runs = _line("Run", "Run number, several separated by commas, or a NeXus file", "58882")
        self.workspace = combo("Workspace", "A run that is in the workspace list already, used as it is", narrow=True)
        self.native = QCheckBox("native pixels (slower, finer)")
        self.native.setToolTip("Calibrate single pixels instead of 8x8 blocks of them")
        self.calibrant = _choice("Calibrant", "The known powder")
        self.reflections = ReflectionsView()
        self.grouping = _choice("Grouping", "Which pixels are focused together")
        self.start_from = _choice("Start from", "Calibration of the first pass: geometry, iteration, version or file")
        self.inherit_mask = QCheckBox("with its mask")
        self.inherit_mask.setToolTip("Pixels that are masked in the calibration that is started from stay masked")
        self.masks = _line("Masks", "Mask workspaces or files, separated by commas", "none")
        self.choose_masks = QToolButton()
        self.choose_masks.setText("Choose")
        self.choose_masks.setAccessibleName("Choose masks")
        self.choose_masks.setToolTip("Masks of the workspace list; several can be taken")
        self.choose_masks.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.choose_masks.setMenu(QMenu(self.choose_masks))
        self.preset = combo("Preset", "standard, or SNAPRed's rules and numbers", tuple(PRESETS), narrow=True)
        self.options = OptionFields(self)
        self.summary = PlainLabel("")
        self.summary.setWordWrap(True)
        self.summary.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.initialise = button("Initialise this state …", "Make the folder that its calibrations are saved in")
        self.initialise.setVisible(False)
        self.more = QToolButton()
        self.more.setText("More")
        self.more.setToolTip("All other options")
        self.more.setAccessibleName("More options")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.reset = button("Reset to defaults", "Empty the form; iterations and workspaces stay")

    def _lay_out(self) -> None:
        form = QFormLayout()
        for name, label, field in (
            ("runs", "&Run", self.runs),
            ("workspace", "or &workspace", self.workspace),
            ("lite", "", self.native),
            ("calibrant", "Cali&brant", self.calibrant),
            ("", "", self.reflections),
            ("grouping", "&Grouping", self.grouping),
            ("start_from", "&Start from", self.start_from),
            ("inherit_mask", "", self.inherit_mask),
            ("masks", "&Masks", _beside(self.masks, self.choose_masks)),
        ):
            self._add(form, name, PlainLabel(label), field)
        for name in FOREMOST:
            self._add(form, name, self.options[name].label, self.options[name].widget)
        self._more_page = QWidget()
        page = QVBoxLayout(self._more_page)
        page.setContentsMargins(0, 0, 0, 0)
        self._lay_out_more(page)
        self._more_page.setVisible(False)
        layout = QVBoxLayout(self)
        layout.addWidget(self.summary)
        layout.addWidget(self.initialise)
        layout.addLayout(form)
        layout.addWidget(self.more)
        layout.addWidget(self._more_page)
        layout.addWidget(self.reset)
        layout.addStretch(1)

    def _lay_out_more(self, page: QVBoxLayout) -> None:
        first = QFormLayout()
        self._add(first, "preset", PlainLabel("Prese&t"), self.preset)
        page.addLayout(first)
        for section in SECTIONS:
            box = QGroupBox(section)
            form = QFormLayout(box)
            for field in self.options.fields.values():
                if field.section == section and field.name not in FOREMOST:
                    self._add(form, field.name, field.label, field.widget)
            page.addWidget(box)

    def _add(self, form: QFormLayout, name: str, label: QLabel, field: QWidget) -> None:
        label.setBuddy(field)
        if label.text():
            form.addRow(label, field)
        else:
            form.addRow(field)
        if name:
            problem = PlainLabel("")
            problem.setWordWrap(True)
            problem.setVisible(False)
            problem.setProperty("problem", True)
            form.addRow(problem)
            self._problems[name] = problem

    def _connect(self) -> None:
        for line in (self.runs, self.masks):
            line.textEdited.connect(self._touched)
        for box in (self.workspace, self.calibrant, self.grouping, self.start_from):
            box.currentTextChanged.connect(self._touched)
        for check in (self.native, self.inherit_mask):
            check.toggled.connect(self._touched)
        self.preset.currentTextChanged.connect(self._take_preset)
        self.options.changed.connect(self._touched)
        self.more.toggled.connect(self._more_page.setVisible)
        self.initialise.clicked.connect(self.initialise_asked.emit)
        self.reset.clicked.connect(self.reset_asked.emit)
        menu = self.choose_masks.menu()
        assert menu is not None
        menu.aboutToShow.connect(partial(self._fill_masks, menu))

    def stop(self) -> None:
        """Forget what was typed a moment ago: the form is being closed."""
        self._timer.stop()

    def _touched(self, *_: object) -> None:
        self._timer.start()

    def _tell(self) -> None:
        self.changed.emit()

    def _take_preset(self, name: str) -> None:
        self.options.set_defaults(PRESETS[name])  # type: ignore[index]
        self.options.set_options(PRESETS[name])  # type: ignore[index]
        self._touched()

    def _fill_masks(self, menu: QMenu) -> None:
        menu.clear()
        chosen = _parts(self.masks.text())
        for name in self._masks:
            action = menu.addAction(name)
            if action is not None:
                action.setCheckable(True)
                action.setChecked(name in chosen)
                action.toggled.connect(partial(self._toggle_mask, name))
        if menu.isEmpty():
            action = menu.addAction("There is no mask in the workspace list")
            if action is not None:
                action.setEnabled(False)

    def _toggle_mask(self, name: str, taken: bool) -> None:
        parts = [part for part in _parts(self.masks.text()) if part != name]
        self.masks.setText(", ".join([*parts, name] if taken else parts))
        self._touched()

    def problem(self, name: str) -> str:
        """What is said beside a field."""
        return self._problems[name].text()

    @property
    def values(self) -> dict[str, Any]:
        """The inputs, by the names of `Request.changed`."""
        return {
            "preset": self.preset.currentText(),
            "runs": _parts(self.runs.text()),
            "workspace": self.workspace.currentText(),
            "lite": not self.native.isChecked(),
            "calibrant": self.calibrant.currentText().strip(),
            "grouping": self.grouping.currentText().strip(),
            "start_from": self.start_from.currentText().strip() or "default",
            "inherit_mask": self.inherit_mask.isChecked(),
            "masks": _parts(self.masks.text()),
            **self.options.values,
        }

    def set_defaults(self, options: CalibrationOptions) -> None:
        """Say what the options are by default."""
        self.options.set_defaults(options)

    def set_request(self, request: Request) -> None:
        """Fill the form."""
        self.blockSignals(True)
        self.runs.setText(", ".join(request.runs))
        self.masks.setText(", ".join(request.masks))
        for box, text in (
            (self.preset, request.preset),
            (self.workspace, request.workspace),
            (self.calibrant, request.calibrant),
            (self.grouping, request.grouping),
            (self.start_from, request.start_from),
        ):
            select(box, text)
        self.native.setChecked(not request.lite)
        self.inherit_mask.setChecked(request.inherit_mask)
        self.options.set_options(request.options)
        self.blockSignals(False)

    def set_choices(self, choices: Choices) -> None:
        """Offer what there is; what is chosen stays chosen."""
        self._iterations, self._masks = choices.starts, choices.masks
        offer(self.workspace, ["", *choices.runs])
        versions = [self.start_from.itemText(i) for i in range(self.start_from.count())]
        self._offer_starts([text for text in versions if "/" in text])

    def _offer_starts(self, versions: Sequence[str]) -> None:
        offer(self.start_from, [*self._iterations, *versions])

    def show_looked(self, looked: Looked) -> None:
        """Say beside each field what is wrong with it, and what was found about run and calibrant."""
        rest = self._show_problems(looked.problems)
        if looked.calibrants is not None:
            offer(self.calibrant, looked.calibrants)
        self.reflections.show_calibrant(looked.calibrant)
        summary = looked.summary
        if summary is not None:
            offer(self.grouping, summary.groupings)
            rest.insert(0, _summary_text(summary))
        self.summary.setText("\n".join(rest))
        self.summary.setToolTip(unmarked("\n".join(summary.files)) if summary is not None else "")
        self.initialise.setVisible(summary is not None and not summary.state_exists)
        if looked.versions is not None:
            self._show_versions(looked.versions)

    def _show_problems(self, problems: Sequence[Problem]) -> list[str]:
        """Put problems beside their fields; returns those that belong to none, and which fields are under "More"."""
        by_field: dict[str, list[str]] = {}
        for problem in problems:
            mark = "✗" if problem.severity == "error" else "⚠"
            by_field.setdefault(problem.field, []).append(f"{mark} {problem.message} {problem.fix}".strip())
        for name, label in self._problems.items():
            label.setText("\n".join(by_field.pop(name, [])))
            label.setVisible(bool(label.text()))
        more = self._more_page
        far = [name for name, label in self._problems.items() if label.text() and more.isAncestorOf(label)]
        if far:
            self.more.setChecked(True)
        below = [
            f"✗ Below, under More: {self.options[name].label.text()}" for name in far if name in self.options.fields
        ]
        return below + [text for texts in by_field.values() for text in texts]

    def _show_versions(self, found: Mapping[str, Any]) -> None:
        entries = {f"{entry['mode']}/{found['stateId']}/{entry['version']}": entry for entry in found["versions"]}
        self._offer_starts(list(entries))
        for reference, entry in entries.items():
            saved = entry["timestamp"][:16].replace("T", " ")
            tip = f"version {entry['version']} from run {entry['runNumber']}, saved {saved}: {entry['comments'] or ''}"
            self.start_from.setItemData(self.start_from.findText(reference), unmarked(tip), Qt.ItemDataRole.ToolTipRole)


def _summary_text(summary: RunSummary) -> str:
    names = ", ".join(path.rpartition("/")[2] for path in summary.files)
    place = f" of {summary.ipts.rpartition('/')[2]}" if summary.ipts else ""
    count = f"{summary.n_versions} saved version" + ("" if summary.n_versions == 1 else "s")
    return (
        f"{summary.title or 'no title'}\n"
        f"state {summary.state_id}, {count}\n"
        f"{summary.proton_charge:.4g} µAh, {summary.start_time[:16].replace('T', ' ')}\n"
        f"{names}{place}"
    )


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _beside(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    layout = QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    holder.setFocusProxy(widgets[0])
    return holder


def _line(name: str, tip: str, example: str) -> QLineEdit:
    line = QLineEdit()
    line.setAccessibleName(name)
    line.setToolTip(tip)
    line.setPlaceholderText(example)
    line.setClearButtonEnabled(True)
    return line


def _choice(name: str, tip: str) -> QComboBox:
    """A choice that also takes what is typed."""
    box = combo(name, tip, narrow=True)
    box.setEditable(True)
    return box
