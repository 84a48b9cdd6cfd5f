"""The embedded host keeps what every host promises."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.hosts.default import default_host
from snapcal_workbench.hosts.embedded import EmbeddedHost, EmbeddedWorkspaces
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.parameters import Parameters
from snapcal_workbench.workspaces.protocol import Algorithm, Change, Host, RunRequest, WorkspaceList
from tests.hosts.contract import WorkspaceListContract, mask


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

    def test_a_group_in_a_group_is_deleted_with_its_members(self, workspaces: WorkspaceList) -> None:
        for name in ("a", "b", "c"):
            workspaces.write(name, mask())
        workspaces.write("inner", ("a", "b"))
        workspaces.write("outer", ("inner", "c"))
        workspaces.delete("outer")
        assert workspaces.names() == []

    def test_a_group_that_has_lost_its_last_member_is_gone(self, workspaces: WorkspaceList) -> None:
        workspaces.write("a", mask())
        workspaces.write("group", ("a",))
        heard: list[Change] = []
        workspaces.subscribe(heard.append)
        workspaces.delete("a")
        assert workspaces.names() == []
        assert [(change.kind, change.name) for change in heard] == [("delete", "a"), ("delete", "group")]

    def test_a_group_cannot_be_its_own_member(self, workspaces: WorkspaceList) -> None:
        workspaces.write("a", mask())
        workspaces.write("group", ("a",))
        with pytest.raises(InputError, match="own member"):
            workspaces.write("group", ("group", "a"))


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


def test_an_unexpected_fault_is_written_down_as_failed(host: EmbeddedHost) -> None:
    def fail(inputs: _Inputs, host: Host, progress: Progress) -> _Outputs:
        assert host.history()[-1]["outcome"] == "running"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        host.run(Algorithm("Fail", "Fails.", _Inputs, _Outputs, fail), _Inputs(), Progress())
    assert host.history()[-1]["outcome"] == "failed"
    assert float(str(host.history()[-1]["seconds"])) >= 0


def test_the_history_cannot_be_changed_from_outside(host: EmbeddedHost) -> None:
    host.run(COUNT, _Inputs(), Progress())
    host.history()[0]["outcome"] = "changed"
    assert host.history()[0]["outcome"] == "finished"


def test_runs_are_where_the_facility_has_them(host: EmbeddedHost) -> None:
    request = RunRequest(("58882", Path("/data/run.nxs.h5")), SNAP.lite)
    assert host.resolve(request) == request


@pytest.mark.skipif("mantid" in sys.modules, reason="there Mantid is the host")
def test_without_mantid_the_host_is_the_embedded_one() -> None:
    assert default_host(Settings()).name == "embedded"
