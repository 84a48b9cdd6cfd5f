"""What the user does in the views and with keys, and what it asks of the presenter and the dialogs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QObject
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QApplication, QShortcut, QWidget

from snapcal_workbench.panel.dialogs.dialogs import Dialogs
from snapcal_workbench.panel.dialogs.help_dialog import HelpDialog
from snapcal_workbench.panel.presenters.contract import Results
from snapcal_workbench.panel.presenters.presenter import Presenter
from snapcal_workbench.panel.views.pages import Pages
from snapcal_workbench.panel.views.results.spectra_view import peak_text
from snapcal_workbench.panel.views.run_bar import RunBar


class Commands(QObject):
    """The commands of one window.

    Args:
        window: Has the keys, and ends the commands with itself.
        pages: The views.
        bar: The buttons below them.
        presenter: Does what is asked for.
        dialogs: Ask first.

    Attributes:
        results: What is shown.
    """

    def __init__(self, window: QWidget, pages: Pages, bar: RunBar, presenter: Presenter, dialogs: Dialogs) -> None:
        super().__init__(window)
        self._window, self._pages, self._bar = window, pages, bar
        self._presenter, self._dialogs = presenter, dialogs
        self._help_dialog = HelpDialog(window)
        self.results: Results | None = None
        self._connect_keys()
        self._connect_inputs()
        self._connect_bar()
        self._connect_iterations()
        self._connect_versions()
        self._connect_results()
        self._connect_facility()

    def _connect_keys(self) -> None:
        bar, pages = self._bar, self._pages
        self._key(QKeySequence(QKeySequence.StandardKey.HelpContents), self._help)
        self._key(QKeySequence("Ctrl+Return"), bar.calibrate.click)
        self._key(QKeySequence("Ctrl+Enter"), bar.calibrate.click)
        self._key(QKeySequence("Esc"), bar.cancel.click)
        self._key(QKeySequence("Ctrl+N"), pages.inputs.new.click)
        self._key(QKeySequence("Ctrl+1"), lambda: pages.setCurrentIndex(0))
        self._key(QKeySequence("Ctrl+2"), lambda: pages.setCurrentIndex(1))

    def _key(self, keys: QKeySequence, action: Callable[[], None]) -> None:
        QShortcut(keys, self._window).activated.connect(action)

    def _connect_inputs(self) -> None:
        inputs, presenter = self._pages.inputs, self._presenter
        inputs.changed.connect(presenter.inputs_changed)
        inputs.identify_asked.connect(presenter.identify_calibrant)
        inputs.new_asked.connect(presenter.new_calibration)
        inputs.undo_asked.connect(presenter.undo_new_calibration)
        inputs.initialise_asked.connect(self._dialogs.initialise)
        self._pages.outcome.welcome.demo_asked.connect(self._dialogs.demo)

    def _connect_bar(self) -> None:
        bar, presenter = self._bar, self._presenter
        bar.calibrate.clicked.connect(presenter.calibrate)
        bar.cancel.clicked.connect(presenter.cancel)
        bar.report.clicked.connect(self._open_report)
        bar.script.clicked.connect(self._copy_script)
        bar.clear.clicked.connect(lambda *_: presenter.offer_to_clear())
        bar.help.clicked.connect(self._help)

    def _connect_iterations(self) -> None:
        iterations, presenter, dialogs = self._pages.iterations, self._presenter, self._dialogs
        iterations.shown.connect(presenter.select)
        iterations.opened.connect(presenter.open)
        iterations.restored.connect(presenter.restore)
        iterations.start_asked.connect(presenter.use_as_start)
        iterations.inputs_asked.connect(presenter.use_inputs)
        iterations.remove_asked.connect(dialogs.remove)
        iterations.label_asked.connect(dialogs.label)
        iterations.apply_asked.connect(lambda number: dialogs.apply(str(number)))
        iterations.compare_asked.connect(self._compare)
        iterations.save_asked.connect(dialogs.save)

    def _connect_versions(self) -> None:
        versions, presenter, dialogs = self._pages.versions, self._presenter, self._dialogs
        versions.loaded.connect(presenter.load_version)
        versions.compare_asked.connect(self._compare)
        versions.retire_asked.connect(dialogs.retire)
        versions.unretire_asked.connect(dialogs.unretire)
        versions.apply_asked.connect(dialogs.apply)
        versions.check_asked.connect(presenter.check_versions)

    def _connect_results(self) -> None:
        results, presenter = self._pages.outcome.results, self._presenter
        results.spectra.peak_clicked.connect(self._peak_clicked)
        results.spectra.purge_asked.connect(self._purge)
        results.spectra.include_all_asked.connect(presenter.include_all)
        results.detectors.baseline_asked.connect(presenter.load_baseline)
        results.compare.report_asked.connect(self._report_comparison)
        results.exported.connect(lambda path, write: presenter.export(Path(path), write))

    def _connect_facility(self) -> None:
        facility, presenter = self._pages.facility, self._presenter
        facility.states_asked.connect(presenter.facility.list_states)
        facility.history_asked.connect(presenter.facility.read_history)
        facility.check_asked.connect(presenter.facility.check)
        facility.opened.connect(presenter.load_version)
        facility.exported.connect(lambda path, write: presenter.export(Path(path), write))

    def _peak_clicked(self, group: int, h: int, k: int, l: int) -> None:  # noqa: E741 - Miller indices
        excluded = self._presenter.toggle_peak(group, (h, k, l))
        doing = "is left out of" if excluded else "takes part again in"
        self._inform(f"{peak_text(group, (h, k, l)).capitalize()} {doing} the next calibration.")

    def _purge(self, chi2: float) -> None:
        if self.results is not None:
            count = self._presenter.exclude_above(self.results, chi2)
            self._inform(f"{count} peaks are left out of the next calibration.")

    def _compare(self) -> None:
        iterations, versions = self._pages.iterations.table, self._pages.versions.table.selected()
        numbers = iterations.selected()
        if len(numbers) + len(versions) < 2:
            numbers = iterations.keys()
        self._presenter.compare([*map(str, sorted(numbers)), *versions])

    def _open_report(self) -> None:
        number = self._presenter.selected
        if number is not None:
            self._presenter.report(number)

    def _report_comparison(self) -> None:
        comparison = self._pages.outcome.results.compare.comparison
        if comparison is not None:
            self._presenter.comparison_report(comparison)

    def _copy_script(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self._presenter.script())
        self._inform("The script is in the clipboard.")

    def _help(self) -> None:
        self._help_dialog.show()
        self._help_dialog.raise_()

    def _inform(self, text: str) -> None:
        self._presenter.view.log("information", text)
