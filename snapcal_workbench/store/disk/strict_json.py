"""JSON as the store reads and writes it: from bytes, so that what was hashed is what was parsed."""

from __future__ import annotations

import hashlib
import json

from snapcal_workbench.formats.disk.json_file import json_value


def parse_json(data: bytes) -> object:
    """The value that bytes hold; NaN and infinities, which are no JSON, become None.

    Raises:
        ValueError: They are no JSON text, or nested too deeply.
    """
    return json_value(data.decode("utf-8"), parse_constant=lambda _: None)


def json_bytes(value: object) -> bytes:
    """Indented JSON text of a value, with None for what JSON cannot hold."""
    return (json.dumps(finite(value), indent=4, allow_nan=False) + "\n").encode()


def json_line(value: object) -> str:
    """JSON text of a value on one line, with None for what JSON cannot hold."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(finite(value), allow_nan=False)


def finite(value: object) -> object:
    """A copy of a JSON value in which NaN and infinities are None."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def content_hash(data: bytes) -> str:
    """Hash of a file's contents, with the name of its algorithm: "sha256:<hex>"."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
