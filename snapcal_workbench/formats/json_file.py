"""Reading JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from snapcal_workbench.formats.files import damaged, read_bytes


def read_json(path: Path, what: str) -> Any:
    """The value in a JSON file (UTF-8, with or without byte order mark).

    Args:
        path: The file.
        what: What it should be, such as "a calibrant"; used in the messages.

    Raises:
        NotFoundError: There is no file, or we may not read it.
        FileFormatError: It is not JSON; the message has line and column.
    """
    try:
        return json.loads(read_bytes(path, what).decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        found = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is not UTF-8 text"
    except (RecursionError, ValueError) as error:
        found = f"not readable as JSON: {error}"
    raise damaged(path, f"{what} (JSON)", found, "Correct the file with a text editor, or take it from a backup.")
