"""The table of the session's iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from qtpy.QtCore import Signal, SignalInstance
from qtpy.QtWidgets import QVBoxLayout, QWidget

from snapcal_workbench.options import in_words
from snapcal_workbench.panel.views.form.options_view import label_of
from snapcal_workbench.panel.widgets.actions import Doing, TableActions
from snapcal_workbench.panel.widgets.table import Cell, Column, Table, cell
from snapcal_workbench.session import Iteration, UnreadableIteration
from snapcal_workbench.session.iterations.ledger import Standing

COLUMNS = (
    Column("Iteration", "Name or number"),
    Column("Time", "When it was made, and how long it took (tooltip of the cell, s)"),
    Column("Different inputs", "Inputs that differ from those of the iteration before"),
    Column("Verdict", "What is to be thought of it; the reasons stand above the spectra"),
    Column("Left\n(ppm)", "Median |offset| that the last pass still found in the pixels, ppm of DIFC"),
    Column("Change\n(ppm)", "Median |change| of DIFC against the iteration before, in pixels that both use, ppm"),
    Column(
        "Strain\n(ppm)",
        "Median over the groups of the standard deviation of (d observed - d expected) / d expected, ppm",
    ),
    Column("σ/d\n(ppm)", "Median over the groups of the relative width (sigma) of the peaks, ppm of d"),
    Column("χ²", "Median over the groups of chi-squared per degree of freedom of the peak fits"),
    Column("Peaks", "Number of used peaks over all groups"),
    Column("Masked", "Number of masked pixels in the groups"),
    Column("Stopped", "Whether the pixel calibration converged, or why it stopped"),
    Column("Passes", "Number of passes of the pixel calibration"),
    Column("Workspaces", "What you have done by hand to the workspaces of the iteration; all can be restored"),
)
WORKSPACES, CHANGE = len(COLUMNS) - 1, 5
COMPARE = "Put the selected iterations and saved versions side by side; all iterations where only one is selected"


class IterationsView(QWidget):
    """The session's iterations. One that is selected is shown.

    Signals:
        opened: Number of an iteration whose spectra are to be seen.
        shown, restored, start_asked, inputs_asked, remove_asked, label_asked, apply_asked, save_asked: Number of an
            iteration.
        compare_asked: What is selected here and among the versions is to be compared.
    """

    opened = Signal(int)
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
        self._changes: Mapping[int, float] = {}
        self._shown: int | None = None
        self._unreadable: set[int] = set()
        self._quiet = False
        one = self._one
        self.doings = TableActions(
            self.table,
            (
                Doing("Use as st&art", "Start the next calibration from its table", lambda: one(self.start_asked)),
                Doing("C&ompare", COMPARE, self.compare_asked.emit),
                Doing("Sa&ve …", "Publish it as a new version", lambda: one(self.save_asked)),
            ),
            (
                Doing("Use inputs", "Fill the form with its inputs", lambda: one(self.inputs_asked)),
                Doing("Restore", "Put its workspaces back into the list", lambda: one(self.restored)),
                Doing("Apply …", "Focus another run with its table and mask", lambda: one(self.apply_asked)),
                Doing("Rename …", "Give it a name", lambda: one(self.label_asked), "F2"),
                Doing("Delete …", "Forget it and the workspaces that it made", lambda: one(self.remove_asked), "Del"),
            ),
        )
        self.table.itemSelectionChanged.connect(self._selected)
        self.table.opened.connect(self._open)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(self.doings.row)
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
            change = self._changes.get(iteration.number, float("nan"))
            rows.append((iteration.number, (*_cells(iteration, before, change), _standing_cell(standing))))
        rows += [(other.number, _cells_of_unreadable(other)) for other in unreadable]
        self._quiet = True
        self.table.fill(rows)
        if selected is not None:
            self.table.select(selected)
        self._quiet, self._shown = False, selected
        self._unreadable = {other.number for other in unreadable}
        self._enable()

    def show_changes(self, changes: Mapping[int, float]) -> None:
        """Say how far each iteration is from the one before, ppm by number."""
        self._changes = changes
        for number, change in changes.items():
            self.table.set_cell(number, CHANGE, cell(change))

    def show_standings(self, standings: Mapping[int, Standing]) -> None:
        """Say what has become of the workspaces of each iteration."""
        for number, standing in standings.items():
            self.table.set_cell(number, WORKSPACES, _standing_cell(standing))

    def _selected(self) -> None:
        """Show what is selected, where it is one that can be read."""
        self._enable()
        chosen = self.table.selected()
        if self._quiet or len(chosen) != 1 or chosen[0] == self._shown or chosen[0] in self._unreadable:
            return
        self._shown = chosen[0]
        self.shown.emit(chosen[0])

    def _open(self, number: int) -> None:
        if number not in self._unreadable:
            self.opened.emit(number)

    def _enable(self) -> None:
        chosen = self.table.selected()
        for name in self.doings.actions:
            self.doings.enable(name, self.table.rowCount() > 0 if name == "Compare" else len(chosen) == 1)

    def _one(self, signal: SignalInstance) -> None:
        chosen = self.table.selected()
        if chosen:
            signal.emit(chosen[0])


def _standing_cell(standing: Standing) -> Cell:
    return Cell(standing.text, standing.text, standing.details)


def _cells(iteration: Iteration, before: Iteration | None, change: float) -> Sequence[object]:
    differences = iteration.request.differences(before.request) if before else {}
    metrics, verdict = iteration.metrics, iteration.account.verdict
    time = iteration.started[:16].replace("T", " ")
    changed = [f"{label_of(name)}: {in_words(value)}" for name, (_, value) in differences.items()]
    return (
        Cell(iteration.number, iteration.name),
        Cell(iteration.started, time, f"{iteration.started}, took {iteration.seconds:.1f} s"),
        Cell("; ".join(changed), "; ".join(changed), "\n".join(changed)),
        Cell(verdict.word, verdict.word, "\n".join(verdict.told)),
        iteration.steps[-1].passes[-1].median_ppm if iteration.steps and iteration.steps[-1].passes else float("nan"),
        change,
        1e6 * _median(metrics.strain_std),
        1e6 * _median(metrics.sigma),
        _median(metrics.chi2),
        int(metrics.peaks_used.sum()),
        iteration.n_masked,
        iteration.stop,
        len(iteration.passes),
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
