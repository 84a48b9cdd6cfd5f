"""Verify finds what is wrong in a tree and writes nothing; repair says what it would do, and does it after a backup."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import h5py
import pytest

from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk.locks import HOLDER
from snapcal_workbench.store.disk.owner import Owner
from snapcal_workbench.store.layout import BACKUPS, TEMPORARY_INDEX, staging_folder
from snapcal_workbench.store.publish import publish
from snapcal_workbench.store.upkeep.repair import repair
from snapcal_workbench.store.upkeep.verify import verify_tree

pytestmark = pytest.mark.usefixtures("small_instrument")


def dead_owner():
    """A process of this host that has ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return replace(Owner.current(), pid=pid)


def files_of(root):
    """Every file with its bytes."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def messages(store):
    """What verify says."""
    return [finding.message for finding in verify_tree(store.settings)]


@pytest.fixture
def tiny_store(fresh_store, tiny_draft):
    """A store with the default and three versions."""
    store = fresh_store()
    for _ in range(3):
        publish(store.home, store.settings, tiny_draft, Progress())
    return store


def edit_index(store, change):
    """Change the JSON value of the index."""
    index = json.loads(store.index_path.read_text())
    store.index_path.write_text(json.dumps(change(index) or index))


def test_nothing_is_wrong_with_what_we_write(tiny_store, few_pixels):
    """Whole versions, small ones and retired ones."""
    tiny_store.save(few_pixels, author="a", comments="c")
    tiny_store.retire(2, "r", "a")
    assert messages(tiny_store) == []
    assert repair(tiny_store.settings) == []


def break_table(store):
    with h5py.File(store.home / "v_0001" / "diffract_consts_058882_v0001.h5", "r+") as file:
        file["calibration/difc"][3] = -1.0


def break_record(store):
    (store.home / "v_0001" / "CalibrationRecord.json").write_text("{")


def change_number(store):
    path = store.home / "v_0001" / "CalibrationParameters.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))


def rename_table(store):
    path = store.home / "v_0001" / "CalibrationRecord.json"
    path.write_text(path.read_text().replace('"diffract_consts_058882_v0001"', '"diffract_consts_058882_v1"'))


def change_copy(store):
    path = store.home / "v_0001" / "record_as_saved.json"
    path.write_text(path.read_text().replace("58882", "58883", 1))


def add_file(store):
    (store.home / "v_0001" / "notes.txt").write_text("x")


def link_file(store):
    (store.home / "v_0001" / "link").symlink_to("/etc/passwd")


def remove_version(store):
    shutil.rmtree(store.home / "v_0001")


def change_author(store):
    edit_index(store, lambda index: index[1].update(author="somebody else"))


@pytest.mark.parametrize(
    ("damage", "sign"),
    [
        (break_table, "diffract_consts_058882_v0001.h5 was changed"),
        (break_table, "positive DIFC"),
        (break_record, "CalibrationRecord.json cannot be read"),
        (change_number, "CalibrationParameters.json is of version 2"),
        (rename_table, "diffCalTable[0] is 'diffract_consts_058882_v1', was"),
        (change_copy, "record_as_saved.json was changed"),
        (add_file, "notes.txt was added"),
        (link_file, "link is a symbolic link"),
        (remove_version, "Version 1, saved at"),
        (remove_version, "its folder is missing"),
        (change_author, "author is 'somebody else' in the index"),
    ],
)
def test_damage_is_found(tiny_store, damage, sign):
    """Each kind of damage has a sentence, once; looking changes nothing."""
    damage(tiny_store)
    before = files_of(tiny_store.settings.powder_home)
    assert sum(sign in message for message in messages(tiny_store)) == 1
    assert files_of(tiny_store.settings.powder_home) == before


def test_one_state_can_be_verified_alone(tiny_store):
    """Other states are not looked at; an id that is none is refused."""
    break_record(tiny_store)
    for look in (verify_tree, repair):
        with pytest.raises(NotFoundError, match="no state"):
            look(tiny_store.settings, "0" * 16)
    assert verify_tree(tiny_store.settings, tiny_store.state_id) != []
    with pytest.raises(InputError):
        verify_tree(tiny_store.settings, "../..")


def lose_index(store):
    store.index_path.unlink()


def cut_index(store):
    store.index_path.write_bytes(store.index_path.read_bytes()[:200])


def drop_entry(store):
    edit_index(store, lambda index: index.pop(2) and index)


def null_condition(store):
    edit_index(store, lambda index: index[1].update(appliesTo=None))


def short_timestamp(store):
    edit_index(store, lambda index: index[1].update(timestamp=index[1]["timestamp"][:23] + "+0000"))


def odd_timestamp(store):
    edit_index(store, lambda index: index[1].update(timestamp="yesterday"))


def repeat_entry(store):
    edit_index(store, lambda index: index.append(index[1]))


def add_phantom(store):
    edit_index(store, lambda index: index.append({**index[1], "version": 9}))


def add_rubbish(store):
    edit_index(store, lambda index: index.append("rubbish"))


def leave_staging(store):
    (store.home / staging_folder(4, dead_owner())).mkdir()


def leave_index(store):
    (store.home / TEMPORARY_INDEX).write_text("[")


def leave_lock(store):
    (store.home / HOLDER).symlink_to(str(dead_owner()))


@pytest.mark.parametrize(
    "damage",
    [
        lose_index,
        cut_index,
        drop_entry,
        null_condition,
        short_timestamp,
        odd_timestamp,
        repeat_entry,
        add_phantom,
        add_rubbish,
        leave_staging,
        leave_index,
        leave_lock,
    ],
)
def test_repair_says_then_does(tiny_store, damage):
    """Without --apply nothing changes; with it the tree verifies, and every version has its own condition again."""
    conditions = [entry.applies_to for entry in tiny_store.entries()]
    damage(tiny_store)
    home = tiny_store.home
    before = files_of(home)
    assert messages(tiny_store) != []
    planned = repair(tiny_store.settings)
    assert len(planned) == 1
    assert not planned[0].done
    assert files_of(home) == before
    damaged = before.get(tiny_store.index_path)
    assert [action.what for action in repair(tiny_store.settings, apply=True)] == [action.what for action in planned]
    assert messages(tiny_store) == []
    assert [entry.applies_to for entry in tiny_store.entries()] == conditions
    if "ndex" in planned[0].what and damaged and damage is not leave_index:
        (kept,) = (home / BACKUPS).rglob("CalibrationIndex.json")
        assert kept.read_bytes() == damaged
    assert repair(tiny_store.settings) == []


def test_of_a_tree_that_is_not_there_nothing_is_said(tiny_store):
    """A disk that is not mounted is not a tree in which nothing is wrong."""
    shutil.move(tiny_store.settings.calibration_home, f"{tiny_store.settings.calibration_home} of before")
    for look in (verify_tree, repair):
        with pytest.raises(NotFoundError, match="no tree"):
            look(tiny_store.settings)


def let_it_apply_again(index):
    """As an index that a broken-off retirement left behind."""
    index[1].update(appliesTo=">=58882")


def drop_a_comment(index):
    del index[2]["comments"]


@pytest.mark.parametrize("change", [let_it_apply_again, drop_a_comment])
def test_what_a_repair_would_do_is_found(tiny_store, change):
    """Nothing is called right that a repair would change."""
    tiny_store.retire(1, "r", "a")
    edit_index(tiny_store, change)
    assert len(repair(tiny_store.settings)) == 1
    assert any("does not say of each version" in message for message in messages(tiny_store)), messages(tiny_store)
    repair(tiny_store.settings, apply=True)
    assert messages(tiny_store) == []


def test_a_repair_says_which_runs_a_version_takes_again(tiny_store):
    edit_index(tiny_store, lambda index: index[1].update(appliesTo="nonsense"))
    (action,) = repair(tiny_store.settings)
    assert "let version 1 apply to >=1 again" in action.what


def test_repair_never_touches_versions(tiny_store):
    """A damaged version is for people to decide on: it stays as it is and is still reported."""
    break_record(tiny_store)
    cut_index(tiny_store)
    before = {path: data for path, data in files_of(tiny_store.home).items() if "v_0" in str(path)}
    repair(tiny_store.settings, apply=True)
    assert before.items() <= files_of(tiny_store.home).items()
    assert any("v_0001" in message for message in messages(tiny_store))


def test_repair_keeps_a_retirement(tiny_store):
    """An index made anew mirrors the retirements."""
    tiny_store.retire(2, "r", "a")
    lose_index(tiny_store)
    repair(tiny_store.settings, apply=True)
    assert json.loads(tiny_store.index_path.read_text())[2]["appliesTo"] == "<0"


@pytest.mark.parametrize("change", [{"host": "other"}, {}])
def test_what_others_may_be_using_is_left_to_them(tiny_store, change):
    """A version that another host, or a live process, is building is reported with its owner, not moved."""
    path = tiny_store.home / staging_folder(4, replace(Owner.current(), **change))
    path.mkdir()
    assert any("Version 4 is being built by process" in message for message in messages(tiny_store))
    assert repair(tiny_store.settings, apply=True) == []
    assert path.is_dir()


def test_every_repair_is_in_the_audit_log(tiny_store):
    """What was done, and where the backup is."""
    cut_index(tiny_store)
    repair(tiny_store.settings, apply=True)
    last = json.loads((tiny_store.home / "audit.jsonl").read_text().splitlines()[-1])
    assert last["action"] == "repair"
    assert (tiny_store.home / last["backup"]).is_dir()


def test_torn_lines_are_passed_over_and_reported(tiny_store):
    """The beginning of a line that a crash left; the next line is whole."""
    audit = tiny_store.home / "audit.jsonl"
    audit.write_bytes(audit.read_bytes()[:-30])
    tiny_store.retire(1, "r", "a")
    assert json.loads(audit.read_text().splitlines()[-1])["action"] == "retire"
    assert sum("is not whole" in message for message in messages(tiny_store)) == 1
