"""What the panel shows of what came of its jobs, without Qt: a real session, and a view that keeps it all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.panel.contract import Job
from snapcal_workbench.panel.presenter import Presenter
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.support import copy_tree


class KeepingView:
    """A view that runs jobs at once and keeps everything it is shown, by the name of the call."""

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.last_used: dict[str, str] = {}
        self.busy = False
        self.presenter: Presenter | None = None
        self.shown: dict[str, list[tuple[Any, ...]]] = {}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("show_", "set_", "ask_", "offer_", "remember", "log")):
            raise AttributeError(name)
        return lambda *values, **options: self.shown.setdefault(name, []).append((*values, *options.values()))

    def start_job(self, name: str, job: Job) -> None:
        """Run a job as the window does: what it returns goes to `finished`, an error to `failed`."""
        assert self.presenter is not None
        try:
            shown = job(Progress())
        except SnapcalError as error:
            self.presenter.failed(name, error)
        else:
            assert callable(shown)
            self.presenter.finished(shown)

    start_reading = start_aside = start_job

    def start_look(self, job: Job) -> None:
        """Looks are not of interest here."""

    def said(self, level: str) -> str:
        """Everything that was logged at a level."""
        return "\n".join(text for kind, text in self.shown.get("log", []) if kind == level)


@pytest.fixture
def view(calibrated_tree: SimulatedTree, tmp_path: Path) -> Iterator[KeepingView]:
    tree = copy_tree(calibrated_tree, tmp_path / "tree")
    session, view = Session(EmbeddedHost(tree.settings)), KeepingView()
    view.presenter = Presenter(view, session)
    view.presenter.begin()
    yield view
    session.close()


def test_results_are_shown_by_what_they_are_and_not_by_the_name_of_the_job(view: KeepingView) -> None:
    presenter = view.presenter
    assert presenter is not None
    presenter.select(2)
    (results,) = view.shown["show_results"][-1]
    assert results.iteration.number == 2
    presenter.compare(["1", "2"])
    (comparison,) = view.shown["show_comparison"][-1]
    assert [entry.label for entry in comparison.entries] == ["iteration 1", "iteration 2"]
    presenter.save(2, author="tester", comments="c", applies_to="")
    path, version = view.shown["show_saved"][-1]
    assert version == 1
    assert Path(path).name == "v_0001"
    presenter.load_baseline(f"{results.iteration.state_id}/1")
    name, table = view.shown["show_baseline"][-1]
    assert name.endswith("/1")
    assert len(table) == len(results.geometry)
    presenter.restore(1)
    assert "Done: restore the workspaces." in view.said("information")


def test_what_cannot_be_read_stands_in_the_list_and_showing_it_says_why(view: KeepingView) -> None:
    presenter = view.presenter
    assert presenter is not None
    (presenter.session.folders.path(1) / "iteration.json").write_text("{}", encoding="utf-8")
    presenter.label(2, "better")
    iterations, unreadable, _, _ = view.shown["show_iterations"][-1]
    assert [iteration.name for iteration in iterations] == ["better"]
    assert [other.number for other in unreadable] == [1]
    presenter.select(1)
    (error,) = view.shown["show_error"][-1]
    assert "format" in error.found
