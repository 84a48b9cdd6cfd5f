"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

from snapcal_workbench.errors import InputError


def user_path(text: str | Path) -> Path:
    """The path that a text names, with `~` and `~user` at its beginning replaced by the home folder.

    Raises:
        InputError: There is no such user, or no file can have that name.
    """
    try:
        path = Path(text).expanduser()
        os.fsencode(path)
    except (RuntimeError, ValueError) as error:
        raise _no_path(text, str(error)) from None
    if "\0" in str(path):
        raise _no_path(text, "a zero character")
    return path


def _no_path(text: str | Path, found: str) -> InputError:
    return InputError(
        f"{str(text)!r:.200} is not a path that can exist here.",
        found=found,
        fix="Give the path in full, without ~ if there is no such user.",
    )
