"""The panel's state goes into a project and comes back."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from snapcal_workbench.manifest import InterfaceEntry, NotOfferedError
from snapcal_workbench.panel.project import NotReadableError, add_to_workbench, coders

ENTRY = InterfaceEntry(title="t", category="c", object="a:b", window_class="Window")


class Window:
    """What the coders need of the panel's window."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.state = state or {}

    def get_state(self) -> dict[str, Any]:
        return self.state

    def set_state(self, state: dict[str, Any]) -> None:
        self.state = state


def test_a_saved_state_comes_back_in_a_window_that_is_opened_for_it() -> None:
    encoder, decoder = coders(ENTRY, Window)
    saved = json.loads(json.dumps(encoder().encode(Window({"runs": "58882"}), "/project")))
    assert decoder().decode(saved, "/project").state == {"runs": "58882"}


def test_the_window_is_known_by_its_class_in_old_and_new_workbench() -> None:
    both: tuple[Any, ...] = coders(ENTRY, Window)
    for coder in both:
        assert coder.has_tag("Window")
        assert not coder.has_tag("Other")
        assert coder.tags() == ["Window"]
        assert "Window" in coder.tags


@pytest.mark.skipif(importlib.util.find_spec("mantidqt") is not None, reason="there it has the factories")
def test_a_workbench_without_the_factories_is_no_fault() -> None:
    with pytest.raises(NotOfferedError, match="do not save windows of plugins"):
        add_to_workbench(ENTRY, Window)


def test_a_state_of_another_version_is_refused() -> None:
    _, decoder = coders(ENTRY, Window)
    with pytest.raises(NotReadableError, match="version 99"):
        decoder().decode({"encoder_version": 99, "state": {}})


def test_a_panel_that_cannot_be_opened_is_no_error_of_the_project() -> None:
    encoder, decoder = coders(ENTRY, lambda: None)
    assert decoder().decode(encoder().encode(Window())) is None
