"""Which version applies to a run, in either layout, and what retiring one changes."""

from __future__ import annotations

import json
import time

import pytest

from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.formats.index import parse_timestamp
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.store.state_store import StateStore
from tests.support import version_for


def test_version_applies_as_it_says(store, keep):
    """The newest that accepts the run; the default where none does."""
    keep("58882,<60000"), keep(">=58000,<59000"), keep(">=58000")
    assert store.choose(58882).version == 3
    store.retire(3, "wrong sample", "tester")
    assert store.choose(58882).version == 2
    assert store.choose(59500).version == 0


def test_entry_is_newer_than_all_others_when_the_clock_was_set_back(store, keep, monkeypatch):
    """A version that is saved with yesterday's clock is the newest all the same."""
    keep()
    yesterday = time.time_ns() - 86400 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: yesterday)
    keep()
    assert store.choose(60000).version == 2
    times = [entry.time for entry in store.entries()]
    assert times == sorted(times)
    assert times[2] - times[1] < 10**9


def test_versions_of_another_process_are_seen_at_once(store, keep, settings):
    """Nothing is cached across looks: an entry made by another store object is there."""
    other = StateStore(settings, store.state_id, SNAP.lite)
    assert [entry.version for entry in other.entries()] == [0]
    keep()
    assert [entry.version for entry in other.entries()] == [0, 1]


def test_modes_share_numbers_without_the_level(store, keep, native_contents):
    """Numbers run through both modes; each run gets its own mode's; the native default is not stored."""
    native = StateStore(store.settings, store.state_id, SNAP.native)
    assert native.home == store.home
    assert native.choose(58882) is None
    keep()
    assert native.save(native_contents, author="a", comments="c").version == 2
    keep()
    assert version_for(native, 58882) == 2
    assert store.choose(58882).version == 3
    assert len(native.read(2).table) == 1179648


def test_modes_have_their_own_index_with_the_level(leveled, contents):
    """As SNAPRed has it today: each mode its numbers, its default and its index."""
    lite, native = (StateStore(leveled, "04bd2c53f6bf6754", mode) for mode in SNAP.modes)
    assert lite.save(contents, author="a", comments="c").version == 1
    assert [entry.version for entry in native.entries()] == [0]
    assert version_for(native, 58882) == 0
    assert lite.home.parts[-2:] == ("lite", "diffraction")
    assert native.home.parts[-2:] == ("native", "diffraction")


def test_tree_with_the_level_is_recognised(leveled, contents):
    """ "auto" follows the state, and for a new state the others of the tree."""
    auto = leveled.model_copy(update={"index_layout": "auto"})
    assert StateStore(auto, "04bd2c53f6bf6754", SNAP.lite).home.parts[-2] == "lite"
    assert StateStore(auto, "e65700ae57929b7d", SNAP.lite).home.parts[-2] == "lite"


def test_retired_version_is_passed_over_by_snapred_too(store, keep):
    """The index says "<0", the record keeps the original, and who, when and why are on record."""
    keep("58882")
    store.retire(1, "wrong sample", "tester")
    entry = json.loads(store.index_path.read_text())[1]
    record = json.loads((store.home / "v_0001" / "CalibrationRecord.json").read_text())
    assert entry["appliesTo"] == "<0"
    assert entry["comments"] == "(INVALIDATED) a test"
    assert record["indexEntry"]["appliesTo"] == ">=58882,<=58882"
    retirement = store.retirements()[1]
    assert (retirement["reason"], retirement["author"]) == ("wrong sample", "tester")
    assert parse_timestamp(retirement["time"]) > 0
    assert store.read(1).entry.version == 1
    assert store.problems() == []


def test_unretired_version_is_back_with_its_condition(store, keep):
    """The condition comes from the record; both lines stay."""
    keep("58882")
    store.retire(1, "wrong sample", "tester")
    store.unretire(1, "it was the right one", "tester")
    assert store.choose(58882).version == 1
    assert json.loads(store.index_path.read_text())[1]["appliesTo"] == ">=58882,<=58882"
    assert len((store.home / "retirements.jsonl").read_text().splitlines()) == 2
    assert store.retirements() == {}


def test_retirement_is_the_truth_when_the_index_is_behind(store, keep):
    """After a crash between the two, and after SNAPRed rewrote the index, the retirement counts."""
    keep()
    before = store.index_path.read_bytes()
    store.retire(1, "wrong sample", "tester")
    store.index_path.write_bytes(before)
    assert store.choose(58882).version == 0
    keep("58882")
    assert json.loads(store.index_path.read_text())[1]["appliesTo"] == "<0"


@pytest.mark.parametrize("version", [0, 1, 7])
def test_retiring_what_cannot_be_retired(store, keep, version):
    """The default, one that is retired already, and one that is not there."""
    keep()
    store.retire(1, "once", "tester")
    with pytest.raises((InputError, NotFoundError)):
        store.retire(version, "again", "tester")
    assert len((store.home / "retirements.jsonl").read_text().splitlines()) == 1


def test_every_write_is_in_the_audit_log(store, keep):
    """Saves, retirements and returns, each with its user, host and time."""
    keep()
    store.retire(1, "wrong", "tester")
    store.unretire(1, "right", "tester")
    lines = [json.loads(line) for line in (store.home / "audit.jsonl").read_text().splitlines()]
    assert [(line["action"], line["version"]) for line in lines] == [
        ("announce", 0),
        ("save", 0),
        ("announce", 1),
        ("save", 1),
        ("retire", 1),
        ("unretire", 1),
    ]
    assert all(line["user"] and line["host"] and line["time"] for line in lines)
