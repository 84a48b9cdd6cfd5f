"""The check of a run: which calibration applies to it, and whether it still holds, module by module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QLineEdit, QSplitter, QVBoxLayout, QWidget

from snapcal_workbench.facility.check import TOLERANCE_PPM, RunCheck
from snapcal_workbench.facility.check_plot import draw_check
from snapcal_workbench.panel.presenters import facility_exports as exports
from snapcal_workbench.panel.presenters.contract import CheckRequest
from snapcal_workbench.panel.widgets.canvas import FigurePane
from snapcal_workbench.panel.widgets.export_button import Offers
from snapcal_workbench.panel.widgets.layouts import button, combo, offer, row
from snapcal_workbench.panel.widgets.table import Cell, Column, Table
from snapcal_workbench.panel.widgets.text import PlainLabel
from snapcal_workbench.report.numbers import fixed

FOUND_OUT, PIXELS = "found out", "none, by pixels"
POWDER_TIP = "Calibrant in the beam: found out from the data, named, or none: pixels are compared with each other"
COLUMNS = (
    Column("Module", "Number of the detector module"),
    Column("Verdict", "Whether the calibration holds for it"),
    Column("Off by (ppm)", "What its DIFC would have to change by"),
    Column("± (ppm)", "Standard error, that of the version included"),
)
HOW = "Give a run and press Check: does the calibration that applies to it still hold?"


class CheckView(QWidget):
    """Asks for a run, and shows what its check found.

    Signals:
        asked: A `CheckRequest`, of lite pixels.
    """

    asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.found: RunCheck | None = None
        self._typed = False
        self.pane = FigurePane("Deviations of the modules")
        self.run = _line("Run to check", "Run number, or NeXus file", 110)
        self.powder = combo("Powder", POWDER_TIP, [FOUND_OUT, PIXELS], narrow=True)
        self.version = _line("Version to check", "STATE/N or RUN:N; empty: the version that applies to the run", 150)
        self.version.setPlaceholderText("that which applies")
        self.tolerance = QDoubleSpinBox()
        self.tolerance.setRange(1.0, 1e5)
        self.tolerance.setDecimals(0)
        self.tolerance.setValue(TOLERANCE_PPM)
        self.tolerance.setSuffix(" ppm")
        self.tolerance.setAccessibleName("Tolerance")
        self.tolerance.setToolTip("What a module may be off by")
        self.check = button("Chec&k", "Check whether the calibration still holds for the run")
        self.told = PlainLabel(HOW)
        self.told.setWordWrap(True)
        self.modules = Table(COLUMNS, "Modules")
        self._lay_out()
        self.run.textChanged.connect(lambda _: self._enable())
        self.run.textEdited.connect(self._was_typed)
        self.run.returnPressed.connect(self.check.click)
        self.check.clicked.connect(lambda *_: self._ask())
        self._enable()

    def _lay_out(self) -> None:
        pairs: list[QWidget] = []
        for text, field in (
            ("R&un", self.run),
            ("&Powder", self.powder),
            ("&Version", self.version),
            ("&Tolerance", self.tolerance),
        ):
            label = PlainLabel(text)
            label.setBuddy(field)
            pairs += [label, field]
        bar = row(*pairs, self.check)
        bar.addWidget(self.pane.toolbar)
        across = QSplitter(Qt.Orientation.Horizontal)
        across.addWidget(self.pane)
        across.addWidget(self.modules)
        across.setSizes([640, 440])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(bar)
        layout.addWidget(self.told)
        layout.addWidget(across, 1)

    def propose(self, runs: Sequence[str]) -> None:
        """Follow the run of the form, until another one is typed in here."""
        if not self._typed:
            self.run.setText(runs[0] if len(runs) == 1 else "")

    def offer_powders(self, calibrants: Sequence[str]) -> None:
        """Offer the facility's calibrants."""
        offer(self.powder, [FOUND_OUT, PIXELS, *calibrants])

    def show_check(self, found: RunCheck) -> None:
        """Show what a check found."""
        self.found = found
        self.told.setText(" ".join((found.text, *found.notes)))
        self.modules.fill([(number, _cells(found, number)) for number in range(len(found.modules))])
        self.pane.draw(lambda figure, theme: draw_check(figure, found, theme=theme))

    def offers(self) -> Offers:
        """What can be written of the check."""
        found = self.found
        if found is None:
            return {}
        name = f"check_{found.run_number}"
        picture = self.pane.picture()
        shown: Offers = {"Picture (PNG)": (f"{name}.png", picture)} if picture is not None else {}
        return shown | {
            "Modules (CSV)": (f"{name}.csv", partial(exports.write_check, check=found)),
            "Page of the check (HTML)": (f"{name}.html", partial(exports.write_check_page, check=found)),
        }

    def _enable(self) -> None:
        self.check.setEnabled(bool(self.run.text().strip()))

    def _was_typed(self, text: str) -> None:
        self._typed = bool(text)

    def _ask(self) -> None:
        powder = self.powder.currentText()
        self.asked.emit(
            CheckRequest(
                run=self.run.text().strip(),
                lite=True,
                powder="" if powder in (FOUND_OUT, PIXELS) else powder,
                pixels=powder == PIXELS,
                version=self.version.text().strip(),
                tolerance_ppm=self.tolerance.value(),
            )
        )


def _line(name: str, tip: str, width: int) -> QLineEdit:
    line = QLineEdit()
    line.setAccessibleName(name)
    line.setToolTip(tip)
    line.setMinimumWidth(width)
    return line


def _cells(found: RunCheck, number: int) -> Sequence[object]:
    module = found.modules[number]
    sign = "+" if module.ppm > 0 else ""
    off = Cell(module.ppm, sign + fixed(module.ppm, 0))
    return Cell(number, module.module), module.verdict, off, Cell(module.error_ppm, fixed(module.error_ppm, 0))
