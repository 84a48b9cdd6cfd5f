"""A state is initialised whole or not at all, as SNAPRed would have it."""

from __future__ import annotations

import errno
import itertools
import json
import os

import numpy as np
import pytest

from snapcal_workbench.errors import Cancelled, FileFormatError, InputError, NotFoundError, StoreError
from snapcal_workbench.formats.disk import writing
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.layout import mode_level_of_tree, with_answer
from snapcal_workbench.store.state_init import init_state
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.upkeep.verify import verify_tree


def init(settings, state, progress=None):
    """Initialise the state of the tests."""
    return init_state(
        settings, state, name="tests", run_number="58882+58883", author="tester", progress=progress or Progress()
    )


def visible(folder):
    """Names in a folder that people see."""
    return sorted(path.name for path in folder.iterdir())


def test_default_is_the_geometry(store, state):
    """Version 0 is the lite default: DIFC of the undisturbed geometry, for every run, nothing masked."""
    stored = store.read(0)
    geometry = state.geometry(SNAP.lite)
    np.testing.assert_array_equal(stored.table.difc, geometry.difc)
    assert not stored.mask.masked.any()
    assert (stored.entry.version, stored.entry.applies_to, stored.entry.run_number) == (0, ">=0", "58882")
    assert stored.record.workspaces == {"diffCalTable": ["diffract_consts_default_v0"]}
    assert (stored.spectra, stored.fits, stored.pixel_results) == (None, None, None)
    assert verify_tree(store.settings) == []


def test_both_modes_get_their_default_with_the_level(leveled, state):
    """Lite and native, each with its own index; and the grouping map with the state's id."""
    folder = leveled.powder_home / state.state_id
    assert visible(folder) == ["groupingMap.json", "lite", "native"]
    assert json.loads((folder / "groupingMap.json").read_text())["stateId"] == state.state_id
    native = StateStore(leveled, state.state_id, SNAP.native)
    np.testing.assert_array_equal(native.read(0).table.difc, state.geometry(SNAP.native).difc)


def test_second_initialisation_is_refused(store, state):
    """What is there is kept."""
    before = store.index_path.read_bytes()
    with pytest.raises(InputError, match="already"):
        init(store.settings, state)
    assert store.index_path.read_bytes() == before


@pytest.mark.parametrize("call", range(1, 40, 3))
def test_full_disk_leaves_nothing(settings, state, monkeypatch, call):
    """Whenever the disk is full the state is not there, nothing is left, and it can be initialised later."""
    calls = []

    def failing(module, name):
        original = getattr(module, name)

        def wrapper(*args):
            calls.append(name)
            if len(calls) >= call:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))
            return original(*args)

        return wrapper

    before = visible(settings.powder_home)
    with monkeypatch.context() as patch:
        for name in ("append", "make_directory", "make_link", "publish", "sync_file"):
            patch.setattr(fs, name, failing(fs, name))
        for name in ("write_new", "sync_file"):
            patch.setattr(writing, name, failing(writing, name))
        try:
            init(settings, state)
        except StoreError as error:
            assert "space" in str(error).lower()  # noqa: PT017 - a late call is never reached
            assert visible(settings.powder_home) == before
            patch.undo()
            init(settings, state)
    assert verify_tree(settings) == []


@pytest.mark.parametrize("after", range(6))
def test_cancelling_leaves_nothing(settings, state, after):
    """At any of the moments at which it is asked."""
    asked = itertools.count()
    before = visible(settings.powder_home)
    try:
        init(settings, state, Progress(is_cancelled=lambda: next(asked) >= after))
    except Cancelled:
        assert visible(settings.powder_home) == before


def test_state_that_was_begun_is_completed(leveled, state):
    """What another program left half-way is completed, and what is there is kept."""
    folder = leveled.powder_home / state.state_id
    kept = (folder / "lite" / "diffraction" / "CalibrationIndex.json").read_bytes()
    for path in (folder / "native" / "diffraction").glob("v_0000/*"):
        path.unlink()
    (folder / "native" / "diffraction" / "v_0000").rmdir()
    (folder / "native" / "diffraction" / "CalibrationIndex.json").unlink()
    (folder / "groupingMap.json").unlink()
    init(leveled, state)
    assert (folder / "lite" / "diffraction" / "CalibrationIndex.json").read_bytes() == kept
    assert (folder / "groupingMap.json").is_file()
    assert StateStore(leveled, state.state_id, SNAP.native).read(0).entry.version == 0


def test_state_without_default_map_is_refused(settings, state):
    """The message names the file; nothing is left."""
    (settings.pixel_groupings / "defaultGroupingMap.json").unlink()
    with pytest.raises(NotFoundError, match="defaultGroupingMap"):
        init(settings, state)
    assert visible(settings.powder_home) == ["PixelGroupingDefinitions"]


def test_odd_default_map_is_refused(settings, state):
    """A list in place of the map."""
    (settings.pixel_groupings / "defaultGroupingMap.json").write_text("[]")
    with pytest.raises(FileFormatError, match="JSON object"):
        init(settings, state)


@pytest.mark.parametrize("field", ["name", "author"])
def test_name_and_author_are_required(settings, state, field):
    """SNAPRed reads no null name."""
    given = {"name": "n", "author": "a", field: " "}
    with pytest.raises(InputError, match=field):
        init_state(settings, state, run_number="58882", progress=Progress(), **given)


def test_state_of_a_process_that_died_is_cleaned_up(settings, state):
    """The staging folder of a killed initialisation is removed by the next one."""
    pid = os.fork()
    if pid == 0:
        init(settings, state, Progress(on_report=lambda *_: os.kill(os.getpid(), 9)))
        os._exit(0)
    os.waitpid(pid, 0)
    assert any(name.startswith(".staging") for name in visible(settings.powder_home))
    assert any("being initialised" in finding.message for finding in verify_tree(settings))
    init(settings, state)
    assert visible(settings.powder_home) == [state.state_id, "PixelGroupingDefinitions"]


def told_while_initialising(settings, state):
    """What a user is told."""
    told = []
    init_state(
        settings,
        state,
        name="tests",
        run_number="58882",
        author="tester",
        progress=Progress(on_message=lambda level, message: told.append(message)),
    )
    return [message for message in told if "Today's SNAPRed" in message]


def test_the_layout_is_asked_for_once(settings, state):
    """At the first state of a tree, with a hint; the next follows it without a word."""
    other = state.model_copy(update={"id": state.id.model_copy(update={"hex": "e65700ae57929b7d"})})
    assert mode_level_of_tree(settings) is None
    assert len(told_while_initialising(settings, state)) == 1
    assert mode_level_of_tree(settings) is False
    assert told_while_initialising(settings, other) == []
    assert (settings.powder_home / "e65700ae57929b7d" / "diffraction" / "v_0000").is_dir()


def test_the_answer_of_the_first_state_holds_for_the_tree(settings, state):
    """With the level: the next state has it by itself, and the other answer is refused."""
    answered = with_answer(settings, True)
    assert told_while_initialising(answered, state) == []
    assert mode_level_of_tree(settings) is True
    with pytest.raises(InputError, match="with the mode level"):
        with_answer(settings, False)
    assert with_answer(settings, True).index_layout == "with mode level"
    assert with_answer(settings, None) is settings
