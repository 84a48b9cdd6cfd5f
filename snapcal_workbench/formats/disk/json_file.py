"""Reading JSON that is not trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from snapcal_workbench.formats.disk.files import damaged, read_bytes

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")


def read_json(path: Path, what: str) -> object:
    """The value in a JSON file (UTF-8, with or without byte order mark).

    Args:
        path: The file.
        what: What it should be, such as "a calibrant"; used in the messages.

    Raises:
        NotFoundError: There is no file, or we may not read it.
        FileFormatError: It is not JSON; the message has line and column.
    """
    return json_of_file(read_bytes(path, what), path, what)


def json_of_file(data: bytes, path: Path, what: str) -> object:
    """The value in the bytes of a JSON file, which were read already; arguments and errors as for `read_json`."""
    try:
        return json_value(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        found = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is not UTF-8 text"
    except ValueError as error:
        found = f"not readable as JSON: {error}"
    raise damaged(path, f"{what} (JSON)", found, "Correct the file with a text editor, or take it from a backup.")


def json_value(text: str, *, parse_constant: Callable[[str], object] | None = None) -> object:
    """The value of a JSON text. Halves of a surrogate pair, which no text can hold, become U+FFFD.

    Args:
        text: The text.
        parse_constant: What NaN and infinities become, as in `json.loads`.

    Raises:
        ValueError: It is no JSON text, or nested too deeply.
    """
    try:
        value = json.loads(text, parse_constant=parse_constant)
        return _without_halves(value) if _SURROGATE.search(text) else value
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _without_halves(value: object) -> object:
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_halves(item) for item in value]
    if isinstance(value, dict):
        return {_without_halves(key): _without_halves(item) for key, item in value.items()}
    return value
