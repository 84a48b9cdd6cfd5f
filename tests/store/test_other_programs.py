"""In one tree with SNAPRed and SNAPWrap: what they ask of an index and a record, and what they do to ours.

SNAPWrap calls an index damaged whose entries have not just seven keys or differ from the copy in the record. Its repair
then copies the entry of the index into the record. SNAPRed keeps times as seconds in a float64.
"""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from snapcal_workbench.cli.app import app
from snapcal_workbench.errors import InputError, StoreError
from snapcal_workbench.formats.index import AppliesTo, format_timestamp, parse_timestamp, same_time
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.journal import audited
from snapcal_workbench.store.publish import publish
from snapcal_workbench.store.upkeep.repair import repair
from snapcal_workbench.store.upkeep.verify import verify_home

SEVEN_KEYS = {"version", "runNumber", "useLiteMode", "appliesTo", "comments", "author", "timestamp"}

pytestmark = pytest.mark.usefixtures("small_instrument")


@pytest.fixture
def store(fresh_store, few_pixels):
    """A store with the default and one whole version."""
    made = fresh_store()
    made.save(few_pixels, author="tester", comments="good", applies_to=">=58882,<60000")
    return made


def index_of(store):
    """The entries of the index file."""
    return json.loads(store.index_path.read_text())


def record_path(store, version=1):
    """The record of a version."""
    return store.home / f"v_{version:04d}" / "CalibrationRecord.json"


def findings(store):
    """What `verify` says."""
    return [finding.message for finding in verify_home(store.home, Progress())]


def snapwrap_complaints(store):
    """SNAPWrap's rules for an index and its records, restated."""
    wrong = []
    entries = index_of(store)
    numbers = sorted(entry["version"] for entry in entries)
    if numbers != list(range(len(numbers))):
        wrong.append(f"versions {numbers}")
    for entry in entries:
        record = json.loads(record_path(store, entry["version"]).read_text())
        if set(entry) != SEVEN_KEYS:
            wrong.append(f"keys {set(entry) ^ SEVEN_KEYS}")
        if record["version"] != entry["version"] or record["indexEntry"] != entry:
            wrong.append(f"record {entry['version']} and index differ")
    return wrong


def snapwrap_selects(store, run):
    """The version that SNAPWrap takes: the latest whose conditions hold, each with an operator of its own."""
    operators = {
        ">": int.__gt__,
        ">=": int.__ge__,
        "<": int.__lt__,
        "<=": int.__le__,
        "==": int.__eq__,
        "!=": int.__ne__,
    }

    def holds(condition):
        found = re.match(r"(>=|<=|==|!=|>|<)\s*(\d+)", condition.strip())
        return found is not None and operators[found[1]](run, int(found[2]))

    for entry in sorted(index_of(store), key=lambda entry: entry["timestamp"], reverse=True):
        if all(holds(condition) for condition in entry["appliesTo"].split(",")):
            return entry["version"]
    return None


def snapwrap_repairs(store):
    """What SNAPWrap's repair does to records: the entry of the index goes into them."""
    for entry in index_of(store):
        path = record_path(store, entry["version"])
        record = json.loads(path.read_text())
        if record["indexEntry"] != entry:
            record["indexEntry"] = entry
            record["calculationParameters"]["indexEntry"] = entry
            path.write_text(json.dumps(record, indent=4))


def snapwrap_retires(store, version):
    """What SNAPWrap does to retire a version."""
    entries = index_of(store)
    entry = next(entry for entry in entries if entry["version"] == version)
    entry.update(appliesTo="<0", comments=f"(INVALIDATED) {entry['comments']}")
    store.index_path.write_text(json.dumps(entries, indent=4))


def snapred_rewrites_the_index(store):
    """What SNAPRed does with times: through a float64 of seconds."""
    entries = index_of(store)
    for entry in entries:
        seconds = float(parse_timestamp(entry["timestamp"]) / 1e9)
        entry["timestamp"] = format_timestamp(int(seconds * 1e9))
    store.index_path.write_text(json.dumps(entries, indent=4))


def test_index_and_records_are_as_snapwrap_asks(store, few_pixels):
    """Seven keys, numbers without a gap, and the same entry in the record, also after more saves."""
    assert snapwrap_complaints(store) == []
    store.save(few_pixels, author="tester", comments="better")
    assert snapwrap_complaints(store) == []


def test_hashes_stand_in_the_folder_and_in_the_audit_log(store):
    """The copy of the record has those of all other files; its own is in the log."""
    folder = record_path(store).parent
    assert (folder / "record_as_saved.json").read_bytes() == record_path(store).read_bytes()
    hashes = json.loads((folder / "record_as_saved.json").read_text())["snapcalWorkbench"]["contentHashes"]
    names = {path.name for path in folder.iterdir()}
    assert set(hashes) == names - {"record_as_saved.json", "CalibrationRecord.json"}
    assert audited(store.home)[1].record is not None


def as_an_older_release_wrote_it(store):
    """Hashes of records in the index, no copies, and an audit log that was lost."""
    known = audited(store.home)
    entries = [{**entry, "recordHash": known[entry["version"]].record} for entry in index_of(store)]
    store.index_path.write_text(json.dumps(entries))
    for path in store.home.glob("v_*/record_as_saved.json"):
        path.unlink()
    (store.home / "audit.jsonl").unlink()
    return known


def test_trees_of_older_releases_are_read_and_put_right(store, few_pixels):
    """The hash in the index counts; with the next save it moves to the audit log, and SNAPWrap is content."""
    before = as_an_older_release_wrote_it(store)
    assert store.read(1).notes == ()
    assert findings(store) == []
    assert any("recordHash" in action.what for action in repair(store.settings))
    store.save(few_pixels, author="tester", comments="next")
    assert snapwrap_complaints(store) == []
    assert {version: audited(store.home)[version] for version in before} == before
    record_path(store).write_text(record_path(store).read_text() + " ")
    assert any("no copy of what was saved" in message for message in findings(store))


def test_repairing_moves_the_hashes_too(store):
    """Without a save."""
    before = as_an_older_release_wrote_it(store)
    repair(store.settings, apply=True)
    assert snapwrap_complaints(store) == []
    assert {version: audited(store.home)[version] for version in before} == before


def test_a_record_that_snapwrap_rewrote_is_read_told_and_adopted(store):
    """From our retirement to its repair and back: never a dead end, and nothing of ours is lost."""
    store.retire(1, "wrong sample", "tester")
    assert snapwrap_complaints(store) == ["record 1 and index differ"]
    snapwrap_repairs(store)
    found = store.read(1)
    assert any("indexEntry.appliesTo is '<0', was '>=58882,<60000'" in note for note in found.notes)
    assert found.describe()["options"] is not None
    assert [message for message in findings(store) if "was rewritten since" in message]
    assert repair(store.settings) == []
    (planned,) = repair(store.settings, adopt=True)
    assert "indexEntry.appliesTo" in planned.what
    (done,) = repair(store.settings, adopt=True, apply=True)
    assert done.done
    assert store.read(1).notes == ()
    assert findings(store) == []
    store.unretire(1, "it was the right one", "tester")
    assert index_of(store)[1]["appliesTo"] == ">=58882,<60000"
    assert index_of(store)[1]["comments"] == "good"
    assert store.choose(58900).version == 1


def test_what_the_shell_advises_ends_the_finding(store):
    """Rewritten records are no dead end: verify names --adopt, and so does a repair that has nothing to do."""
    snapwrap_retires(store, 1)
    snapwrap_repairs(store)

    def told(*arguments):
        where = ["--set", f"calibration_home={store.settings.calibration_home}"]
        return CliRunner().invoke(app, [*where, *arguments])

    assert "`snapcal repair --adopt`" in told("verify").stdout
    assert "--adopt" in told("repair").stdout
    assert told("repair", "--adopt", "--apply").exit_code == 0
    assert told("verify").stdout.splitlines()[-1] == "Nothing is wrong."


def test_a_record_that_snapred_rewrote_keeps_what_is_ours(store):
    """SNAPRed drops the fields that it does not know: they are read from the copy, also once adopted."""
    record = json.loads(record_path(store).read_text())
    own = record.pop("snapcalWorkbench")
    record_path(store).write_text(json.dumps(record))
    found = store.read(1)
    assert any("snapcalWorkbench is gone" in note for note in found.notes)
    assert found.record.own.content_hashes == own["contentHashes"]
    assert found.pixel_results is not None
    repair(store.settings, adopt=True, apply=True)
    adopted = store.read(1)
    assert (adopted.notes, adopted.pixel_results is not None) == ((), True)
    assert findings(store) == []


def test_rewritten_parameters_are_told_and_adopted(store):
    """Field by field, too."""
    path = record_path(store).with_name("CalibrationParameters.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "another"}))
    assert any("name is 'another', was 'tests'" in note for note in store.read(1).notes)
    repair(store.settings, adopt=True, apply=True)
    assert store.read(1).notes == ()
    assert findings(store) == []


def test_a_record_that_cannot_be_read_is_no_dead_end(store):
    """What was saved is read from the copy, and that is told."""
    record_path(store).write_text("{")
    found = store.read(1)
    assert len(found.table) == 12
    assert any("cannot be read" in note for note in found.notes)
    assert repair(store.settings, adopt=True) == []


def test_a_changed_table_is_still_refused(store):
    """Documents can be adopted; a table that is not the accepted one can not."""
    snapwrap_repairs(store)
    path = record_path(store).with_name("diffract_consts_058882_v0001.h5")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="diffract_consts"):
        store.read(1)
    assert repair(store.settings, adopt=True) == []


def test_a_rewritten_record_cannot_lead_to_another_table(store):
    """What was accepted is read, whatever the new record names, until it is adopted."""
    record = json.loads(record_path(store).read_text())
    record["workspaces"]["diffCalTable"] = ["pixel_results_058882_v0001"]
    record_path(store).write_text(json.dumps(record))
    assert store.read(1).record.names("diffCalTable") == ["diffract_consts_058882_v0001"]


def test_times_are_compared_as_precisely_as_snapred_keeps_them(store, few_pixels):
    """After any save of SNAPRed's nothing is wrong."""
    store.save(few_pixels, author="tester", comments="next")
    before = [entry.timestamp for entry in store.entries()]
    snapred_rewrites_the_index(store)
    assert [entry.timestamp for entry in store.entries()] != before
    assert findings(store) == []
    assert same_time(1_763_000_000_123_456_789, int(float(1_763_000_000_123_456_789 / 1e9) * 1e9))
    assert not same_time(1_763_000_000_123_456_789, 1_763_000_000_123_556_789)


def test_versions_that_snapwrap_retired_are_retired(store):
    """Listed as such, nothing is wrong, and they can be brought back."""
    snapwrap_retires(store, 1)
    assert store.retirements()[1]["reason"] == "by another program"
    assert store.problems() == []
    assert store.choose(58900).version == 0
    with pytest.raises(InputError, match="retired already"):
        store.retire(1, "again", "tester")
    store.unretire(1, "it was the right one", "tester")
    assert index_of(store)[1] == {**index_of(store)[1], "appliesTo": ">=58882,<60000", "comments": "good"}
    assert snapwrap_complaints(store) == []


def test_a_version_that_snapwrap_retired_and_repaired_comes_back_with_its_condition(store):
    """The record has lost the condition; the copy has it."""
    snapwrap_retires(store, 1)
    snapwrap_repairs(store)
    store.unretire(1, "it was the right one", "tester")
    assert store.choose(58900).version == 1


def test_a_condition_that_nothing_tells_is_asked_for(store):
    """Where neither a line, nor a copy, nor the record has it."""
    snapwrap_retires(store, 1)
    snapwrap_repairs(store)
    record_path(store).with_name("record_as_saved.json").unlink()
    with pytest.raises(InputError, match="--applies-to"):
        store.unretire(1, "it was the right one", "tester")
    store.unretire(1, "it was the right one", "tester", applies_to="58882-58890")
    assert index_of(store)[1]["appliesTo"] == ">=58882,<=58890"


def test_a_version_that_others_let_apply_to_no_run_without_a_word_can_be_retired_with_one(store):
    """By hand, without SNAPWrap's mark: verify finds it, and what it advises ends that."""
    entries = index_of(store)
    entries[1]["appliesTo"] = "<0"
    store.index_path.write_text(json.dumps(entries))
    assert any("`snapcal retire` with a reason" in message for message in findings(store))
    store.retire(1, "wrong sample", "tester")
    assert findings(store) == []
    assert index_of(store)[1]["comments"] == "(INVALIDATED) good"
    store.unretire(1, "it was the right one", "tester")
    assert index_of(store)[1] == {**index_of(store)[1], "appliesTo": ">=58882,<60000", "comments": "good"}


def test_a_retirement_after_a_return_counts(store):
    """Brought back by us, retired again by SNAPWrap: not used, and told."""
    store.retire(1, "wrong sample", "tester")
    store.unretire(1, "it was the right one", "tester")
    snapwrap_retires(store, 1)
    assert store.choose(58900).version == 0
    assert any("another program has retired it" in problem for problem in store.problems())
    store.unretire(1, "really", "tester")
    assert store.choose(58900).version == 1


def test_our_retirements_are_marked_for_snapwrap(store):
    """Its sign before the comment, once, and no run."""
    store.retire(1, "wrong sample", "tester")
    assert index_of(store)[1]["comments"] == "(INVALIDATED) good"
    assert snapwrap_selects(store, 58900) == 0
    store.unretire(1, "it was the right one", "tester")
    assert index_of(store)[1]["comments"] == "good"
    assert snapwrap_selects(store, 58900) == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (">=58882", ">=58882"),
        ("=>58882", ">=58882"),
        ("=<58890", "<=58890"),
        ("==58882", ">=58882,<=58882"),
        ("=58882", ">=58882,<=58882"),
        ("58882", ">=58882,<=58882"),
        (" 58882 - 58890 ", ">=58882,<=58890"),
        ("58882–58890", ">=58882,<=58890"),
        ("≥58882,<60000", ">=58882,<60000"),
        ("58882-58890,<58885", ">=58882,<=58890,<58885"),
    ],
)
def test_conditions_are_written_as_all_three_programs_read_them(text, written):
    """What people mean, in terms of the four operators that SNAPRed and SNAPWrap share."""
    meant = AppliesTo.from_text(text)
    assert str(meant) == written
    assert AppliesTo.parse(written) == meant
    assert all(re.fullmatch(r"(>=|<=|<|>)\d+", term) for term in written.split(","))


@pytest.mark.parametrize("text", ["58882,58890", "<0", ">5,<6", "58890-58882", "<1"])
def test_conditions_that_fit_no_run_are_refused(text):
    """Before anything is written."""
    with pytest.raises(InputError, match="fits none"):
        AppliesTo.from_text(text)


@pytest.mark.parametrize("text", ["!=5", "5;6", "a", ">=", "1-2-3", "<<5", "><5", "-5", "5-"])
def test_conditions_that_nobody_understands_are_refused(text):
    """With an example of one that is."""
    with pytest.raises(InputError, match="58882-58890"):
        AppliesTo.from_text(text)


def test_foreign_keys_stay(store, tiny_draft):
    """A key that a later SNAPRed writes is not ours to drop."""
    entries = [{**entry, "colour": "red"} for entry in index_of(store)]
    store.index_path.write_text(json.dumps(entries))
    publish(store.home, store.settings, tiny_draft, Progress())
    assert [entry.get("colour") for entry in index_of(store)] == ["red", "red", None]
