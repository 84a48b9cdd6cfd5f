"""The self-test finds what is well and what is not, and outlives whatever a check does."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, Events
from snapcal_workbench.errors import Cancelled
from snapcal_workbench.hosts.embedded import EmbeddedWorkspaces
from snapcal_workbench.libraries import Finding, is_there
from snapcal_workbench.progress import Progress
from snapcal_workbench.self_test import page as page_module
from snapcal_workbench.self_test.page import EMBEDDED, IN_MANTID, KINDS, Check, Page, make_page
from snapcal_workbench.self_test.samples import require_same, samples


@pytest.fixture(scope="module")
def page() -> Page:
    return make_page()


def test_all_is_well_here_and_the_page_says_with_what(page: Page) -> None:
    assert page.failures == 0, str(page)
    names = [(check.where, check.name) for check in page.checks]
    assert names[: len(EMBEDDED)] == [("embedded", name) for name in EMBEDDED]
    assert names[len(EMBEDDED) :] == ([("Mantid", name) for name in IN_MANTID] if is_there("mantid") else [])
    text = str(page)
    for name in ("plugin", "Mantid", "Python", "numpy", "h5py", "HDF5", "numba", "Qt"):
        assert f"\n{name} " in text
    assert np.__version__ in text
    assert "All is well." in text
    assert page.mantid or "There is no Mantid in this Python" in text
    assert any(check.found.endswith("pixels calibrated") for check in page.checks)


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("import os; os.abort()", "crashed (SIGABRT)"),
        ("raise SystemExit(7)", "failed: exit code 7"),
        ("import json; print(json.dumps({'error': 'AssertionError: 3 events'})); raise SystemExit(1)", "3 events"),
    ],
)
def test_a_check_that_dies_is_a_line_of_the_page(monkeypatch: pytest.MonkeyPatch, code: str, ended: str) -> None:
    monkeypatch.setattr(page_module, "_CODE", code)
    monkeypatch.setattr(page_module, "EMBEDDED", ("simulated run", "workspaces"))
    page = make_page()
    assert page.failures == len(page.checks) >= 2
    assert all(ended in check.ended for check in page.checks)
    assert f"{page.failures} not well." in str(page)


def test_a_check_that_crashes_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import ctypes, faulthandler\nfaulthandler.enable()\ndef step():\n    ctypes.string_at(0)\nstep()"
    monkeypatch.setattr(page_module, "_CODE", code)
    monkeypatch.setattr(page_module, "EMBEDDED", ("workspaces",))
    text = str(make_page())
    assert "crashed (SIGSEGV)" in text
    assert "in step" in text.partition("-- embedded: workspaces")[2]


def test_cancelling_ends_the_check_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(600)"
    monkeypatch.setattr(page_module, "_CODE", code)
    with pytest.raises(Cancelled):
        make_page(Progress(is_cancelled=pid.exists))
    assert not Path(f"/proc/{pid.read_text()}").exists()
    assert threading.active_count() < 10


def test_errors_of_the_libraries_count_and_say_what_to_do() -> None:
    wrong = Finding("error", "HDF5", "two libraries", "mamba install h5py")
    page = Page({"plugin": "1"}, (wrong,), (Check("embedded", "calibration", "", "well", 1.0),), True)
    assert page.failures == 1
    assert "To do: mamba install h5py" in str(page)


def test_there_is_a_sample_of_every_kind() -> None:
    assert [*samples(), "Group"] == list(KINDS)
    list_ = EmbeddedWorkspaces()
    for kind, value in samples().items():
        list_.write(kind, value)
        assert list_.kind(kind) == kind


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Group"])
def test_a_sample_that_came_back_otherwise_is_noticed(kind: str) -> None:
    require_same(samples()[kind], samples()[kind])
    value = samples()[kind]
    arrays = [a for a in vars(value).values() if isinstance(a, np.ndarray) and a.dtype.kind == "f"] or [
        a for a in vars(value).values() if isinstance(a, np.ndarray)
    ]
    for array in arrays:
        array += 1
    with pytest.raises(AssertionError):
        require_same(value, samples()[kind])


def test_lost_events_are_noticed() -> None:
    whole = samples()["Events"]
    assert isinstance(whole, Events)
    empty = Events(whole.tof[:0], np.zeros_like(whole.start), whole.geometry, whole.window)
    with pytest.raises(AssertionError, match="events of each pixel"):
        require_same(empty, whole)
    assert isinstance(samples()["DiffCalTable"], DiffCalTable)


def test_the_page_is_made_without_what_it_tests() -> None:
    """An h5py that kills a process with Mantid in it must not be imported by the page itself."""
    code = (
        "import sys\nimport snapcal_workbench.self_test.page\nassert not {'h5py', 'numba', 'mantid'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
