"""Tables: the session's iterations, and the state's saved versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QInputDialog,
    QMessageBox,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from snapcal_workbench.session import Iteration


class _Item(QTableWidgetItem):
    """A cell that sorts by its value and shows its text."""

    def __init__(self, value: object) -> None:
        super().__init__(_text(value))
        self.value = value

    def __lt__(self, other: QTableWidgetItem) -> bool:
        theirs = getattr(other, "value", other.text())
        try:
            return bool(self.value < theirs)  # type: ignore[operator]
        except TypeError:
            return self.text() < other.text()


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)


class _Table(QTableWidget):
    def __init__(self, columns: Sequence[tuple[str, str]], name: str) -> None:
        super().__init__(0, len(columns))
        self.setAccessibleName(name)
        self.setHorizontalHeaderLabels([title for title, _ in columns])
        for position, (_, tip) in enumerate(columns):
            header = self.horizontalHeaderItem(position)
            if header is not None:
                header.setToolTip(tip)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSortingEnabled(True)
        header = self.verticalHeader()
        if header is not None:
            header.setVisible(False)
        across = self.horizontalHeader()
        if across is not None:
            across.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            across.setStretchLastSection(True)

    def fill(self, rows: Sequence[tuple[object, Sequence[object]]]) -> None:
        """Show rows, each a key and its cells; the key of the selected row stays selected."""
        chosen = self.selected()
        self.setSortingEnabled(False)
        self.setRowCount(len(rows))
        for number, (key, cells) in enumerate(rows):
            for column, value in enumerate(cells):
                item = _Item(value)
                item.setData(Qt.ItemDataRole.UserRole, key)
                item.setToolTip(item.text())
                self.setItem(number, column, item)
        self.setSortingEnabled(True)
        for key in chosen:
            self.select(key)

    def selected(self) -> list[Any]:
        """Keys of the selected rows."""
        rows = sorted({index.row() for index in self.selectedIndexes()})
        items = (self.item(row, 0) for row in rows)
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item is not None]

    def keys(self) -> list[Any]:
        """Keys of all rows."""
        items = (self.item(row, 0) for row in range(self.rowCount()))
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item is not None]

    def select(self, key: object) -> None:
        """Select the row with a key."""
        for row in range(self.rowCount()):
            item = self.item(row, 0)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) == key:
                self.selectRow(row)


def _buttons(*buttons: QPushButton) -> QHBoxLayout:
    row = QHBoxLayout()
    for button in buttons:
        row.addWidget(button)
    row.addStretch(1)
    return row


class IterationsView(QWidget):
    """The session's iterations.

    Signals:
        shown, restored, start_asked, inputs_asked, removed: Number of an iteration.
        labelled: Number and name.
        compared: References of at least two iterations.
        save_asked: Number of an iteration.
    """

    shown = Signal(int)
    restored = Signal(int)
    start_asked = Signal(int)
    inputs_asked = Signal(int)
    removed = Signal(int)
    labelled = Signal(int, str)
    compared = Signal(list)
    save_asked = Signal(int)

    COLUMNS = (
        ("Iteration", "Name or number"),
        ("Time", "When it was made"),
        ("Different inputs", "Inputs that differ from the iteration before"),
        ("Stopped", "Why the pixel calibration stopped"),
        ("Passes", "Number of passes"),
        ("Median (ppm)", "Median |offset| of the first pass, ppm of DIFC"),
        ("95 % (ppm)", "95 % of the |offset| of the first pass are below this, ppm of DIFC"),
        ("Masked", "Number of masked pixels"),
        ("Peaks", "Number of used peaks over all groups"),
        ("Strain (ppm)", "Median over the groups of the standard deviation of (d_observed - d_expected)/d_expected"),
        ("σ/d", "Median relative width of the peaks"),
        ("χ²", "Median chi-squared per degree of freedom of the peak fits"),
    )

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = _Table(self.COLUMNS, "Iterations")
        self.table.itemDoubleClicked.connect(lambda item: self._one(self.shown))
        actions = (
            ("&Show", "Show the results of the selected iteration", lambda: self._one(self.shown)),
            ("&Restore", "Put its workspaces back into the list", lambda: self._one(self.restored)),
            ("Use as st&art", "Start the next calibration from its table", lambda: self._one(self.start_asked)),
            ("Use &inputs", "Fill the form with its inputs", lambda: self._one(self.inputs_asked)),
            ("Re&name …", "Give it a name", self._rename),
            ("&Delete …", "Forget it, with the workspaces that it made", self._delete),
            ("Co&mpare", "Put the selected iterations side by side", self._compare),
            ("Sa&ve …", "Publish it as a new version", lambda: self._one(self.save_asked)),
        )
        self.buttons: dict[str, QPushButton] = {}
        for text, tip, action in actions:
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(action)
            self.buttons[text.replace("&", "").rstrip(" …")] = button
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(_buttons(*self.buttons.values()))

    def show_iterations(self, iterations: Sequence[Iteration], selected: int | None) -> None:
        """Fill the table."""
        rows: list[tuple[object, Sequence[object]]] = []
        for number, iteration in enumerate(iterations):
            before = iterations[number - 1] if number else None
            rows.append((iteration.number, _cells(iteration, before)))
        self.table.fill(rows)
        if selected is not None:
            self.table.select(selected)

    def _one(self, signal: Any) -> None:
        chosen = self.table.selected()
        if chosen:
            signal.emit(chosen[0])

    def _rename(self) -> None:
        chosen = self.table.selected()
        if chosen:
            text, accepted = QInputDialog.getText(self, "Rename", "Name of the iteration:")
            if accepted:
                self.labelled.emit(chosen[0], text)

    def _delete(self) -> None:
        chosen = self.table.selected()
        question = "Forget this iteration and delete the workspaces that it made? Saved versions stay."
        if chosen and QMessageBox.question(self, "Delete", question) == QMessageBox.StandardButton.Yes:
            self.removed.emit(chosen[0])

    def _compare(self) -> None:
        chosen = self.table.selected()
        if len(chosen) < 2:
            chosen = self.table.keys()
        self.compared.emit([str(number) for number in sorted(chosen)])


def _cells(iteration: Iteration, before: Iteration | None) -> Sequence[object]:
    differences = iteration.request.differences(before.request) if before else {}
    metrics, first = iteration.metrics, iteration.passes[0] if iteration.passes else None
    return (
        iteration.name,
        iteration.started[:16].replace("T", " "),
        "; ".join(f"{name}: {value}" for name, (_, value) in differences.items()),
        iteration.stop,
        len(iteration.passes),
        first.median_ppm if first else float("nan"),
        first.p95_ppm if first else float("nan"),
        iteration.n_masked,
        int(metrics.peaks_used.sum()),
        1e6 * _median(metrics.strain_std),
        _median(metrics.sigma),
        _median(metrics.chi2),
    )


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


class VersionsView(QWidget):
    """The saved versions of the run's state.

    Signals:
        loaded: Reference of a version.
        compared: References of versions.
        retired: Reference and reason.
        applied: Reference of a version that is to be applied to another run.
        check_asked: The files of all versions are to be checked.
    """

    applied = Signal(str)
    check_asked = Signal()
    loaded = Signal(str)
    compared = Signal(list)
    retired = Signal(str, str)

    COLUMNS = (
        ("Version", "Number; * applies to the run"),
        ("Mode", "lite or native pixels"),
        ("Run", "Run that it was made from"),
        ("Applies to", "Runs that it applies to"),
        ("Author", "Who accepted it"),
        ("Saved", "When"),
        ("Comments", "What its author says of it"),
        ("Retired", "Why it is not used any more"),
        ("Health", "Whether its files are those that were saved; see Check"),
    )

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = _Table(self.COLUMNS, "Saved versions")
        titles = ("&Load", "Co&mpare", "A&pply …", "Re&tire …", "Chec&k")
        load, compare, apply, retire, check = (QPushButton(text) for text in titles)
        self._health: Mapping[str, str] = {}
        self._found: Mapping[str, Any] | None = None
        apply.setToolTip("Focus another run of the workspace list with it")
        apply.clicked.connect(self._apply)
        check.setToolTip("Check that the files of all versions are those that were saved")
        check.clicked.connect(self.check_asked.emit)
        load.setToolTip("Load its table, mask, spectra and fits into the workspace list")
        load.clicked.connect(self._load)
        compare.setToolTip("Put the selected versions side by side")
        compare.clicked.connect(lambda: self.compared.emit(self.table.selected()))
        retire.setToolTip("Take it out of the choice; it stays on disk, unchanged")
        retire.clicked.connect(self._retire)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(_buttons(load, compare, apply, retire, check))

    def show_versions(self, found: Mapping[str, Any] | None) -> None:
        """Fill the table with what `Session.versions` says."""
        self._found = found
        rows: list[tuple[object, Sequence[object]]] = []
        for entry in found["versions"] if found else ():
            mark = " *" if found and entry["version"] == found["applies"] else ""
            reference = f"{entry['mode']}/{found['stateId']}/{entry['version']}" if found else ""
            cells = (
                f"{entry['version']}{mark}",
                entry["mode"],
                entry["runNumber"],
                entry["appliesTo"],
                entry["author"] or "",
                entry["timestamp"][:16].replace("T", " "),
                entry["comments"] or "",
                entry["retired"] or "",
                self._health.get(reference, ""),
            )
            rows.append((reference, cells))
        self.table.fill(rows)

    def show_health(self, health: Mapping[str, str]) -> None:
        """Show what a check of the versions found, by reference."""
        self._health = health
        self.show_versions(self._found)

    def _apply(self) -> None:
        chosen = self.table.selected()
        if chosen:
            self.applied.emit(chosen[0])

    def _load(self) -> None:
        chosen = self.table.selected()
        if chosen:
            self.loaded.emit(chosen[0])

    def _retire(self) -> None:
        chosen = self.table.selected()
        if chosen:
            reason, accepted = QInputDialog.getText(self, "Retire", f"Why should {chosen[0]} not be used any more?")
            if accepted and reason.strip():
                self.retired.emit(chosen[0], reason.strip())
