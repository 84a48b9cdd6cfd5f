"""The form: what is calibrated, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGroupBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.session import Problem, Request, RunSummary

DEBOUNCE_MS = 400
PEAK_FUNCTIONS = ("Gaussian", "Lorentzian", "PseudoVoigt", "BackToBackExponential")
MODELS = ("recommended", "DIFC", "DIFC+TZERO", "DIFC+DIFA", "DIFC+DIFA+TZERO")


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
        self._timer.timeout.connect(self.changed.emit)
        self._problems: dict[str, QLabel] = {}
        self._make_fields()
        self._lay_out()
        self._connect()

    def _make_fields(self) -> None:
        self.runs = _line("Run number, several separated by commas, or a NeXus file", "58882")
        self.workspace = _combo("A run that is in the workspace list already, used as it is", editable=False)
        self.native = QCheckBox("native pixels (slower, finer)")
        self.native.setToolTip("Calibrate single pixels instead of 8x8 blocks of them")
        self.calibrant = _combo("The known powder")
        self.grouping = _combo("Which pixels are focused together")
        self.start_from = _combo("Calibration that the first pass starts from: geometry, iteration, version or file")
        self.masks = _line("Mask workspaces or files, separated by commas", "none")
        self.skip_pixels = QCheckBox("leave the pixel calibration out")
        self.peak_function = _combo("Shape of a Bragg peak", PEAK_FUNCTIONS, editable=False)
        self.model = _combo("Terms that are fitted to a group's peaks", MODELS, editable=False)
        self.preset = _combo("standard, or SNAPRed's rules and numbers", ("standard", "snapred"), editable=False)
        self.d_min = _number("Smallest d-spacing of the reflections, Å", 0.05, 50.0, 0.4)
        self.d_max = _number("Largest d-spacing of the reflections, Å", 0.1, 1000.0, 100.0)
        self.max_chi2 = _number("Largest chi-squared per degree of freedom of a peak fit", 0.01, 1e6, 10.0)
        self.max_passes = QSpinBox()
        self.max_passes.setRange(1, 50)
        self.max_passes.setToolTip("Largest number of passes of the pixel calibration")
        self.summary = QLabel("")
        self.summary.setWordWrap(True)
        self.initialise = QPushButton("Initialise this state …")
        self.initialise.setVisible(False)
        self.reset = QPushButton("Reset to defaults")

    def _lay_out(self) -> None:
        form = QFormLayout()
        for name, label, field in (
            ("runs", "&Run", self.runs),
            ("workspace", "or &workspace", self.workspace),
            ("lite", "", self.native),
            ("calibrant", "&Calibrant", self.calibrant),
            ("grouping", "&Grouping", self.grouping),
            ("start_from", "&Start from", self.start_from),
            ("masks", "&Masks", self.masks),
        ):
            self._add(form, name, label, field)
        more = QGroupBox("More")
        more_form = QFormLayout(more)
        for name, label, field in (
            ("pixels.skip", "", self.skip_pixels),
            ("groups.peak_function", "&Peak shape", self.peak_function),
            ("groups.model", "Group &terms", self.model),
            ("peaks.crystal_d_min", "&d from (Å)", self.d_min),
            ("peaks.crystal_d_max", "d t&o (Å)", self.d_max),
            ("groups.max_chi2", "Largest chi-s&quared", self.max_chi2),
            ("pixels.max_passes", "P&asses at most", self.max_passes),
            ("preset", "Prese&t", self.preset),
        ):
            self._add(more_form, name, label, field)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.summary)
        layout.addWidget(self.initialise)
        layout.addWidget(more)
        layout.addWidget(self.reset)
        layout.addStretch(1)

    def _add(self, form: QFormLayout, name: str, label: str, field: QWidget) -> None:
        field.setAccessibleName(label.replace("&", "") or name)
        form.addRow(label, field)
        problem = QLabel("")
        problem.setWordWrap(True)
        problem.setVisible(False)
        problem.setProperty("problem", True)
        form.addRow("", problem)
        self._problems[name] = problem

    def _connect(self) -> None:
        for line in (self.runs, self.masks):
            line.textEdited.connect(self._touched)
        for combo in (
            self.workspace, self.calibrant, self.grouping, self.start_from, self.peak_function, self.model, self.preset
        ):  # fmt: skip
            combo.currentTextChanged.connect(self._touched)
        for box in (self.native, self.skip_pixels):
            box.toggled.connect(self._touched)
        for number in (self.d_min, self.d_max, self.max_chi2, self.max_passes):
            number.valueChanged.connect(self._touched)
        self.initialise.clicked.connect(self.initialise_asked.emit)
        self.reset.clicked.connect(self.reset_asked.emit)

    def _touched(self, *_: object) -> None:
        self._timer.start()

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
            "masks": _parts(self.masks.text()),
            "pixels.skip": self.skip_pixels.isChecked(),
            "pixels.max_passes": self.max_passes.value(),
            "groups.peak_function": self.peak_function.currentText(),
            "groups.model": self.model.currentText(),
            "groups.max_chi2": self.max_chi2.value(),
            "peaks.crystal_d_min": self.d_min.value(),
            "peaks.crystal_d_max": self.d_max.value(),
        }

    def set_request(self, request: Request) -> None:
        """Fill the form."""
        options = request.options
        self.blockSignals(True)
        self.runs.setText(", ".join(request.runs))
        self.masks.setText(", ".join(request.masks))
        for combo, text in (
            (self.workspace, request.workspace),
            (self.calibrant, request.calibrant),
            (self.grouping, request.grouping),
            (self.start_from, request.start_from),
            (self.peak_function, options.groups.peak_function),
            (self.model, options.groups.model),
            (self.preset, request.preset),
        ):
            _select(combo, text)
        self.native.setChecked(not request.lite)
        self.skip_pixels.setChecked(options.pixels.skip)
        self.max_passes.setValue(options.pixels.max_passes)
        self.d_min.setValue(options.peaks.crystal_d_min)
        self.d_max.setValue(options.peaks.crystal_d_max)
        self.max_chi2.setValue(options.groups.max_chi2)
        self.blockSignals(False)

    def set_choices(self, calibrants: Sequence[str], starts: Sequence[str], workspaces: Sequence[str]) -> None:
        """Offer what there is; what is chosen stays chosen."""
        for combo, items in (
            (self.calibrant, calibrants),
            (self.start_from, starts),
            (self.workspace, ["", *workspaces]),
        ):
            _offer(combo, items)

    def show_looked(self, problems: Sequence[Problem], summary: RunSummary | None) -> None:
        """Say beside each field what is wrong with it, and what was found about the run."""
        by_field: dict[str, list[str]] = {}
        for problem in problems:
            mark = "✗" if problem.severity == "error" else "⚠"
            by_field.setdefault(problem.field, []).append(f"{mark} {problem.message} {problem.fix}".strip())
        for name, label in self._problems.items():
            label.setText("\n".join(by_field.pop(name, [])))
            label.setVisible(bool(label.text()))
        rest = [text for texts in by_field.values() for text in texts]
        if summary is not None:
            _offer(self.grouping, list(summary.groupings))
            rest.insert(0, _summary_text(summary))
        self.summary.setText("\n".join(rest))
        self.initialise.setVisible(summary is not None and not summary.state_exists)


def _summary_text(summary: RunSummary) -> str:
    return (
        f"{summary.title or 'no title'}\nstate {summary.state_id}, {summary.n_versions} versions\n"
        f"{summary.proton_charge:.4g} µAh, {', '.join(summary.files)}"
    )


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _line(tip: str, example: str) -> QLineEdit:
    line = QLineEdit()
    line.setToolTip(tip)
    line.setPlaceholderText(example)
    line.setClearButtonEnabled(True)
    return line


def _combo(tip: str, items: Sequence[str] = (), *, editable: bool = True) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setEditable(editable)
    combo.addItems(list(items))
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(16)
    return combo


def _number(tip: str, low: float, high: float, value: float) -> QDoubleSpinBox:
    number = QDoubleSpinBox()
    number.setDecimals(3)
    number.setRange(low, high)
    number.setValue(value)
    number.setToolTip(tip)
    return number


def _offer(combo: QComboBox, items: Sequence[str]) -> None:
    chosen = combo.currentText()
    if [combo.itemText(i) for i in range(combo.count())] == list(items):
        return
    combo.blockSignals(True)
    combo.clear()
    combo.addItems(list(items))
    _select(combo, chosen)
    combo.blockSignals(False)


def _select(combo: QComboBox, text: str) -> None:
    index = combo.findText(text)
    if index >= 0:
        combo.setCurrentIndex(index)
    elif combo.isEditable():
        combo.setEditText(text)
