"""Reading JSON files."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapcal_workbench.errors import FileFormatError, NotFoundError
from snapcal_workbench.formats.disk.json_file import read_json


def test_reads_a_value_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors on other systems add a mark."""
    for encoding in ("utf-8", "utf-8-sig"):
        path = tmp_path / encoding
        path.write_text('{"d": [1.5, null, "Å"]}', encoding=encoding)
        assert read_json(path, "a test") == {"d": [1.5, None, "Å"]}


def test_names_line_and_column_of_a_mistake(tmp_path: Path) -> None:
    """The third line has a comma too many, at its first character."""
    path = tmp_path / "bad.json"
    path.write_text('{\n "a": 1,\n}')
    with pytest.raises(FileFormatError, match=r"a calibrant \(JSON\)(.|\n)*line 3, column 1") as caught:
        read_json(path, "a calibrant")
    assert str(path) in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{}", b"[" * 100_000, b"[1" + b"0" * 5000 + b"]", b'{"a": 1} x'])
def test_whatever_is_in_the_file_is_reported(tmp_path: Path, content: bytes) -> None:
    """Empty, wrong encoding, too deep, too long a number, more than one value."""
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError):
        read_json(path, "a test")


def test_a_missing_file_and_a_folder_are_not_found(tmp_path: Path) -> None:
    """Both say what was looked for."""
    for path, found in ((tmp_path / "none.json", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(NotFoundError, match="an index") as caught:
            read_json(path, "an index")
        assert caught.value.found == found
