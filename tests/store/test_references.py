"""Versions are named STATE/N or RUN:N, with the mode where both have one."""

from __future__ import annotations

import pytest

from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.store.references import Reference, locate, open_version, parse_reference
from snapcal_workbench.store.state_store import StateStore

STATE = "04bd2c53f6bf6754"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{STATE}/3", Reference(3, STATE)),
        (f"native/{STATE}/3", Reference(3, STATE, mode="native")),
        (f" lite/{STATE.upper()}/v0012 ", Reference(12, STATE, mode="lite")),
        ("58882:3", Reference(3, run="58882")),
        ("native/58882:v_0003", Reference(3, run="58882", mode="native")),
        ("lite//data/SNAP_58882.nxs.h5:3", Reference(3, run="/data/SNAP_58882.nxs.h5", mode="lite")),
        ("/data/SNAP_58882.nxs.h5:3", Reference(3, run="/data/SNAP_58882.nxs.h5")),
    ],
)
def test_references_are_parsed(text, expected):
    """State id or run, with or without a mode."""
    assert parse_reference(text) == expected


@pytest.mark.parametrize("text", ["", "3", "58882", "58882:", f"{STATE}/", f"../{STATE}/3", f"{STATE}/-1", "x/3"])
def test_other_texts_are_refused(text):
    """The message says how to write one."""
    with pytest.raises(InputError, match="STATE/N or RUN:N"):
        parse_reference(text)


def test_version_is_opened_by_state_and_by_run(store, keep):
    """The state of a run comes from a function, by default from the run's file."""
    keep()
    assert open_version(store.settings, f"{STATE}/1").entry.version == 1
    assert open_version(store.settings, "58882:1", state_of_run=lambda run: STATE).path.name == "v_0001"
    with pytest.raises(NotFoundError):
        open_version(store.settings, "58882:1")


@pytest.mark.parametrize("text", [f"{STATE}/7", f"native/{STATE}/1", "0000000000000000/1"])
def test_version_that_is_not_there(store, keep, text):
    """Another number, the other mode, or another state."""
    keep()
    with pytest.raises(NotFoundError, match="versions"):
        open_version(store.settings, text)


def test_mode_is_asked_for_where_both_have_the_number(leveled, contents):
    """Version 0 is in both modes, version 1 in one."""
    StateStore(leveled, STATE, SNAP.lite).save(contents, author="a", comments="c")
    with pytest.raises(InputError, match=f"lite/{STATE}/0 or native/{STATE}/0"):
        locate(leveled, f"{STATE}/0")
    assert locate(leveled, f"native/{STATE}/0")[0].mode is SNAP.native
    found, number = locate(leveled, f"{STATE}/1")
    assert (found.mode, number) == (SNAP.lite, 1)
