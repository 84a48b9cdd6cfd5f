"""Several sessions share one folder: numbers are claimed, nothing is lost, and what cannot be read hinders nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from snapcal_workbench.calibration.types import PixelMask
from snapcal_workbench.cli.app import app
from snapcal_workbench.errors import Cancelled, FileFormatError, StoreError
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.references import open_version
from tests.support import copy_tree

RUN = "58882"


@pytest.fixture
def tree(calibrated_tree: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    return copy_tree(calibrated_tree, tmp_path / "tree")


@pytest.fixture
def session(tree: SimulatedTree) -> Iterator[Session]:
    session = Session(EmbeddedHost(tree.settings))
    yield session
    session.close()


def change_record(session: Session, number: int, **changes: Any) -> Path:
    """Write other content into an iteration's file, as another release would."""
    path = session.folders.path(number) / "iteration.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), encoding="utf-8")
    return path


def break_iteration(session: Session, number: int, how: str) -> str:
    """Make an iteration unreadable; returns what must be said of it."""
    path = session.folders.path(number) / "iteration.json"
    content = json.loads(path.read_text("utf-8"))
    if how == "unknown option":
        content["request"]["options"]["pixels"]["magic"] = 1
        path.write_text(json.dumps(content), encoding="utf-8")
        return "request.options.pixels.magic"
    if how == "newer format":
        change_record(session, number, format=99)
        return "its format is 99"
    path.write_bytes(path.read_bytes()[:100])
    return "JSON"


@pytest.mark.parametrize("how", ["unknown option", "newer format", "cut short"])
def test_an_iteration_that_cannot_be_read_is_listed_and_hinders_nothing(
    tree: SimulatedTree, session: Session, how: str
) -> None:
    reason = break_iteration(session, 2, how)
    assert [iteration.number for iteration in session.iterations] == [1]
    (unreadable,) = session.unreadable
    assert unreadable.number == 2
    assert len(unreadable.started) > 15
    if how != "cut short":
        assert reason in unreadable.why
    with pytest.raises(FileFormatError, match="Iteration 2"):
        session.iteration(2)
    warnings: list[str] = []
    done = session.iterate({"pixels.skip": True}, Progress().remembering(warnings), report=False)
    assert done.number == 3
    assert any("iteration 1" in text for text in warnings)
    listed = CliRunner().invoke(app, ["--config", str(tree.config_path), "iterations"])
    assert listed.exit_code == 0
    assert "cannot be read" in listed.stdout
    shown = CliRunner().invoke(app, ["--config", str(tree.config_path), "iterations", "--json"])
    assert [item["number"] for item in json.loads(shown.stdout)] == [1, 3, 2]
    session.remove(2)
    assert session.unreadable == []


def test_what_another_release_wrote_beside_survives_a_new_label(session: Session) -> None:
    path = change_record(session, 2, mood="good")
    session.label(2, "the better one")
    content = json.loads(path.read_text("utf-8"))
    assert content["mood"] == "good"
    assert content["label"] == "the better one"


def test_results_in_a_newer_format_are_named_as_such(session: Session) -> None:
    with h5py.File(session.folders.path(1) / "values.h5", "r+") as file:
        file.attrs["format"] = "snapcal values 99"
    with pytest.raises(FileFormatError, match="99"):
        session.folders.values(1)


def test_a_number_is_claimed_by_one_alone(tmp_path: Path) -> None:
    def claims(_: int) -> list[int]:
        return [IterationFolders(tmp_path / "session").claim() for _ in range(25)]

    with ThreadPoolExecutor(8) as pool:
        numbers = sorted(number for found in pool.map(claims, range(8)) for number in found)
    assert numbers == list(range(1, 201))


def test_a_session_folder_that_cannot_be_written_is_said_before_the_work(session: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    other = Session(session.host, tmp_path / "file" / "session")
    request = session.iteration(1).request
    said = [problem for problem in other.check(request) if problem.severity == "error"]
    assert [problem.field for problem in said] == ["session"]
    assert "must be writable" in said[0].message
    assert "session_directory" in said[0].fix
    with pytest.raises(StoreError, match="must be writable"):
        other.calibrate(request, Progress())
    assert session.host.workspaces.names() == []


@pytest.mark.parametrize(
    "models", [("DIFC+DIFA",), pytest.param(("DIFC", "DIFC+DIFA", "DIFC+DIFA+TZERO"), marks=pytest.mark.long)]
)
def test_calibrations_at_once_are_all_kept_and_each_is_saved_as_itself(
    tree: SimulatedTree, session: Session, models: tuple[str, ...]
) -> None:
    """The panel's session in this process, and shells, all in the same folder at the same time."""
    command = [sys.executable, "-m", "snapcal_workbench.cli", "--config", str(tree.config_path)]
    shared = ["--grouping", "Column", "--skip-pixels", "--no-report", "--json", "--calibrant", "Silicon_NIST_640d_001"]
    shells = [
        subprocess.Popen([*command, "calibrate", RUN, *shared, "--model", model], stdout=subprocess.PIPE, text=True)
        for model in models
    ]
    own = session.iterate({"groups.model": "DIFC+TZERO", "pixels.skip": True}, Progress(), report=False)
    told = [json.loads(shell.communicate(timeout=200)[0]) for shell in shells]
    assert sorted([own.number, *(each["number"] for each in told)]) == [3 + i for i in range(1 + len(models))]
    expected = {each["number"]: model for each, model in zip(told, models, strict=True)} | {own.number: "DIFC+TZERO"}
    for number, model in expected.items():
        assert session.iteration(number).request.options.groups.model == model
        saved = session.save(number, author="tester", comments=f"iteration {number}")
        stored = open_version(tree.settings, f"{RUN}:{saved.version}")
        assert stored.record.own is not None
        options: Any = stored.record.own.options
        assert options["groups"]["model"] == model
        np.testing.assert_array_equal(stored.table.difc, session.folders.values(number)["table"].difc)


@pytest.mark.parametrize(
    ("fraction", "changes"),
    [
        (0.1, {"lite": False}),  # while another run is loaded
        (0.2, {"pixels.skip": False}),
        # while the result is assessed
        (0.92, {"groups.model": "DIFC", "masks": ("mine",), "inherit_mask": True, "start_from": "1"}),
    ],
)
def test_a_cancelled_calibration_leaves_workspaces_and_names_as_they_were(
    session: Session, fraction: float, changes: dict[str, Any]
) -> None:
    session.iterate({"pixels.skip": True}, Progress(), report=False)
    session.host.workspaces.write("mine", PixelMask.none(np.arange(18432, dtype=np.int32)))
    workspaces: Any = session.host.workspaces
    read = workspaces._values.copy  # the values themselves, to be compared by identity
    before, reached = read(), [0.0]
    progress = Progress(on_report=lambda f, _: reached.append(f), is_cancelled=lambda: max(reached) >= fraction)
    with pytest.raises(Cancelled):
        session.iterate(changes, progress, report=False)
    after = read()
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert session.remarks() == []
    assert session.folders.next_number() == 4


def test_cancelling_while_the_report_is_drawn_keeps_the_calibration(session: Session) -> None:
    reached = [0.0]
    progress = Progress(on_report=lambda f, _: reached.append(f), is_cancelled=lambda: max(reached) > 0.9)
    done = session.iterate({"pixels.skip": True}, progress)
    assert session.iteration(done.number).number == 3
    assert not (session.folders.report(done.number) / "report.html").is_file()
