"""How a command ends: with an exit code, and with one message where something is wrong. Never with a bare traceback."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from snapcal_workbench import __version__
from snapcal_workbench.cli.console import note, show_error, show_json
from snapcal_workbench.errors import Cancelled, InputError, OutputError, SnapcalError, StoreError

EXIT_CODES = {
    0: "done",
    1: "a fault of the program",
    2: "a wrong command or input",
    3: "a run, file, log or version does not exist",
    4: "a file is damaged",
    5: "the data do not allow the calibration",
    6: "the calibration tree cannot be written, locked or trusted",
    7: "done, but the output could not be written",
    8: "the calibration that was checked no longer holds",
    9: "the run cannot tell whether the calibration holds",
    130: "cancelled",
    141: "the reader of the output has gone, as `head` does",
}
"""What each exit code means. They are fixed: scripts rely on them."""

_NO_READER = 141
_FAULTS_KEPT = 20
_NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def exit_code_of(command: Callable[[], object], *, as_json: bool) -> int:
    """Run a command; its exit code, after saying what is wrong.

    Args:
        command: Returns an exit code, or anything else for "done".
        as_json: Say what is wrong as JSON, for a script.
    """
    try:
        return _told(command, as_json)
    except BrokenPipeError:
        return _without_reader()
    except SystemExit as error:  # rich ends the program so when the reader of a help page goes
        return _without_reader() if isinstance(error.__context__, BrokenPipeError) else int(error.code or 0)
    except OutputError as error:
        show_error(error, as_json=False)
        return error.exit_code


def _told(command: Callable[[], object], as_json: bool) -> int:
    try:
        try:
            code = command()
        finally:
            if sys.stdout is not None and not sys.stdout.closed:
                sys.stdout.flush()  # a help page may still wait there
    except (BrokenPipeError, OutputError):
        raise
    except SnapcalError as error:
        show_error(error, as_json=as_json)
        return error.exit_code
    except (Cancelled, KeyboardInterrupt):
        return _cancelled(as_json)
    except Exception as error:
        return _unforeseen(error, as_json)
    if code == Cancelled.exit_code:  # the command line's library has caught Ctrl-C itself
        return _cancelled(as_json)
    return code if isinstance(code, int) else 0


def _cancelled(as_json: bool) -> int:
    what = "What was saved before is untouched."
    if as_json:
        show_json({"error": {"kind": "Cancelled", "what": "Cancelled.", "found": "", "fix": what}})
    else:
        note(f"Cancelled. {what}", style="yellow")
    return Cancelled.exit_code


def _unforeseen(error: Exception, as_json: bool) -> int:
    """An exception that is not one of our own: of the command line's library, of the system, or a fault of ours."""
    if type(error).__name__ == "NoArgsIsHelpError":  # the library has shown the help
        return InputError.exit_code
    if type(error).__name__ == "Abort":
        return _cancelled(as_json)
    known = _wrong_command(error) or _system_trouble(error) or _fault(error)
    show_error(known, as_json=as_json)
    return known.exit_code


def _wrong_command(error: Exception) -> InputError | None:
    """A wrong command line, which older and newer typer tell by exceptions of different modules."""
    message = getattr(error, "format_message", None)
    if message is None:
        return None
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "snapcal"
    return InputError(message(), fix=f"See `{command} --help`.")


def _system_trouble(error: Exception) -> SnapcalError | None:
    if isinstance(error, MemoryError):
        fix = "Calibrate lite pixels or fewer runs, or use a machine with more memory."
        return SnapcalError("There is not enough memory.", found=str(error), fix=fix)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        _flush_into_nothing()
        return OutputError("", str(error))  # a help page
    if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:
        return StoreError(
            "A file or folder could not be read or written.",
            found=str(error),
            fix=f"Make room or give permission. {_where(error)}",
        )
    return None


def _fault(error: Exception) -> SnapcalError:
    return SnapcalError(
        "The program has a fault. What was saved before is untouched.",
        found=f"{type(error).__name__}: {error}",
        fix=f"{_where(error)} Send it to whoever maintains the program.",
    )


def _where(error: Exception) -> str:
    path = keep_traceback(error)
    return f"The traceback is in {path}." if path else "The traceback could not be kept."


def keep_traceback(error: BaseException) -> Path | None:
    """Write an exception's traceback into the user's state folder, where the newest few are kept.

    Returns:
        The file; None where nothing can be written.
    """
    text = f"snapcal {__version__}, Python {sys.version}\n{sys.argv!r}\n\n" + "".join(traceback.format_exception(error))
    name = f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{os.getpid()}.txt"
    for folder in (_state_folder() / "faults", Path(tempfile.gettempdir()) / f"snapcal-faults-{os.getuid()}"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
            _drop_oldest(folder)
        except OSError:
            continue
        return folder / name
    return None


def _state_folder() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")) / "snapcal"


def _drop_oldest(folder: Path) -> None:
    for path in sorted(folder.glob("*.txt"))[:-_FAULTS_KEPT]:
        path.unlink()


def _without_reader() -> int:
    _flush_into_nothing()
    return _NO_READER


def _flush_into_nothing() -> None:
    """Let the interpreter flush what is left into nothing, instead of complaining at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
