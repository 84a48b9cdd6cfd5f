"""Batches with real workers: one of them killed, one short of memory; and each version saved only once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from typer.testing import CliRunner

from snapcal_workbench.batch.board import Standing
from snapcal_workbench.batch.cluster import Cluster
from snapcal_workbench.batch.plan import Plan, plan_of_runs
from snapcal_workbench.batch.results import Failure, Result, finished
from snapcal_workbench.batch.running import Outcome, run_batch
from snapcal_workbench.batch.saving import Saving
from snapcal_workbench.batch.worker import STOP, calibrated, task_folder
from snapcal_workbench.cli.app import app
from snapcal_workbench.cli.batch import _show as show_outcome
from snapcal_workbench.errors import Cancelled, InputError, NotFoundError
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.references import open_version
from tests.support import copy_tree

QUICK = {
    "calibrant": "Silicon_NIST_640d_001",
    "grouping": "Column",
    "pixels.skip": True,
    "groups.method": "peaks",
    "groups.repeats": 1,
}
"""Inputs of a calibration of about a second."""
VARIED = {"groups.model": ["DIFC", "DIFC+TZERO"]}
DASK_PORT = 8787
"""Of the page that Dask shows of itself."""
SAVING = Saving("best-usable", "tester", "a study")


@dataclass
class Killer:
    """Kills the worker that is the first to work on a task, while it does; remembers all that it was told."""

    told: list[Standing] = field(default_factory=list)
    victim: int = 0

    def __call__(self, standing: Standing) -> None:
        self.told.append(standing)
        if not self.victim and standing.stage == "running" and standing.fraction > 0.0:
            self.victim = int(standing.worker.rsplit(":")[-1])
            os.kill(self.victim, signal.SIGKILL)


@dataclass(frozen=True)
class Study:
    """A study that has lost a worker and has a task that cannot be done, and the page of its first end."""

    tree: SimulatedTree
    plan: Plan
    folder: Path
    killer: Killer
    outcome: Outcome
    page: str
    told: tuple[str, ...]


def versions(settings: Settings) -> list[Path]:
    return sorted(path for path in settings.powder_home.glob("*/**/v_*") if path.name != "v_0000" and path.is_dir())


@pytest.fixture(scope="module")
def study(calibrated_tree: SimulatedTree, tmp_path_factory: pytest.TempPathFactory) -> Study:
    tree = copy_tree(calibrated_tree, tmp_path_factory.mktemp("study") / "tree")
    plan = plan_of_runs(["58882", "58883"], QUICK, VARIED, tree.settings, name="terms")
    folder, killer = tree.directory / "batch", Killer()
    cluster = Cluster.of(tree.settings, workers=2, memory=1.5)
    with socket.socket() as taken, warnings.catch_warnings(record=True) as told:
        with suppress(OSError):  # another one has it
            taken.bind(("", DASK_PORT))
            taken.listen()
        warnings.simplefilter("always")
        outcome = run_batch(plan, tree.settings, folder, cluster, saving=SAVING, on_change=killer)
    page = outcome.page.read_text()
    return Study(tree, plan, folder, killer, outcome, page, tuple(str(warning.message) for warning in told))


def test_another_batch_on_the_machine_disturbs_nobody(study: Study) -> None:
    assert not [text for text in study.told if "Port" in text or "cluster" in text]


def test_the_task_of_a_killed_worker_is_repeated(study: Study) -> None:
    assert study.killer.victim
    assert not psutil.pid_exists(study.killer.victim)
    lost = [standing for standing in study.outcome.standings if standing.lost]
    assert len(lost) == 1
    assert isinstance(lost[0].outcome, Result)
    assert lost[0].outcome.iteration == 2, "the first number is the dead worker's claim"
    assert int(lost[0].outcome.worker.rsplit(":")[-1]) != study.killer.victim


def test_a_task_that_fails_stops_no_other_and_says_why(study: Study) -> None:
    stages = {standing.task.label: standing.stage for standing in study.outcome.standings}
    assert list(stages.values()) == ["done", "done", "failed", "failed"]
    failures = study.outcome.failures
    assert {failure.kind for failure in failures} == {"NotFoundError"}
    assert all("58883" in failure.text and failure.exit_code == 3 for failure in failures)


def test_the_study_finds_the_term_that_the_run_needs(study: Study) -> None:
    """The simulated run has a time offset of -8 us, which one DIFC a group cannot follow."""
    without, with_offset = (study.outcome.scores[task.key] for task in study.plan.tasks[:2])
    assert with_offset.best
    assert not without.as_good
    assert with_offset.error_ppm < without.error_ppm


def test_only_the_best_is_saved_and_says_where_it_is_from(study: Study) -> None:
    (path,) = versions(study.tree.settings)
    saved = [standing for standing in study.outcome.standings if standing.version]
    assert [standing.task.key for standing in saved] == [study.plan.tasks[1].key]
    version = open_version(study.tree.settings, saved[0].version)
    assert version.path == path
    assert version.entry.comments is not None
    assert version.entry.comments.startswith("a study\nBatch: 58882, groups.model = DIFC+TZERO. Error ")
    assert (path / "report.html").is_file()


def test_the_shell_says_which_runs_a_saved_version_takes(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    show_outcome(study.outcome, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    version = study.outcome.standings[1].version
    assert f"58882, groups.model = DIFC+TZERO, saved as {version}: It applies to >=58882: it takes run 58882" in shown
    assert f"saved as {version}: It takes all runs from 58882 on from the default." in shown


def test_the_page_holds_every_task_and_the_comparison(study: Study) -> None:
    page = study.page
    for standing in study.outcome.standings:
        assert standing.task.label in page
        assert not standing.version or standing.version in page
    assert "the smallest error is left by 58882, groups.model = DIFC+TZERO" in page
    assert "Run 58883 was not found" in page
    assert "1 tasks were repeated because their worker was lost" in page
    assert page.count("data:image/png;base64,") == 1
    assert "at most 1.50 GiB of memory" in page


def test_started_again_it_repeats_and_saves_nothing_twice(study: Study) -> None:
    """Not even when the leader died after it had published a version and before it could note it."""
    before = versions(study.tree.settings)
    (noted,) = study.folder.glob("tasks/*/saved.json")
    noted.unlink()
    plan = Plan("terms", study.plan.tasks[:2])
    nobody = Cluster("scheduler", 0, 0, 1, "tcp://127.0.0.1:1", study.tree.settings)
    again = run_batch(plan, study.tree.settings, study.folder, nobody, saving=SAVING)
    assert [standing.kept for standing in again.standings] == [True, True]
    assert versions(study.tree.settings) == before
    assert again.standings[1].version == study.outcome.standings[1].version
    assert again.standings[1].effect == (), "it takes nothing now"


def test_what_is_saved_is_not_taken_for_saved_for_other_runs(study: Study) -> None:
    nobody = Cluster("scheduler", 0, 0, 1, "tcp://127.0.0.1:1", study.tree.settings)
    plan, other = Plan("terms", study.plan.tasks[:2]), replace(SAVING, applies_to=">=58890")
    again = run_batch(plan, study.tree.settings, study.folder, nobody, saving=other)
    (failure,) = again.unsaved.values()
    assert "saved already" in failure.text
    assert ">=58882, and now --applies-to >=58890" in failure.text
    run_batch(plan, study.tree.settings, study.folder, nobody, saving=SAVING)


def test_a_cancelled_batch_ends_its_workers(small_tree: SimulatedTree, tmp_path: Path) -> None:
    """In this process, with a task of no run; the long form sends Ctrl-C to the command, and starts it again."""
    workers: list[int] = []
    plan = plan_of_runs(["99999"], QUICK, {}, small_tree.settings)
    cluster = Cluster.of(small_tree.settings, workers=1, memory=1.5)
    cancelling = Progress(is_cancelled=lambda: bool(workers))

    def change(standing: Standing) -> None:
        if standing.worker:
            workers.append(int(standing.worker.rsplit(":")[-1]))

    with pytest.raises(Cancelled):
        run_batch(plan, small_tree.settings, tmp_path, cluster, on_change=change, progress=cancelling)
    assert workers
    assert not psutil.pid_exists(workers[0])
    assert (tmp_path / STOP).exists(), "workers that are not ours see that they are to end"
    with FileLock(tmp_path / "lock", timeout=0):
        pass


def test_two_workers_that_do_one_task_agree(study: Study, tmp_path: Path) -> None:
    """As when a worker seemed lost and was not: the iteration that was finished first counts for both."""
    task = study.plan.tasks[0]
    first = finished(task_folder(study.folder, task))
    shutil.copytree(task_folder(study.folder, task), task_folder(tmp_path, task))
    second = calibrated(task, study.tree.settings, tmp_path, lambda item: None, "other")
    assert second == first
    (task_folder(tmp_path, task) / "result.json").unlink()
    found = finished(task_folder(tmp_path, task))
    assert found is not None
    assert first is not None
    assert (found.iteration, found.strain) == (first.iteration, first.strain)


def test_a_batch_is_led_by_one_process(study: Study) -> None:
    nobody = Cluster("scheduler", 0, 0, 1, "tcp://127.0.0.1:1", study.tree.settings)
    with FileLock(study.folder / "lock"), pytest.raises(InputError, match="led by one process"):
        run_batch(study.plan, study.tree.settings, study.folder, nobody)


def test_what_cannot_be_done_is_said_before_anything_is_begun(small_tree: SimulatedTree, tmp_path: Path) -> None:
    def told(*arguments: str, code: int = InputError.exit_code) -> str:
        command = ["--config", str(small_tree.config_path), "batch", "58882", *arguments, "--json"]
        ended = CliRunner().invoke(app, command)
        assert ended.exit_code == code, ended.output
        return json.loads(ended.stdout)["error"]["what"]

    assert "a rule" in told("--save", "all")
    assert "memory" in told("--memory", "0.01")
    assert "needs a calibrant" in told()
    assert "no calibrant 'Nope'" in told("--calibrant", "Nope", code=NotFoundError.exit_code)
    assert "fit some run" in told("--save", "good", "--applies-to", "58882,58890")
    assert "Without --save" in told("--applies-to", ">=58882")
    assert "tcp://HOST:PORT" in told("--scheduler", "nonsense")
    assert "stands alone" in told("plan.toml")
    assert not (small_tree.settings.session_directory.parent / "batches").exists()


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"snapcal-workbench\[batch\]"):
        Cluster.of(Settings())


@pytest.mark.long
def test_a_worker_that_needs_more_memory_than_it_may_use_is_ended(small_tree: SimulatedTree) -> None:
    """The bound is kept by the nanny; the task is given up after three workers, and says why."""
    plan = plan_of_runs(["58882"], {**QUICK, "pixels.skip": False}, {}, small_tree.settings)
    cluster = Cluster.of(small_tree.settings, workers=1, memory=0.3)
    outcome = run_batch(plan, small_tree.settings, small_tree.directory / "batch", cluster)
    (failure,) = outcome.failures
    assert isinstance(failure, Failure)
    assert failure.kind == "KilledWorker"
    assert "--memory" in failure.fix
