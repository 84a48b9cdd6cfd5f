"""The reports of iterations: when they are drawn, and what the report package is given."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from snapcal_workbench import __version__
from snapcal_workbench.calibration.types import (
    Calibration,
    Foreign,
    Geometry,
    GroupCalibration,
    PixelCalibration,
    Spectra,
)
from snapcal_workbench.errors import SnapcalError, StoreError
from snapcal_workbench.formats.processed import write_processed
from snapcal_workbench.progress import Progress
from snapcal_workbench.report.contents import ComparisonEntry, ReportContents
from snapcal_workbench.report.detectors import panels_of_groups
from snapcal_workbench.report.html import comparison_report, save_report
from snapcal_workbench.session.aside import start_command
from snapcal_workbench.session.comparison import Comparison
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.session.iterations.iteration import Iteration

_PATIENCE = 0.2
"""Seconds between two looks for another's drawing, in which the user can cancel."""


class Reports:
    """The HTML reports of a session's iterations. They take long to draw, so that another process may do it.

    Args:
        folders: Where the iterations are.
    """

    def __init__(self, folders: IterationFolders) -> None:
        self._folders = folders

    def page(self, number: int, progress: Progress | None = None) -> Path:
        """The report of an iteration; drawn now if it was left out, waited for if another process draws it."""
        iteration, folder = self._folders.read(number), self._folders.report(number)
        if not folder.is_dir():
            self.draw(iteration, self._folders.calibration(number), iteration.geometry, progress or Progress())
        return folder / "report.html"

    def draw(self, iteration: Iteration, calibration: Calibration, geometry: Geometry, progress: Progress) -> None:
        """Draw the report of an iteration, where it is not there."""

        def write(folder: Path) -> None:
            write_iteration_report(folder, iteration, calibration, geometry, progress)

        written_once(self._folders.report(iteration.number), write, progress)
        self._folders.asked(iteration.number).unlink(missing_ok=True)

    def ask(self, number: int) -> None:
        """Say that a report will be drawn, by another process or at the latest when the iteration is saved."""
        self._folders.asked(number).touch()

    def draw_aside(self, number: int, settings: Sequence[str] = ()) -> None:
        """Ask for a report, and let another process draw it: that takes as long as a third of the calibration.

        Args:
            number: Of the iteration.
            settings: Arguments of the shell tool that say where its settings are; a report itself needs none.
        """
        self.ask(number)
        session = str(self._folders.directory.absolute())
        with suppress(OSError):  # then it is drawn when it is needed
            start_command([*settings, "report", str(number), "--session", session])

    def asked(self, number: int, progress: Progress) -> Path:
        """Folder of an iteration's report, which is drawn or waited for where it was asked for."""
        if self._folders.asked(number).is_file():
            try:
                self.page(number, progress)
            except SnapcalError as error:
                progress.warn(f"The version is saved without its report: {error.what}")
        return self._folders.report(number)


def written_once(folder: Path, write: Callable[[Path], object], progress: Progress) -> None:
    """Let a report appear whole or not at all: one process draws it, and others wait for that one.

    Args:
        folder: Of the report; nothing is done where it is there.
        write: Writes the report into the folder that it is given.
        progress: Lets the user cancel.
    """
    with _sole(folder.with_suffix(".lock"), progress):
        if folder.is_dir():
            return
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
        try:
            write(part)
            os.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _sole(path: Path, progress: Progress) -> Iterator[None]:
    lock = FileLock(path)
    while not lock.is_locked:
        progress.check()
        with suppress(Timeout):
            lock.acquire(timeout=_PATIENCE)
    try:
        yield
    finally:
        lock.release()


def write_iteration_report(
    folder: Path,
    iteration: Iteration,
    calibration: Calibration,
    geometry: Geometry,
    progress: Progress,
) -> Path:
    """Write `report.html` and its pictures into `folder`.

    Args:
        folder: Made if it does not exist.
        iteration: The iteration.
        calibration: All that came out.
        geometry: Of its pixels.
        progress: Where to report to.

    Returns:
        Path of the HTML file.
    """
    return save_report(folder, report_contents(iteration, calibration, geometry), progress)


def report_contents(iteration: Iteration, calibration: Calibration, geometry: Geometry) -> ReportContents:
    """What the report says of an iteration."""
    account = calibration.account
    sources = account.sources
    first = account.group_steps[0]
    assert calibration.start is not None  # both are kept with every iteration
    assert first.fits is not None
    return ReportContents(
        title=f"Diffraction calibration of run {iteration.run_number}, {iteration.name}",
        run_info=sources.run,
        state_id=sources.state_id,
        mode=iteration.mode,
        calibrant=sources.calibrant_name,
        grouping=sources.grouping_name,
        options=account.options,
        geometry=geometry,
        table_before=calibration.start,
        table_after=calibration.table,
        mask=calibration.mask,
        pixel=_pixel(iteration, calibration),
        groups=GroupCalibration(calibration.table, calibration.mask, first.fits, first.results),
        spectra=calibration.spectra,
        fitted=calibration.fitted,
        peaks=iteration.peaks,
        final_fits=calibration.fits,
        metrics=iteration.metrics,
        provenance={
            "Software": f"SNAPCal Workbench {__version__}",
            "Calibrated": iteration.started,
            "Duration": f"{iteration.seconds:.1f} s",
            "Started from": sources.start,
            "Data": sources.run.source,
            "Calibrant": f"{sources.calibrant.path}, {sources.crystal.path}",
            "Grouping": sources.grouping_definition,
            **{f"Pixel calibration {i}": step.message for i, step in enumerate(account.pixel_steps, start=1)},
            **{f"Group calibration {i}": step.message for i, step in enumerate(account.group_steps, start=1)},
        },
        warnings=account.warnings,
        joint=first.joint,
        verdict=account.verdict,
        foreign=account.group_steps[-1].foreign if account.group_steps else Foreign(),
    )


def _pixel(iteration: Iteration, calibration: Calibration) -> PixelCalibration | None:
    """The pixel calibration as a whole: how the first one went, and where the last one ended."""
    if calibration.results is None or not iteration.steps:
        return None
    return PixelCalibration(
        calibration.table,
        calibration.mask,
        calibration.results,
        iteration.passes,
        iteration.steps[-1].stop,
        iteration.account.verdict.text,
    )


def write_comparison_report(folder: Path, comparison: Comparison, progress: Progress) -> Path:
    """Write the plots and the HTML page of a comparison into `folder`; returns the page."""
    first = comparison.entries[0]
    entries = {
        entry.label: ComparisonEntry(entry.metrics, entry.table, entry.mask)
        for entry in comparison.entries
        if entry.metrics is not None
    }
    panels = panels_of_groups(first.geometry, first.groups)
    return comparison_report(folder, entries, first.geometry, progress, panels=panels)


def export_spectra(path: Path, name: str, spectra: Spectra, instrument: str) -> list[Path]:
    """Write focused spectra as Mantid processed NeXus, and beside it as columns of text for a plot.

    Args:
        path: The NeXus file.
        name: Workspace name in the file.
        spectra: In d-spacing.
        instrument: Name of the instrument, as Mantid has it.

    Returns:
        Paths of the two files.

    Raises:
        StoreError: A file cannot be written.
    """
    text = path.with_suffix(".txt")
    try:
        write_processed(path, {name: spectra}, instrument=instrument)
        _write_columns(text, spectra)
    except OSError as error:
        raise StoreError(
            f"The spectra cannot be written to {path}.", found=str(error), fix="Choose another place with --output."
        ) from error
    return [path, text]


def _write_columns(path: Path, spectra: Spectra) -> None:
    columns, titles = [], []
    for index, number in enumerate(spectra.number):
        edges = spectra.edges_of(index)
        columns += [0.5 * (edges[1:] + edges[:-1]), spectra.y[index], spectra.e[index]]
        titles += [f"d_{number} (A)", f"counts_{number}", f"error_{number}"]
    np.savetxt(path, np.column_stack(columns), header=", ".join(titles), fmt="%.8g")
