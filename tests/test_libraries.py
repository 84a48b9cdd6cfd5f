"""Libraries are tried by processes of their own, and what they end in is said with what to do."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from snapcal_workbench import libraries
from snapcal_workbench.errors import InputError
from snapcal_workbench.libraries import Outcome, brings_hdf5, findings, in_process, is_there, outcomes

FINE = Outcome("", {"version": "1.0"})
MANTID = Outcome("", {"version": "6.13.0", "hdf5": [["/env/lib/libhdf5.so.310", "1.14.6"]]})
WHEEL = Outcome("", {"version": "3.16.0", "states": "2.0.0", "hdf5": [["/env/h5py.libs/libhdf5-9e.so", "2.0.0"]]})
WITHOUT_MANTID = {"numpy": FINE, "h5py": WHEEL, "numba": FINE, "qtpy": Outcome("", {"version": "2.4.3"})}
WITH_MANTID = {**WITHOUT_MANTID, "mantid": MANTID, "mantid, then h5py": MANTID, "mantid, then numba": FINE}


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("import os; os.abort()", "crashed (SIGABRT)"),
        ("import ctypes; ctypes.string_at(0)", "crashed (SIGSEGV)"),
        ("raise ValueError('Not a datatype')", "failed: ValueError: Not a datatype"),
        ("import sys; sys.exit(3)", "failed: exit code 3"),
        ("import time; time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_whatever_a_process_does_is_told_and_harms_nobody(code: str, ended: str) -> None:
    assert in_process(code, seconds=1).ended == ended


def test_what_a_process_found_is_its_last_line_of_json() -> None:
    code = "import os, sys\nprint('{\"old\": 1}')\nprint('{\"version\": \"' + sys.argv[1] + '\"}')\nprint('bye')"
    outcome = in_process(code, "7")
    assert (outcome.ended, outcome.version, dict(outcome.said)) == ("", "7", {"version": "7"})


def test_a_crash_after_the_answer_is_told_and_spoils_nothing() -> None:
    outcome = in_process('import os\nprint(\'{"version": "3.13"}\')\nos.abort()')
    assert (outcome.ended, outcome.version, outcome.afterwards) == ("", "3.13", "crashed (SIGABRT)")
    refused = in_process('import os\nprint(\'{"error": "3 events"}\')\nos.abort()')
    assert refused.ended == "crashed (SIGABRT)"


def test_a_mantid_that_crashes_when_its_process_ends_is_usable_and_one_that_does_so_with_h5py_alone_is_not() -> None:
    late = replace(MANTID, afterwards="crashed (SIGSEGV)")
    usable = findings({**WITH_MANTID, "mantid": late, "mantid, then h5py": late})
    assert {(f.level, "crashed (SIGSEGV) when it ended" in f.found) for f in usable if f.subject == "Mantid"} == {
        ("ok", True)
    }
    assert [f.subject for f in findings({**WITH_MANTID, "mantid, then h5py": late}) if f.level == "error"] == ["HDF5"]


def test_the_libraries_here_are_those_that_pip_knows() -> None:
    found = outcomes()
    for name in ("numpy", "h5py", "numba"):
        assert (found[name].ended, found[name].version) == ("", metadata.version(name))
    assert not any(finding.level == "error" for finding in findings(found)) or is_there("mantid")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there the libraries of a process are not told")
def test_the_hdf5_that_a_process_has_is_the_one_that_h5py_states() -> None:
    found = outcomes()["h5py"]
    assert [version for _, version in found.hdf5] == [found.said["states"]]


@pytest.mark.skipif(is_there("mantid"), reason="without Mantid there is nothing to go together with")
def test_without_mantid_nothing_is_refused() -> None:
    assert not any("mantid" in name for name in outcomes())
    libraries.require_compatible()


def test_one_hdf5_for_both_is_well() -> None:
    assert {finding.level for finding in findings(WITH_MANTID)} == {"ok"}


@pytest.mark.parametrize(
    ("together", "told"),
    [
        (Outcome("failed: ValueError: Not a datatype", {}), "Not a datatype; HDF5 of Mantid: 1.14.6"),
        (Outcome("crashed (SIGSEGV)", {}), "crashed (SIGSEGV)"),
        (
            Outcome("", {"hdf5": [*MANTID.hdf5, *WHEEL.hdf5]}),
            "1.14.6 (/env/lib/libhdf5.so.310) and 2.0.0",
        ),
    ],
)
def test_two_hdf5_are_an_error_that_says_where_h5py_comes_from(together: Outcome, told: str) -> None:
    (wrong,) = [f for f in findings({**WITH_MANTID, "mantid, then h5py": together}) if f.level == "error"]
    assert wrong.subject == "HDF5"
    assert told in wrong.found
    assert "mamba install -c conda-forge h5py" in wrong.fix


def test_a_numba_that_does_not_bear_mantid_s_numpy_is_an_error() -> None:
    broken = Outcome("failed: ImportError: Numba needs NumPy 1.26 or less", {})
    for name in ("numba", "mantid, then numba"):
        (wrong,) = [f for f in findings({**WITH_MANTID, name: broken}) if f.level == "error"]
        assert "Numba needs NumPy 1.26" in wrong.found
        assert "conda-forge numba" in wrong.fix


def test_an_old_qtpy_takes_only_the_panel() -> None:
    for outcome in (Outcome("", {"version": "1.11.3"}), Outcome("failed: ModuleNotFoundError", {})):
        (told,) = [f for f in findings({**WITHOUT_MANTID, "qtpy": outcome}) if f.level != "ok"]
        assert (told.level, told.subject) == ("warning", "qtpy")
        assert "qtpy>=2.4" in told.fix


def test_an_installation_is_refused_with_all_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "is_there", lambda name: True)
    monkeypatch.setattr(
        libraries, "outcomes", lambda: {**WITH_MANTID, "mantid, then h5py": Outcome("crashed (SIGSEGV)", {})}
    )
    with pytest.raises(InputError, match="share their libraries") as refused:
        libraries.require_compatible()
    assert "conda-forge h5py" in refused.value.fix


def test_a_wheel_of_h5py_is_known_by_the_library_that_it_brings(tmp_path: Path) -> None:
    package = tmp_path / "h5py"
    package.mkdir()
    (package / "defs.cpython-311-x86_64-linux-gnu.so").touch()
    assert not brings_hdf5(package)
    (tmp_path / "h5py.libs").mkdir()
    (tmp_path / "h5py.libs" / "libaec-1.so.0").touch()
    assert not brings_hdf5(package)
    (tmp_path / "h5py.libs" / "libhdf5-9e18f0c6.so.320.0.0").touch()
    assert brings_hdf5(package)
    assert not brings_hdf5(None)


def test_the_h5py_here_is_what_its_installer_says() -> None:
    folder = libraries.h5py_folder()
    assert folder is not None
    files = metadata.files("h5py") or []
    assert brings_hdf5(folder) == any("libhdf5" in path.name for path in files)


def test_without_a_second_library_there_is_no_reason_against_the_plugin() -> None:
    libraries.reason_not_to_load.cache_clear()
    import h5py  # noqa: F401 - one that works here already may stay

    assert libraries.reason_not_to_load() == ""
    assert libraries.reason_not_to_show() == ""


def test_an_old_qtpy_is_told_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "QtPy-1.11.3.dist-info").mkdir()
    (tmp_path / "QtPy-1.11.3.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: QtPy\nVersion: 1.11.3\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "needs qtpy 2.4 or later, and 1.11.3 is installed" in libraries.reason_not_to_show()
