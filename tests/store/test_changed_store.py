"""A store that somebody has changed by hand is read as far as it can be, and what is odd is named."""

from __future__ import annotations

import json
import re

import pytest

from snapcal_workbench.errors import FileFormatError, NotFoundError, StoreError


def change_byte(path):
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "name", ["diffract_consts_058882_v0001.h5", "dsp_column_058882_v0001.nxs.h5", "pixel_results_058882_v0001.h5"]
)
def test_changed_file_is_noticed(store, keep, name):
    """One bit in any file is an error that names it, unless checking is switched off."""
    keep()
    change_byte(store.home / "v_0001" / name)
    with pytest.raises(StoreError, match=re.escape(name)):
        store.read(1)


def test_missing_file_is_noticed(store, keep):
    """A file that the record lists and the folder lacks."""
    keep()
    (store.home / "v_0001" / "dsp_column_058882_v0001.nxs.h5").unlink()
    with pytest.raises(StoreError, match="dsp_column"):
        store.read(1)
    assert store.read(1, verify=False).spectra is None


def test_names_in_a_record_cannot_leave_the_version(store, keep, tmp_path):
    """A path or a symbolic link in place of the table is not followed."""
    keep()
    folder = store.home / "v_0001"
    path = folder / "CalibrationRecord.json"
    secret = tmp_path / "secret.h5"
    (folder / "diffract_consts_058882_v0001.h5").rename(secret)
    record = json.loads(path.read_text())
    record["workspaces"]["diffCalTable"] = [str(secret.with_suffix(""))]
    path.write_text(json.dumps(record))
    with pytest.raises(FileFormatError, match="no regular file"):
        store.read(1, verify=False)
    record["workspaces"]["diffCalTable"] = ["diffract_consts_058882_v0001"]
    path.write_text(json.dumps(record))
    (folder / "diffract_consts_058882_v0001.h5").symlink_to(secret)
    with pytest.raises(FileFormatError, match="no regular file"):
        store.read(1, verify=False)


def test_missing_version_is_named_with_those_that_exist(store, keep):
    """The error lists what there is."""
    keep()
    with pytest.raises(NotFoundError, match="0, 1"):
        store.read(9)


def test_damaged_index_is_rebuilt_in_memory_and_kept(store, keep):
    """Cut off, emptied or removed: the versions are all there, it is said, and the next save makes it whole."""
    keep("58882"), keep(">=6")
    whole = store.index_path.read_bytes()
    for damaged in (whole[:100], b"", b"\xff\xfe", b"{}", b"[" * 100_000):
        store.index_path.write_bytes(damaged)
        assert [(e.version, e.applies_to) for e in store.entries()] == [(0, ">=0"), (1, ">=58882,<=58882"), (2, ">=6")]
        assert any("CalibrationIndex.json" in problem for problem in store.problems())
    keep()
    assert [item["version"] for item in json.loads(store.index_path.read_text())] == [0, 1, 2, 3]
    kept = [path for path in store.home.iterdir() if "damaged" in path.name]
    assert [path.read_bytes() for path in kept] == [b"[" * 100_000]


def test_missing_index_is_rebuilt_in_memory(store, keep):
    """The folders say enough."""
    keep()
    store.index_path.unlink()
    assert [entry.version for entry in store.entries()] == [0, 1]
    assert any("is missing" in problem for problem in store.problems())


def test_odd_things_are_read_and_each_reported_once(store, keep):
    """Entries without folders, folders without entries, foreign files, symbolic links, odd and unknown fields."""
    keep(), keep(), keep()
    index = json.loads(store.index_path.read_text())
    index[1]["appliesTo"] = None
    index[1]["colour"] = "green"
    index[2]["timestamp"] = index[2]["timestamp"][:23] + "+0000"
    del index[3]
    index.append({**index[0], "version": 8})
    store.index_path.write_text(json.dumps(index))
    (store.home / "v_0005").mkdir()
    (store.home / "v_0006").symlink_to("v_0001")
    (store.home / "notes.txt").write_text("hello")
    assert [entry.version for entry in store.entries()] == [0, 1, 2, 3]
    problems = store.problems()
    for sign in (
        "Version 1: appliesTo",
        "Version 2: timestamp",
        "Version 3 is not",
        "Version 8",
        "v_0005",
        "v_0006",
        "notes",
    ):
        assert sum(sign in problem for problem in problems) == 1, sign
    assert keep() == 9
    written = {item["version"]: item for item in json.loads(store.index_path.read_text())}
    assert sorted(written) == [0, 1, 2, 3, 8, 9]
    assert written[1]["colour"] == "green"
    assert len(written[2]["timestamp"]) == len(written[0]["timestamp"])


def test_folders_of_one_number(store, keep):
    """SNAPRed takes v_1 for version 1 as well; the right name counts and the other is reported."""
    keep()
    (store.home / "v_1").mkdir()
    assert store.read(1).path.name == "v_0001"
    assert any("are both version 1" in problem for problem in store.problems())
