"""The table of the saved versions of the run's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Signal, SignalInstance
from qtpy.QtWidgets import QVBoxLayout, QWidget

from snapcal_workbench.panel.views.iterations_view import COMPARE
from snapcal_workbench.panel.widgets.table import Cell, Column, Table, button_row
from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.session.versions import Described, DescribedVersion

COLUMNS = (
    Column("Version", "Number of the version in its mode"),
    Column("Mode", "lite (8x8 pixels are one) or native pixels"),
    Column("Run", "Run that it was made from"),
    Column("Applies to", "Run numbers that it applies to"),
    Column("Standing", "Whether the run of the form would use it; hidden: a later version applies, too"),
    Column("Author", "Who accepted it"),
    Column("Comments", "What its author says of it"),
    Column("Saved", "When it was saved"),
    Column("Software", "What wrote it"),
    Column("Health", "Whether its files are those that were saved; Check reads them all"),
)
STANDING, HEALTH = 4, len(COLUMNS) - 1


class VersionsView(QWidget):
    """The saved versions of the run's state.

    Signals:
        loaded, apply_asked, retire_asked, unretire_asked: Reference of a version.
        compare_asked: What is selected here and among the iterations is to be compared.
        check_asked: The files of all versions are to be checked.
    """

    loaded = Signal(str)
    apply_asked = Signal(str)
    retire_asked = Signal(str)
    unretire_asked = Signal(str)
    compare_asked = Signal()
    check_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = Table(COLUMNS, "Saved versions")
        self._health: Mapping[str, str] = {}
        self._found: Described | None = None
        row, self.buttons = button_row(
            (
                ("Loa&d", "Load its table, mask, spectra and fits into the list", lambda: self._one(self.loaded)),
                ("C&ompare", COMPARE, self.compare_asked.emit),
                ("App&ly …", "Focus another run with its table and mask", lambda: self._one(self.apply_asked)),
                (
                    "R&etire …",
                    "Take it out of the choice; it stays on disk, unchanged",
                    lambda: self._one(self.retire_asked),
                ),
                ("&Undo retirement …", "Bring it back into the choice", lambda: self._one(self.unretire_asked)),
                ("Chec&k", "Check that the files of all versions are those that were saved", self.check_asked.emit),
            )
        )
        self.problems = PlainLabel("")
        self.problems.setWordWrap(True)
        self.problems.setVisible(False)
        self.table.itemSelectionChanged.connect(self._enable)
        self.table.opened.connect(self.loaded.emit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addWidget(self.problems)
        layout.addLayout(row)
        self._enable()

    def show_versions(self, found: Described | None) -> None:
        """Fill the table with what `Session.versions` says."""
        self._found = found
        versions = found["versions"] if found else ()
        rows = [(item["reference"], self._cells(item)) for item in versions]
        self.table.fill(rows)
        problems = found["problems"] if found else ()
        self.problems.setText("\n".join(problems))
        self.problems.setVisible(bool(problems))
        self._enable()

    def show_health(self, health: Mapping[str, str]) -> None:
        """Show what a check of the versions found, by reference."""
        self._health = {**self._health, **health}
        self.show_versions(self._found)

    def _cells(self, item: DescribedVersion) -> Sequence[object]:
        retired, saved = item["retired"], str(item["timestamp"])
        standing = item["standing"] if retired is None else f"retired: {retired}"
        return (
            item["version"],
            item["mode"],
            item["runNumber"],
            item["appliesTo"],
            standing,
            item["author"] or "",
            item["comments"] or "",
            Cell(saved, saved[:16].replace("T", " "), saved),
            item["software"],
            item["health"] or self._health.get(item["reference"], "not checked"),
        )

    def _item(self, reference: object) -> DescribedVersion | None:
        versions = self._found["versions"] if self._found else ()
        return next((item for item in versions if item["reference"] == reference), None)

    def _enable(self) -> None:
        chosen = self.table.selected()
        one = len(chosen) == 1
        item = self._item(chosen[0]) if one else None
        retired = item is not None and item["retired"] is not None
        enabled = {
            "Load": one,
            "Compare": bool(chosen),
            "Apply": one,
            "Retire": item is not None and not retired and item["version"] > 0,
            "Undo retirement": one and retired,
            "Check": self.table.rowCount() > 0,
        }
        for name, is_enabled in enabled.items():
            self.buttons[name].setEnabled(is_enabled)

    def _one(self, signal: SignalInstance) -> None:
        chosen = self.table.selected()
        if chosen:
            signal.emit(chosen[0])
