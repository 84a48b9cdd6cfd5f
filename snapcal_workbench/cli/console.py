"""How commands talk: progress bars, messages and errors on the error stream, results on the output stream.

All that is printed goes through here as data: no markup, no emoji names, no terminal escapes.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from snapcal_workbench.errors import OutputError, SnapcalError
from snapcal_workbench.progress import Progress
from snapcal_workbench.text import one_line, visible

_WIDTH_OF_FILES = 140
"""Columns of a table that does not go to a terminal."""

_LONG_TABLE = 200
"""Rows beyond which a table is plain lines: folding and drawing takes some milliseconds a row."""
_WIDEST_COLUMN = 48

_NAME = 24
"""Characters of a first column that are kept on one line: a state's id or a module's name, to be copied from there."""
_LONGEST_CELL = 400
"""Characters of a table's cell; `--json` has the whole text."""


class _Stream(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave the exit code to whoever ends the command."""
        raise BrokenPipeError


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


_plain_stream = partial(_Stream, soft_wrap=True, highlight=False, markup=False, emoji=False)
_out = _plain_stream(width=None if _is_terminal() else _WIDTH_OF_FILES)
_err = _plain_stream(stderr=True)


def plain(text: str, *, limit: int | None = None) -> Text:
    """Text as rich shows it as it is.

    Args:
        text: Anything.
        limit: Longer texts are cut, and say so.
    """
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]} … ({len(text):,} characters)"
    return Text(visible(text))


def say(text: str, *, style: str = "") -> None:
    """Print a result.

    Raises:
        OutputError: It cannot be written.
    """
    with _writing(text):
        _out.print(plain(text), style=style)


def say_fields(fields: Sequence[tuple[str, object]], width: int) -> None:
    """Print names, right-aligned in `width` columns, with their values, which keep to the right of their names."""
    for name, value in fields:
        say(f"{one_line(name):>{width}}: " + str(value).replace("\n", "\n" + (width + 2) * " "))


def show_json(data: object, *, indent: int | None = 2) -> None:
    """Print data for a script.

    Args:
        data: What is printed.
        indent: Of the lines; None: all in one line, for what is printed again and again.

    Raises:
        OutputError: It cannot be written.
    """
    text = json.dumps(data, indent=indent, default=str) + "\n"
    with _writing(text):
        sys.stdout.write(text)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: columns of numbers to the right, of words to the left.

    Raises:
        OutputError: It cannot be written.
    """
    cells = [[cell(value) for value in row] for row in rows]
    if len(cells) > _LONG_TABLE:
        _show_lines(title, columns, cells)
        return
    table = _table(title, columns, cells)
    with _writing("\n".join([title, *("\t".join(row) for row in cells)])):
        _out.print(table)


def _table(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> Table:
    table = Table(title=plain(title), title_justify="left", title_style="bold", header_style="bold")
    for position, column in enumerate(columns):
        numbers = position > 0 and all(_begins_as_number(row[position]) for row in cells)
        width = min(_NAME, max((len(row[0]) for row in cells), default=0)) if position == 0 else None
        table.add_column(plain(column), justify="right" if numbers else "left", overflow="fold", min_width=width)
    for row in cells:
        table.add_row(*(plain(text, limit=_LONGEST_CELL) for text in row))
    return table


@contextmanager
def live_table(
    title: Callable[[], str], columns: Sequence[str], rows: Callable[[], Sequence[Sequence[object]]], *, quiet: bool
) -> Iterator[bool]:
    """A table on the terminal that is drawn anew while the block runs, and goes with it.

    Args:
        title: Asked each time.
        columns: Heads.
        rows: Asked each time.
        quiet: Draw nothing.

    Yields:
        Whether it is drawn: not where there is no terminal.
    """
    if quiet or not _err.is_terminal:
        yield False
        return

    from rich.live import Live

    def table() -> Table:
        return _table(title(), columns, [[cell(value) for value in row] for row in rows()])

    with Live(get_renderable=table, console=_err, refresh_per_second=2, transient=True):
        yield True


def _show_lines(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """A table of very many rows, a line each; only the widest cells go beyond their columns."""
    rows = [columns, *([one_line(text)[:_LONGEST_CELL] for text in row] for row in cells)]
    widths = [min(max(map(len, column)), _WIDEST_COLUMN) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    text = "\n".join([one_line(title), *lines]) + "\n"
    with _writing(text):
        sys.stdout.write(text)


def _begins_as_number(text: str) -> bool:
    return text[:1].isdigit() or text[:1] == "-"


def cell(value: object) -> str:
    """A value as it stands in a table: numbers with four digits, "-" for NaN, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "-" if value != value else (f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}")
    return str(value)


@contextmanager
def _writing(text: str) -> Iterator[None]:
    """Writing of a result; what cannot be written is an error that keeps the text. A reader that has gone is not."""
    if sys.stdout is None:
        raise OutputError(text, "it is closed")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(text, error.strerror or str(error)) from error


def note(message: str, *, style: str = "") -> None:
    """Say something beside the results; where nobody can hear it, go on."""
    with suppress(OSError):
        _err.print(plain(message), style=style)


def show_error(error: SnapcalError, *, as_json: bool) -> None:
    """Say what is wrong, what was found and what helps."""
    if as_json:
        kind = type(error).__name__
        show_json({"error": {"kind": kind, "what": error.what, "found": error.found, "fix": error.fix}})
        return
    note("Error: " + error.what, style="bold red")
    if error.found:
        note("  Found: " + error.found)
    note("  To do: " + error.fix)


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
            note(f"Warning: {message}", style="yellow")
        elif not quiet:
            note(message)

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
        note("Cancelling …", style="yellow")

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
    if not _err.is_terminal:
        yield _lines(title)
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.fields[title]}", markup=False),
        BarColumn(24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Bars(*columns, console=_err) as bars:
        task = bars.add_task("", total=1.0, title=one_line(title))

        def report(fraction: float, message: str) -> None:
            bars.update(task, completed=fraction, description=one_line(message))

        yield report
        bars.update(task, completed=1.0, description="done")


def _lines(title: str) -> Callable[[float, str], None]:
    """Progress where there is no terminal: a line a tenth."""
    last = [-1]

    def report(fraction: float, message: str) -> None:
        tenth = int(10 * fraction)
        if tenth > last[0]:
            last[0] = tenth
            note(f"{title}: {10 * tenth:3d} % {message}")

    return report
