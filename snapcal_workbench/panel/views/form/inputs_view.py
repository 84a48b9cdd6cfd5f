"""The form: what is calibrated, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.options import PRESETS, CalibrationOptions
from snapcal_workbench.panel.presenters.contract import Choices, Looked
from snapcal_workbench.panel.views.form.options_view import SECTIONS, OptionFields
from snapcal_workbench.panel.views.form.reflections_view import ReflectionsView
from snapcal_workbench.panel.views.form.run_view import RunView
from snapcal_workbench.panel.widgets.fields import Line, Mark, ProblemText, beside, browse, choice, line, paths_of
from snapcal_workbench.panel.widgets.layouts import button, combo, offer, select
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked
from snapcal_workbench.session import Problem
from snapcal_workbench.session.versions import Described
from snapcal_workbench.text import visible

DEBOUNCE_MS = 400
FOREMOST = ("pixels.skip", "groups.peak_function", "groups.model", "peaks.crystal_d_min", "peaks.crystal_d_max")
"""Options that are not under "More"."""


class InputsView(QWidget):
    """Typed inputs; problems stand beside the field.

    Signals:
        changed: The user has stopped typing for a moment.
        identify_asked: The user wants to know by the data which calibrant the run is of.
        initialise_asked: The user wants to initialise the run's state.
        new_asked: The user wants an empty form.
        undo_asked: The user wants back what was in the form before it was emptied.
    """

    changed = Signal()
    identify_asked = Signal()
    initialise_asked = Signal()
    new_asked = Signal()
    undo_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._tell)
        self._problems: dict[str, ProblemText] = {}
        self._marks: dict[str, Mark] = {}
        self._iterations: Sequence[str] = ()
        self._masks: Sequence[str] = ()
        self._make_fields()
        self._lay_out()
        self._connect()

    def _make_fields(self) -> None:
        runs = "Run number, several as 58882-58885,58890, or a NeXus file; files can be dropped here"
        self.runs = line("Run", runs, "58882", several=True)
        self.recent = QToolButton()
        self.recent.setText("▾")
        self.recent.setAccessibleName("Recent runs")
        self.recent.setToolTip("Runs that were calibrated lately")
        self.recent.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.recent.setMenu(QMenu(self.recent))
        self.run_view = RunView()
        self.workspace = combo("Workspace", "A run that is in the workspace list already, used as it is", narrow=True)
        self.native = QCheckBox("native pixels (slower, finer)")
        self.native.setToolTip("Calibrate single pixels instead of 8x8 blocks of them")
        self.calibrant = choice("Calibrant", "The known powder: one of the list, or its file", "choose the powder")
        self.calibrant.setMinimumContentsLength(5)  # beside two buttons: the window must fit a small screen
        self.identify = QToolButton()
        self.identify.setText("Identif&y")
        self.identify.setToolTip("Find out by the run's peaks which of the known calibrants it is of, and choose that")
        self.identify.setEnabled(False)
        self.reflections = ReflectionsView()
        self.grouping = choice("Grouping", "Which pixels are focused together", "the state's first 'column' one")
        start = "Calibration of the first pass: default (geometry in the logs), iteration, version or file"
        self.start_from = choice("Start from", start, "default")
        self.inherit_mask = QCheckBox("with its mask")
        self.inherit_mask.setToolTip("Pixels that are masked in the calibration that is started from stay masked")
        self.masks = line("Masks", "Mask workspaces or files, separated by commas", "none", several=True)
        self.choose_masks = QToolButton()
        self.choose_masks.setText("▾")
        self.choose_masks.setAccessibleName("Choose masks")
        self.choose_masks.setToolTip("Masks of the workspace list; several can be taken")
        self.choose_masks.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.choose_masks.setMenu(QMenu(self.choose_masks))
        self.preset = combo("Preset", "standard, or SNAPRed's rules and numbers", tuple(PRESETS), narrow=True)
        self.options = OptionFields(self)
        self._lines = {"runs": self.runs, "masks": self.masks}
        self._checks = {"lite": self.native, "inherit_mask": self.inherit_mask}
        self._boxes = {
            "preset": self.preset,
            "workspace": self.workspace,
            "calibrant": self.calibrant,
            "grouping": self.grouping,
            "start_from": self.start_from,
        }
        self.rest = ProblemText()
        self.more = QToolButton()
        self.more.setText("More")
        self.more.setToolTip("All other options")
        self.more.setAccessibleName("More options")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.new = button("&New calibration", "Empty the form (Ctrl+N); iterations and workspaces stay")
        self.undo = button("Undo", "Bring back what was in the form before it was emptied")
        self.undo.setVisible(False)
        self.setAcceptDrops(True)

    def _files(self, what: str, kinds: str, field: Line | QComboBox, *, several: bool = False) -> QToolButton:
        """A button that puts chosen files into a field."""
        edit = field if isinstance(field, Line) else field.lineEdit()
        assert isinstance(edit, Line)  # which `choice` puts into its boxes
        return browse(what, kinds, edit.take, several=several)

    def _lay_out(self) -> None:
        form = QFormLayout()
        nexus, tables = "NeXus files (*.h5 *.nxs)", "Calibration tables (*.h5 *.hdf *.hdf5 *.nxs)"
        masks, groups = "Masks (*.xml *.h5 *.hdf *.nxs)", "Groupings (*.xml *.hdf *.h5 *.nxs)"
        for name, label, fields in (
            ("runs", "&Run", (self.runs, self.recent, self._files("runs", nexus, self.runs, several=True))),
            ("", "", (self.run_view,)),
            ("workspace", "or &workspace", (self.workspace,)),
            ("lite", "", (self.native,)),
            (
                "calibrant",
                "Cali&brant",
                (self.calibrant, self.identify, self._files("a calibrant", "Samples (*.json)", self.calibrant)),
            ),
            ("", "", (self.reflections,)),
            ("grouping", "&Grouping", (self.grouping, self._files("a grouping", groups, self.grouping))),
            ("start_from", "&Start from", (self.start_from, self._files("a start", tables, self.start_from))),
            ("inherit_mask", "", (self.inherit_mask,)),
            ("masks", "&Masks", (self.masks, self.choose_masks, self._files("masks", masks, self.masks, several=True))),
        ):
            self._add(form, name, PlainLabel(label), *fields)
        for name in FOREMOST:
            self._add(form, name, self.options[name].label, self.options[name].widget)
        self._more_page = QWidget()
        page = QVBoxLayout(self._more_page)
        page.setContentsMargins(0, 0, 0, 0)
        self._lay_out_more(page)
        self._more_page.setVisible(False)
        top = QHBoxLayout()
        top.addWidget(self.new)
        top.addWidget(self.undo)
        top.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addLayout(form)
        layout.addWidget(self.rest)
        layout.addWidget(self.more)
        layout.addWidget(self._more_page)
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

    def _add(self, form: QFormLayout, name: str, label: QLabel, field: QWidget, *others: QWidget) -> None:
        label.setBuddy(field)
        row = field
        if name:
            mark = self._marks[name] = Mark()
            row = beside(field, *others, mark)
        if field is self.native:
            self._native_row = row
        if label.text():
            form.addRow(label, row)
        else:
            form.addRow(row)
        if name:
            self._problems[name] = ProblemText()
            form.addRow(self._problems[name])

    def _connect(self) -> None:
        for edit in (self.runs, self.masks):
            edit.textEdited.connect(self._touched)
        for box in (self.workspace, self.calibrant, self.grouping, self.start_from):
            box.currentTextChanged.connect(self._touched)
        for check in (self.native, self.inherit_mask):
            check.toggled.connect(self._touched)
        self.preset.currentTextChanged.connect(self._take_preset)
        self.options.changed.connect(self._touched)
        self.more.toggled.connect(self._more_page.setVisible)
        self.identify.clicked.connect(self.identify_asked.emit)
        self.run_view.initialise.clicked.connect(self.initialise_asked.emit)
        self.new.clicked.connect(self.new_asked.emit)
        self.undo.clicked.connect(self.undo_asked.emit)
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

    def mark(self, name: str) -> Mark:
        """The mark beside a field."""
        return self._marks[name]

    @property
    def values(self) -> dict[str, object]:
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

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Fill in inputs by the names of `values`; those that are not named stay."""
        for name, text in values.items():
            if name in self._lines:
                self._lines[name].setText(", ".join(text))
            elif name in self._boxes:
                select(self._boxes[name], text)
            elif name in self._checks:
                self._checks[name].setChecked(text if name != "lite" else not text)
            else:
                self.options[name].set_value(text)
        self._timer.stop()

    def offer_undo(self, offered: bool) -> None:
        """Offer to bring back what was in the form, or not any more."""
        self.undo.setVisible(offered)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take files: what is dropped beside the fields is a run."""
        if event is not None and paths_of(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802 - Qt's name
        """Name the files that were dropped as runs."""
        self.runs.take(paths_of(event))
        if event is not None:
            event.acceptProposedAction()

    def show_recent(self, runs: Sequence[str], ask: Callable[[str], object]) -> None:
        """Offer runs that were calibrated lately; `ask` gets the one that is chosen."""
        menu = self.recent.menu()
        assert menu is not None
        menu.clear()
        for run in runs:
            action = menu.addAction(visible(run).replace("&", "&&"))
            if action is not None:
                action.triggered.connect(partial(_ignoring_checked, ask, run))
        self.recent.setEnabled(bool(runs))

    def set_choices(self, choices: Choices) -> None:
        """Offer what there is; what is chosen stays chosen."""
        self._iterations, self._masks = choices.starts, choices.masks
        self._native_row.setVisible(choices.native)
        offer(self.workspace, ["", *choices.runs])
        versions = [self.start_from.itemText(i) for i in range(self.start_from.count())]
        self._offer_starts([text for text in versions if "/" in text])

    def _offer_starts(self, versions: Sequence[str]) -> None:
        offer(self.start_from, [*self._iterations, *versions])

    def show_looked(self, looked: Looked) -> None:
        """Say beside each field what is wrong with it, and what was found about run and calibrant."""
        self._show_problems(looked.problems)
        if looked.calibrants is not None:
            offer(self.calibrant, looked.calibrants)
        self.reflections.show_calibrant(looked.calibrant)
        known = looked.calibrant
        self.options.fix(known.fixed if known else {}, known.name if known else "")
        self.identify.setEnabled(looked.summary is not None)
        if looked.summary is not None:
            offer(self.grouping, looked.summary.groupings)
        self.run_view.show_run(looked.summary, looked.versions)
        if looked.versions is not None:
            self._show_versions(looked.versions)

    def _show_problems(self, problems: Sequence[Problem]) -> None:
        """Put problems beside their fields; below the form those that belong to none, or to a field under More."""
        by_field: dict[str, list[Problem]] = {}
        for problem in problems:
            by_field.setdefault(problem.field, []).append(problem)
        more, far = self._more_page, []
        for name, label in self._problems.items():
            found = by_field.pop(name, [])
            text = "\n".join(f"{problem.message} {problem.fix}".strip() for problem in found)
            self._marks[name].show_problem(_gravest(found), text)
            label.setText(text)
            label.setVisible(bool(text) and not self._awaited(name))
            if text and more.isAncestorOf(label):
                far.append(name)
        if far:
            self.more.setChecked(True)
        below = [f"See under More: {self.options[name].label.text()}." for name in far if name in self.options.fields]
        below += [f"{problem.message} {problem.fix}".strip() for rest in by_field.values() for problem in rest]
        self.rest.setText("\n".join(below))
        self.rest.setVisible(bool(below))

    def _awaited(self, name: str) -> bool:
        """Whether a field is only empty as yet: its mark says so, and no text that moves the form."""
        if name == "runs":
            return not self.runs.text().strip()
        return name == "calibrant" and not self.calibrant.currentText().strip()

    def _show_versions(self, found: Described) -> None:
        entries = {f"{entry['mode']}/{found['stateId']}/{entry['version']}": entry for entry in found["versions"]}
        self._offer_starts(list(entries))
        for reference, entry in entries.items():
            saved = entry["timestamp"][:16].replace("T", " ")
            tip = f"version {entry['version']} from run {entry['runNumber']}, saved {saved}: {entry['comments'] or ''}"
            self.start_from.setItemData(self.start_from.findText(reference), unmarked(tip), Qt.ItemDataRole.ToolTipRole)


def _gravest(problems: Sequence[Problem]) -> str:
    severities = {problem.severity for problem in problems}
    return "error" if "error" in severities else "warning" if severities else ""


def _ignoring_checked(ask: Callable[[str], object], run: str, *_: object) -> None:
    ask(run)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
