"""The table of the session's iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from snapcal_workbench.panel.views.options_view import label_of
from snapcal_workbench.panel.widgets.table import Cell, Column, Table, button_row
from snapcal_workbench.session import Iteration, UnreadableIteration
from snapcal_workbench.session.ledger import Standing

COLUMNS = (
    Column("Iteration", "Name or number"),
    Column("Time", "When it was made, and how long it took (tooltip of the cell, s)"),
    Column("Different inputs", "Inputs that differ from those of the iteration before"),
    Column("Stopped", "Whether the pixel calibration converged, or why it stopped"),
    Column("Passes", "Number of passes of the pixel calibration"),
    Column("Median\n(ppm)", "Median |offset| of the pixels in the first pass, ppm of DIFC"),
    Column("95 %\n(ppm)", "95 % of the pixels' |offset| in the first pass are below this, ppm of DIFC"),
    Column("Masked", "Number of masked pixels in the groups"),
    Column("Peaks", "Number of used peaks over all groups"),
    Column(
        "Strain\n(ppm)",
        "Median over the groups of the standard deviation of (d observed - d expected) / d expected, ppm",
    ),
    Column("σ/d\n(ppm)", "Median over the groups of the relative width (sigma) of the peaks, ppm of d"),
    Column("χ²", "Median over the groups of chi-squared per degree of freedom of the peak fits"),
    Column("Workspaces", "What you have done by hand to the workspaces of the iteration; all can be restored"),
)
WORKSPACES = len(COLUMNS) - 1
COMPARE = "Put the selected iterations and saved versions side by side; all iterations where only one is selected"


class IterationsView(QWidget):
    """The session's iterations.

    Signals:
        shown, restored, start_asked, inputs_asked, remove_asked, label_asked, apply_asked, save_asked: Number of an
            iteration.
        compare_asked: What is selected here and among the versions is to be compared.
    """

    shown = Signal(int)
    restored = Signal(int)
    start_asked = Signal(int)
    inputs_asked = Signal(int)
    remove_asked = Signal(int)
    label_asked = Signal(int)
    apply_asked = Signal(int)
    save_asked = Signal(int)
    compare_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = Table(COLUMNS, "Iterations")
        self.table.itemDoubleClicked.connect(lambda item: self._one(self.shown))
        row, self.buttons = button_row(
            (
                ("S&how", "Show the results of the selected iteration", lambda: self._one(self.shown)),
                ("R&estore", "Put its workspaces back into the list", lambda: self._one(self.restored)),
                ("Use as st&art", "Start the next calibration from its table", lambda: self._one(self.start_asked)),
                ("Use in&puts", "Fill the form with its inputs", lambda: self._one(self.inputs_asked)),
                ("Rename …", "Give it a name", lambda: self._one(self.label_asked)),
                ("&Delete …", "Forget it, with the workspaces that it made", lambda: self._one(self.remove_asked)),
                ("C&ompare", COMPARE, self.compare_asked.emit),
                ("App&ly …", "Focus another run with its table and mask", lambda: self._one(self.apply_asked)),
                ("Sa&ve …", "Publish it as a new version", lambda: self._one(self.save_asked)),
            )
        )
        self.table.itemSelectionChanged.connect(self._enable)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(row)
        self._enable()

    def show_iterations(
        self,
        iterations: Sequence[Iteration],
        unreadable: Sequence[UnreadableIteration],
        standings: Mapping[int, Standing],
        selected: int | None,
    ) -> None:
        """Fill the table.

        Args:
            iterations: Oldest first.
            unreadable: Those that this release cannot read.
            standings: What has become of the workspaces of each.
            selected: Number of the one that is selected.
        """
        rows: list[tuple[object, Sequence[object]]] = []
        for position, iteration in enumerate(iterations):
            before = iterations[position - 1] if position else None
            standing = standings.get(iteration.number, Standing())
            rows.append((iteration.number, (*_cells(iteration, before), _standing_cell(standing))))
        rows += [(other.number, _cells_of_unreadable(other)) for other in unreadable]
        self.table.fill(rows)
        if selected is not None:
            self.table.select(selected)
        self._enable()

    def show_standings(self, standings: Mapping[int, Standing]) -> None:
        """Say what has become of the workspaces of each iteration."""
        for number, standing in standings.items():
            self.table.set_cell(number, WORKSPACES, _standing_cell(standing))

    def _enable(self) -> None:
        chosen = self.table.selected()
        for name, button in self.buttons.items():
            button.setEnabled(self.table.rowCount() > 0 if name == "Compare" else len(chosen) == 1)

    def _one(self, signal: Any) -> None:
        chosen = self.table.selected()
        if chosen:
            signal.emit(chosen[0])


def _standing_cell(standing: Standing) -> Cell:
    return Cell(standing.text, standing.text, standing.details)


def _cells(iteration: Iteration, before: Iteration | None) -> Sequence[object]:
    differences = iteration.request.differences(before.request) if before else {}
    metrics, first = iteration.metrics, iteration.passes[0] if iteration.passes else None
    time = iteration.started[:16].replace("T", " ")
    changed = [f"{label_of(name)}: {value}" for name, (_, value) in differences.items()]
    return (
        Cell(iteration.number, iteration.name),
        Cell(iteration.started, time, f"{iteration.started}, took {iteration.seconds:.1f} s"),
        Cell("; ".join(changed), "; ".join(changed), "\n".join(changed)),
        iteration.stop,
        len(iteration.passes),
        first.median_ppm if first else float("nan"),
        first.p95_ppm if first else float("nan"),
        iteration.n_masked,
        int(metrics.peaks_used.sum()),
        1e6 * _median(metrics.strain_std),
        1e6 * _median(metrics.sigma),
        _median(metrics.chi2),
    )


def _cells_of_unreadable(iteration: UnreadableIteration) -> Sequence[object]:
    time = iteration.started[:16].replace("T", " ")
    return (
        Cell(iteration.number, f"iteration {iteration.number}"),
        Cell(iteration.started, time),
        "",
        Cell("cannot be read", "cannot be read", iteration.text),
        *(float("nan") for _ in COLUMNS[4:WORKSPACES]),
        _standing_cell(Standing()),
    )


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
