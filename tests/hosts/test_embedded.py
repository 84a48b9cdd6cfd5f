"""The embedded host keeps what every host promises."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from snapcal_workbench.algorithms.base import Algorithm, Parameters
from snapcal_workbench.config import Settings
from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.hosts.embedded import EmbeddedHost, EmbeddedWorkspaces
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.protocol import Host, WorkspaceList

sys.path.insert(0, str(Path(__file__).parent))
from contract import WorkspaceListContract, mask


class TestEmbeddedWorkspaces(WorkspaceListContract):
    @pytest.fixture
    def workspaces(self) -> WorkspaceList:
        return EmbeddedWorkspaces()

    def test_many_threads_lose_no_workspace(self, workspaces: WorkspaceList) -> None:
        def write(first: int) -> None:
            for i in range(first, first + 50):
                workspaces.write(f"mask_{i}", mask())

        threads = [threading.Thread(target=write, args=(50 * k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(workspaces.names()) == 200

    def test_a_subscriber_may_use_the_list(self, workspaces: WorkspaceList) -> None:
        seen: list[list[str]] = []
        workspaces.subscribe(lambda change: seen.append(workspaces.names()))
        workspaces.write("mask", mask())
        assert seen == [["mask"]]


class _Inputs(Parameters):
    steps: int = 3


class _Outputs(Parameters):
    done: int


def _count(inputs: _Inputs, host: Host, progress: Progress) -> _Outputs:
    for i in range(inputs.steps):
        progress.report(i / inputs.steps, f"step {i}")
    if inputs.steps > 10:
        raise InputError("Too many steps.", found=str(inputs.steps), fix="Take fewer.")
    return _Outputs(done=inputs.steps)


COUNT = Algorithm("Count", "Counts.", _Inputs, _Outputs, _count)


@pytest.fixture
def host() -> EmbeddedHost:
    return EmbeddedHost(Settings())


def test_the_host_fits_the_protocol(host: EmbeddedHost) -> None:
    assert isinstance(host.workspaces, WorkspaceList)
    fitting: Host = host
    assert fitting.name == "embedded"


def test_history_says_what_ran_with_which_inputs_and_how_it_ended(host: EmbeddedHost) -> None:
    host.run(COUNT, _Inputs(steps=5), Progress())
    with pytest.raises(InputError):
        host.run(COUNT, _Inputs(steps=11), Progress())
    with pytest.raises(Cancelled):
        host.run(COUNT, _Inputs(), Progress(is_cancelled=lambda: True))
    assert [(entry["algorithm"], entry["outcome"]) for entry in host.history()] == [
        ("Count", "finished"),
        ("Count", "failed"),
        ("Count", "cancelled"),
    ]
    assert host.history()[0]["inputs"] == {"steps": 5}


def test_progress_reaches_the_caller(host: EmbeddedHost) -> None:
    heard: list[tuple[float, str]] = []
    host.run(COUNT, _Inputs(steps=4), Progress(on_report=lambda f, m: heard.append((f, m))))
    assert [message for _, message in heard] == ["step 0", "step 1", "step 2", "step 3"]
    assert [fraction for fraction, _ in heard] == [0.0, 0.25, 0.5, 0.75]
