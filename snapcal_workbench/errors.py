"""Errors that a scientist can meet. Each says what was expected, what was found, and what to do.

`Cancelled` is not an error of the program: it is what a cancelled step raises, so that it can end cleanly.
The exit code of the command line stands beside each class.
"""

from __future__ import annotations

from functools import partial


class SnapcalError(Exception):
    """Base of all errors that are reported in one message, without a traceback.

    Args:
        what: What was expected or what failed, as one sentence.
        found: What was found instead ("" if `what` says it all).
        fix: What to do next. Mandatory: an error without a way out is a puzzle.
    """

    exit_code = 1

    def __init__(self, what: str, *, found: str = "", fix: str) -> None:
        self.what, self.found, self.fix = what, found, fix
        super().__init__("\n".join(filter(None, [what, found and f"Found: {found}", f"To do: {fix}"])))

    def __reduce__(self) -> tuple:
        return _rebuild, (type(self), self.what, self.found, self.fix)


def _rebuild(kind: type[SnapcalError], what: str, found: str, fix: str) -> SnapcalError:
    return kind(what, found=found, fix=fix)


class InputError(SnapcalError):
    """A value that the user gave is not usable (exit code 2)."""

    exit_code = 2


class InputProblemError(InputError):
    """A value that does not fit an input; `field` is the input's (dotted) name."""

    def __init__(self, field: str, what: str, *, found: str, fix: str) -> None:
        super().__init__(what, found=found, fix=fix)
        self.field = field

    def __reduce__(self) -> tuple:
        return partial(InputProblemError, found=self.found, fix=self.fix), (self.field, self.what)


class NotFoundError(SnapcalError):
    """A run, a file, a log, a version or a workspace does not exist where it was looked for (exit code 3)."""

    exit_code = 3


class FileFormatError(SnapcalError):
    """A file exists but is damaged, truncated or not of the expected kind (exit code 4)."""

    exit_code = 4


class CalibrationError(SnapcalError):
    """The data do not allow the calibration that was asked for (exit code 5)."""

    exit_code = 5


class StoreError(SnapcalError):
    """Something could not be written, locked or trusted in the calibration tree (exit code 6)."""

    exit_code = 6


class PermissionDeniedError(StoreError):
    """The user may not write where the calibration belongs (exit code 6)."""


class OutputError(SnapcalError):
    """A command is done, but what it had to say could not be written (exit code 7).

    Args:
        text: What it had to say.
        reason: Why it could not be written.
    """

    exit_code = 7

    def __init__(self, text: str, reason: str) -> None:
        self._given = text, reason
        super().__init__(
            "The command is done, but its output could not be written.",
            found=reason,
            fix="Give it somewhere to write." + (f" It had to say:\n{text.rstrip()}" if text else ""),
        )

    def __reduce__(self) -> tuple:
        return OutputError, self._given


class Cancelled(Exception):  # noqa: N818 - not an error: what a cancelled step raises
    """The user cancelled the step (exit code 130)."""

    exit_code = 130
