"""The ledger follows what the user does to the session's workspaces by hand."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.types import PixelMask
from snapcal_workbench.hosts.embedded import EmbeddedWorkspaces
from snapcal_workbench.session.iterations.ledger import Ledger


def mask() -> PixelMask:
    return PixelMask.none(np.arange(4, dtype=np.int32))


@pytest.fixture
def workspaces() -> EmbeddedWorkspaces:
    return EmbeddedWorkspaces()


@pytest.fixture
def ledger(workspaces: EmbeddedWorkspaces) -> Ledger:
    ledger = Ledger(workspaces)
    with ledger.writing():
        for name in ("a", "b"):
            workspaces.write(name, mask())
        workspaces.write("both", ("a", "b"))
    ledger.add("iteration 1", {"first": "a", "second": "b", "group": "both", "never made": "c"})
    return ledger


def test_only_what_exists_is_remembered(ledger: Ledger) -> None:
    assert ledger.names("iteration 1") == {"first": "a", "second": "b", "group": "both"}


def test_a_rename_by_hand_is_followed_and_told_once(ledger: Ledger, workspaces: EmbeddedWorkspaces) -> None:
    workspaces.rename("a", "mine")
    assert ledger.names("iteration 1")["first"] == "mine"
    assert any("'a' is now called 'mine'" in text for text in ledger.remarks())
    assert ledger.remarks() == []


def test_a_workspace_overwritten_by_hand_is_never_deleted(ledger: Ledger, workspaces: EmbeddedWorkspaces) -> None:
    workspaces.write("a", mask())
    ledger.delete("iteration 1")
    assert workspaces.names() == ["a", "both"]
    assert workspaces.read("both", tuple) == ("a",)


def test_what_the_user_made_or_put_into_the_group_stays(ledger: Ledger, workspaces: EmbeddedWorkspaces) -> None:
    workspaces.write("mine", mask())
    with ledger.writing():
        workspaces.write("both", ("a", "b", "mine"))
    ledger.delete("iteration 1")
    assert "mine" in workspaces.names()
    assert not {"a", "b"} & set(workspaces.names())


def test_a_deletion_by_hand_is_told(ledger: Ledger, workspaces: EmbeddedWorkspaces) -> None:
    workspaces.delete("a")
    assert "first" not in ledger.names("iteration 1")
    assert any("'a' was deleted by hand" in text for text in ledger.remarks())


def test_clearing_the_list_by_hand_forgets_everything(ledger: Ledger, workspaces: EmbeddedWorkspaces) -> None:
    workspaces.clear()
    assert ledger.names() == {}
    assert any("cleared" in text for text in ledger.remarks())


def test_renaming_leaves_names_that_others_have(ledger: Ledger, workspaces: EmbeddedWorkspaces) -> None:
    workspaces.write("a_01", mask())
    ledger.rename("iteration 1", {"first": "a_01", "second": "b_01"})
    assert ledger.names("iteration 1") == {"first": "a", "second": "b_01", "group": "both"}
    assert ledger.remarks() == []
