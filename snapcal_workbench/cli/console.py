"""How commands talk: progress bars, messages and errors on the error stream, results on the output stream."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from snapcal_workbench.errors import Cancelled, SnapcalError
from snapcal_workbench.progress import Progress

_WIDTH_OF_FILES = 140
"""Columns of a table that does not go to a terminal."""

out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def show_json(data: Any) -> None:
    """Print data for a script."""
    sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    out.print(table)


def cell(value: object) -> str:
    """A value as it stands in a table: numbers with four digits, nothing for NaN."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "-" if value != value else (f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}")
    return str(value)


def note(message: str) -> None:
    """Say something beside the results."""
    err.print(message, markup=False)


@contextmanager
def step(title: str, *, quiet: bool = False) -> Iterator[Progress]:
    """A long step with a progress bar; Ctrl-C cancels it cleanly, a second one at once.

    Args:
        title: Stands before the bar.
        quiet: No bar and no messages but warnings (for `--json`).
    """
    cancelled = threading.Event()
    with _interrupts(cancelled), _bar(title, quiet) as report:
        yield Progress(report, _on_message(quiet), cancelled.is_set)


def _on_message(quiet: bool) -> Callable[[str, str], None]:
    def on_message(level: str, message: str) -> None:
        if level == "warning":
            err.print(f"Warning: {message}", style="yellow", markup=False)
        elif not quiet:
            err.print(message, markup=False)

    return on_message


@contextmanager
def _interrupts(cancelled: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(*_: object) -> None:
        if cancelled.is_set():
            raise KeyboardInterrupt
        cancelled.set()
        err.print("Cancelling …", style="yellow")

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(title: str, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    if quiet:
        yield lambda fraction, message: None
        return
    if not err.is_terminal:
        yield _lines(title)
        return
    columns = (TextColumn("{task.fields[title]}"), BarColumn(24), TextColumn("{task.percentage:>3.0f} %"))
    with Bars(*columns, TimeElapsedColumn(), TextColumn("{task.description}"), console=err) as bars:
        task = bars.add_task("", total=1.0, title=title)

        def report(fraction: float, message: str) -> None:
            bars.update(task, completed=fraction, description=message)

        yield report
        bars.update(task, completed=1.0, description="done")


def _lines(title: str) -> Callable[[float, str], None]:
    """Progress where there is no terminal: a line a tenth."""
    last = [-1]

    def report(fraction: float, message: str) -> None:
        tenth = int(10 * fraction)
        if tenth > last[0]:
            last[0] = tenth
            err.print(f"{title}: {10 * tenth:3d} % {message}", markup=False)

    return report


def guarded(command: Callable[[], None], *, as_json: bool) -> None:
    """Run a command; turn what a user can meet into one message and an exit code.

    Raises:
        typer.Exit: With the exit code of the error.
    """
    try:
        command()
    except SnapcalError as error:
        _show_error(error, as_json)
        raise typer.Exit(error.exit_code) from error
    except (Cancelled, KeyboardInterrupt) as error:
        err.print("Cancelled. What was saved before is untouched.", style="yellow")
        raise typer.Exit(Cancelled.exit_code) from error


def _show_error(error: SnapcalError, as_json: bool) -> None:
    if as_json:
        kind = type(error).__name__
        show_json({"error": {"kind": kind, "what": error.what, "found": error.found, "fix": error.fix}})
        return
    err.print("Error: " + error.what, style="bold red", markup=False)
    if error.found:
        err.print("  Found: " + error.found, markup=False)
    err.print("  To do: " + error.fix, markup=False)
