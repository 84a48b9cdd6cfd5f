"""The calibrant's reflections below its name, folded away until they are wanted."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHeaderView, QSizePolicy, QTableWidget, QTableWidgetItem, QToolButton, QVBoxLayout, QWidget

from snapcal_workbench.panel.widgets.text import unmarked
from snapcal_workbench.report.spectra import hkl_text
from snapcal_workbench.session import CalibrantPreview

COLUMNS = (
    ("hkl", "Indices of one of the equivalent reflections"),
    ("d (Å)", "d-spacing"),
    ("Intensity", "|F|² × multiplicity × d⁴, relative to the strongest"),
    ("Used", "Strong enough; the windows of neighbours may still overlap in a group"),
)
MOST_SHOWN = 500


class ReflectionsView(QWidget):
    """A line that says how many reflections there are, and a table that it opens."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.opener = QToolButton()
        self.opener.setCheckable(True)
        self.opener.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.opener.setAccessibleName("Reflections of the calibrant")
        self.opener.setToolTip("Show the reflections of the calibrant")
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setAccessibleName("Reflections")
        self.table.setToolTip("Reflections of the calibrant in the d range")
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setHorizontalHeaderLabels([title for title, _ in COLUMNS])
        for position, (_, tip) in enumerate(COLUMNS):
            header = self.table.horizontalHeaderItem(position)
            if header is not None:
                header.setToolTip(tip)
        across, down = self.table.horizontalHeader(), self.table.verticalHeader()
        if across is not None and down is not None:
            across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            down.setVisible(False)
        self.table.setMinimumHeight(180)
        self.table.setVisible(False)
        self.opener.toggled.connect(self.table.setVisible)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.opener)
        layout.addWidget(self.table)
        self.show_calibrant(None)

    def show_calibrant(self, found: CalibrantPreview | None) -> None:
        """Show a calibrant's reflections; None says that there are none."""
        self.opener.setEnabled(found is not None)
        if found is None:
            self.opener.setText("no reflections without a calibrant")
            self.opener.setChecked(False)
            self.table.setRowCount(0)
            return
        kept = found.kept
        self.opener.setText(f"{int(kept.sum())} of {len(kept)} reflections used")
        self.opener.setToolTip(unmarked(f"{found.name}: {found.cif}. Click to list its reflections."))
        order = range(len(kept) - 1, -1, -1)[:MOST_SHOWN]
        self.table.setRowCount(len(order))
        for row, index in enumerate(order):
            cells = (
                hkl_text(found.reflections.hkl[index]),
                f"{found.reflections.d[index]:.5f}",
                f"{found.intensity[index]:.3f}",
                "yes" if kept[index] else f"no: weaker than {found.weakest:g}",
            )
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                if not kept[index]:
                    item.setFlags(Qt.ItemFlag.NoItemFlags)
                    item.setToolTip(
                        f"Left out: its intensity is {found.intensity[index]:.3g} of the strongest reflection's, and "
                        f"those below {found.weakest:g} are not used (Intensity fraction, under More)."
                    )
                self.table.setItem(row, column, item)
