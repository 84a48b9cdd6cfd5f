"""A whole lite version, and the results of an iteration, on a real disk with little room: an error, never a crash."""

from __future__ import annotations

import shutil

import pytest

from snapcal_workbench.formats.values import write_values
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.options import Settings
from snapcal_workbench.store.state_store import StateStore
from tests.store.faults import NO_MOUNTS, REFUSED, SAVED, TOLD_SAVED, on_a_full_disk

ROOM = (4, 40, 200, 600, 1200, 2500)
"""Kilobytes, from a page to more than a version takes."""


def code_of(place, kilobytes, prepare):
    """How an action on a full disk ends."""
    code = on_a_full_disk(place, kilobytes, prepare)
    if code is None:
        pytest.skip("this system allows no mounts in a user namespace")
    assert code != NO_MOUNTS
    return code


@pytest.mark.parametrize("kilobytes", ROOM)
def test_a_version_on_a_full_disk(leveled_tree, quick_path, contents, kilobytes):
    """Refused with nothing changed, or saved; what is there is whole."""

    def prepare():
        shutil.copytree(leveled_tree, quick_path / "tree")
        settings = settings_of(quick_path / "tree")
        store = StateStore(settings, contents.state.state_id, SNAP.lite)

        def action():
            before = [entry.version for entry in store.entries()]
            try:
                store.save(contents, author="a", comments="c")
            finally:
                (quick_path / "filler").unlink()
                versions = [entry.version for entry in store.entries()]
                assert versions in (before, [*before, 1])
                assert all(store.read(version).entry.version == version for version in versions)
                store.save(contents, author="a", comments="once more")

        return action

    assert code_of(quick_path, kilobytes, prepare) in (SAVED, REFUSED, TOLD_SAVED)


def settings_of(root):
    """Settings of a tree with the mode level."""
    return Settings(calibration_home=root / "cal", ipts_root=root / "SNS", lock_directory=root / "locks")


@pytest.mark.parametrize("kilobytes", ROOM[:3])
def test_the_results_of_an_iteration_on_a_full_disk(quick_path, contents, kilobytes):
    """Refused, and the file of before is there; 600 kB would be enough for the new one."""
    values = {"mask": contents.mask, "results": contents.pixel_results, "table": contents.table}

    def prepare():
        path = quick_path / "values.h5"
        write_values(path, {"mask": contents.mask})
        before = path.read_bytes()

        def action():
            try:
                write_values(path, values)
            finally:
                assert path.read_bytes() == before

        return action

    assert code_of(quick_path, kilobytes, prepare) == REFUSED
