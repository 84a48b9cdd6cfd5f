"""Whether the libraries that Mantid and the plugin share are the same ones, looked at in processes of their own.

Two HDF5 libraries in one process do not bear each other: h5py from a pip wheel brings one beside Mantid's, and then the
one that comes second ends in "Not a datatype", or ends the process. So nothing here imports Mantid or h5py: each is
imported by a process of its own first, and both together by a third, which may die of it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Literal

from snapcal_workbench.errors import InputError

Level = Literal["ok", "warning", "error"]

TRIAL = "SNAPCAL_TRIAL"
"""Set in the environment of the processes started here: in them the plugin does nothing, or they would start more."""
SECONDS = 120
"""Longest that a process may take: Mantid's first start on a slow network disk takes most of a minute."""
LAST_WORDS = 25
"""Lines of complaints that are kept."""
OLDEST_QTPY = (2, 4)
_QTPY = "mamba install -c conda-forge 'qtpy>=2.4' (or pip install 'qtpy>=2.4')"
_OF_CHANNEL = "Install the {0} of the channel that Mantid comes from: mamba install -c conda-forge {0}"
H5PY_OF_CHANNEL = "mamba install -c conda-forge h5py (after pip uninstall h5py): h5py of the channel Mantid comes from"

_SAY = """
import json, sys
def hdf5():
    import ctypes
    try:
        lines = open("/proc/self/maps").read().split()
    except OSError:
        return []
    found, others = [], ("_hl", "_cpp", "_fortran", "_tools")
    for path in sorted({line for line in lines if line.startswith("/") and "/libhdf5" in line}):
        if any(other in path.split("/libhdf5")[1] for other in others):
            continue
        numbers = [ctypes.c_uint() for _ in range(3)]
        ctypes.CDLL(path).H5get_libversion(*map(ctypes.byref, numbers))
        found.append([path, ".".join(str(number.value) for number in numbers)])
    return found
"""
_MANTID = """
import json
import mantid.api, mantid.kernel
mantid.api.FrameworkManager.Instance()
"""
_H5PY = """
import h5py, numpy
with h5py.File("trial", "w", driver="core", backing_store=False) as file:
    file["numbers"] = numpy.arange(3.0)
    assert file["numbers"][2] == 2.0
"""
CODE = {
    "mantid": _SAY + _MANTID + "print(json.dumps({'version': mantid.kernel.version_str(), 'hdf5': hdf5()}))",
    "h5py": _SAY
    + _H5PY
    + "print(json.dumps({'version': h5py.__version__, 'states': h5py.version.hdf5_version, 'hdf5': hdf5()}))",
    "numpy": "import json, numpy\nprint(json.dumps({'version': numpy.__version__}))",
    "numba": "import json, numba\nprint(json.dumps({'version': numba.__version__}))",
    "qtpy": "import json, qtpy\nfrom qtpy.QtCore import qVersion\nfrom qtpy.QtWidgets import QAction\n"
    "print(json.dumps({'version': qtpy.__version__, 'binding': qtpy.API_NAME, 'qt': qVersion()}))",
    "mantid, then h5py": _SAY + _MANTID + _H5PY + "print(json.dumps({'hdf5': hdf5()}))",
    "mantid, then numba": _MANTID
    + "import numba\nassert numba.njit(lambda x: x + 1)(1) == 2\nprint(json.dumps({'version': numba.__version__}))",
}
"""What each process does; the last line that it prints is what it found, in JSON."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: "ok", "warning" or "error".
        subject: What was looked at.
        found: What was found.
        fix: What to do; "" where nothing is to be done.
    """

    level: Level
    subject: str
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes:
        ended: "" where it ended well, else how it ended, in words.
        said: What it found.
        last_words: The end of what it complained of, where it did not end well.
        afterwards: How it ended once it had said what it found, where that was not well: some Mantids crash when their
            process ends, which spoils nothing.
    """

    ended: str
    said: Mapping[str, object]
    last_words: str = ""
    afterwards: str = ""

    @property
    def hdf5(self) -> list[tuple[str, str]]:
        """Path and version of each HDF5 library that the process had."""
        found = self.said.get("hdf5")
        return [(str(path), str(version)) for path, version in found] if isinstance(found, list) else []

    @property
    def version(self) -> str:
        """The version that it found, "" without one."""
        return str(self.said.get("version", ""))


def in_process(
    code: str, *arguments: str, seconds: float = SECONDS, check: Callable[[], None] = lambda: None
) -> Outcome:
    """Run Python code in a process of its own, which may crash or hang.

    Args:
        code: What to run; the last line of JSON that it prints is what it found.
        arguments: Of the process.
        seconds: Longest that it may take.
        check: Called now and then; what it raises ends the process, too.
    """
    command = [sys.executable, "-u", "-c", code, *arguments]  # -u: what was said is there when the end is a crash
    try:
        process = subprocess.Popen(
            command,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        return Outcome(f"could not be started: {error}", {})
    try:
        with process:  # its pipes are closed, however it ends
            printed, complained = _followed(process, seconds, check)
    except subprocess.TimeoutExpired:
        return Outcome(f"did not end within {seconds:g} s", {})
    said, words = _last_json(printed), complained.strip().splitlines()
    last_words = "\n".join(words[-LAST_WORDS:])
    if process.returncode < 0:
        how = f"crashed ({signal.Signals(-process.returncode).name})"
        answered = bool(said) and "error" not in said
        return Outcome("", said, last_words, how) if answered else Outcome(how, said, last_words)
    if process.returncode > 0:
        return Outcome(f"failed: {words[-1] if words else f'exit code {process.returncode}'}", said, last_words)
    return Outcome("", said)


def environment() -> dict[str, str]:
    """The environment of a process that finds the plugin and Mantid where this one does."""
    mantid = getattr(sys.modules.get("mantid"), "__file__", None)
    places = [Path(__file__).parents[1], *([Path(mantid).parents[1]] if mantid else [])]
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), *map(str, places)]
    return {**os.environ, TRIAL: "1", "PYTHONPATH": os.pathsep.join(paths)}


def _followed(process: subprocess.Popen[str], seconds: float, check: Callable[[], None]) -> tuple[str, str]:
    """What a process prints and complains of; it has ended afterwards."""
    end = time.monotonic() + seconds
    try:
        while True:
            check()
            try:
                return process.communicate(timeout=0.1)
            except subprocess.TimeoutExpired:
                if time.monotonic() >= end:
                    raise
    finally:
        process.kill()


def _last_json(text: str) -> dict[str, object]:
    for line in reversed(text.splitlines()):
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict):
            return said
    return {}


def is_there(module: str) -> bool:
    """Whether a module can be imported, as far as that shows without doing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


@lru_cache(maxsize=1)
def outcomes() -> dict[str, Outcome]:
    """How each of `CODE` ended here, found out once; what needs Mantid is left out where there is none."""
    names = [name for name in CODE if is_there("mantid") or "mantid" not in name]
    return {name: in_process(CODE[name]) for name in names}


def findings(ended: Mapping[str, Outcome]) -> Iterator[Finding]:
    """What the outcomes mean, and what to do."""
    for name in ("numpy", "h5py", "numba"):
        yield from _importable(name, ended[name])
    yield _qtpy(ended["qtpy"])
    if "mantid" not in ended:
        return
    mantid, together = ended["mantid"], ended["mantid, then h5py"]
    if mantid.ended:
        yield Finding("error", "Mantid", f"cannot start: {mantid.ended}", "Repair Mantid's own installation.")
        return
    at_its_end = f"; its process {mantid.afterwards} when it ended" if mantid.afterwards else ""
    yield Finding("ok", "Mantid", f"{mantid.version}, HDF5 {hdf5_of(mantid)}{at_its_end}")
    clash = together.ended or ("" if mantid.afterwards else together.afterwards)
    if clash:
        found = f"h5py after Mantid {clash}; HDF5 of Mantid: {hdf5_of(mantid)}, of h5py: {hdf5_of(ended['h5py'])}"
        yield Finding("error", "HDF5", found, H5PY_OF_CHANNEL)
    elif len(together.hdf5) > 1:
        found = f"two libraries in one process: {hdf5_of(together)}"
        yield Finding("error", "HDF5", found, H5PY_OF_CHANNEL)
    else:
        yield Finding("ok", "HDF5", f"Mantid and h5py share one: {hdf5_of(together)}")
    if ended["mantid, then numba"].ended:
        yield Finding(
            "error", "numba", f"after Mantid: {ended['mantid, then numba'].ended}", _OF_CHANNEL.format("numba")
        )


def _importable(name: str, outcome: Outcome) -> Iterator[Finding]:
    if outcome.ended:
        yield Finding("error", name, f"cannot be used: {outcome.ended}", _OF_CHANNEL.format(name))
    else:
        states = outcome.said.get("states")
        yield Finding("ok", name, outcome.version + (f", HDF5 {states}" if states else ""))


def _qtpy(outcome: Outcome) -> Finding:
    if outcome.ended:
        return Finding("warning", "qtpy", f"no panel: {outcome.ended}", _QTPY)
    if _numbers(outcome.version) < OLDEST_QTPY:
        return Finding("warning", "qtpy", f"no panel with version {outcome.version}", _QTPY)
    return Finding("ok", "qtpy", f"{outcome.version} with {outcome.said.get('binding')}, Qt {outcome.said.get('qt')}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def hdf5_of(outcome: Outcome) -> str:
    """The HDF5 libraries that a process had, in words."""
    found = [f"{version} ({path})" for path, version in outcome.hdf5]
    return " and ".join(found) or str(outcome.said.get("states") or "of unknown version")


def require_compatible() -> None:
    """Refuse to make Mantid load the plugin where the two could not live in one process; without a Mantid all is well.

    Raises:
        InputError: They could not.
    """
    if not is_there("mantid"):
        return
    wrong = [finding for finding in findings(outcomes()) if finding.level == "error"]
    if wrong:
        raise InputError(
            "Mantid and the plugin must share their libraries.",
            found="; ".join(f"{finding.subject}: {finding.found}" for finding in wrong),
            fix="; ".join(dict.fromkeys(finding.fix for finding in wrong)),
        )


# -- inside Mantid ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def reason_not_to_load() -> str:
    """Why the plugin must not load h5py into this process; "" where it may.

    It may where there is no Mantid, where it is loaded already, and where it brings no HDF5 library of its own. Another
    one is tried by a process.
    """
    if "mantid" not in sys.modules or "h5py" in sys.modules or not brings_hdf5(h5py_folder()):
        return ""
    outcome = in_process(CODE["mantid, then h5py"])
    if not outcome.ended and not outcome.afterwards and len(outcome.hdf5) <= 1:
        return ""
    if in_process("print()").ended:
        return ""  # this program is no Python that could try it: then the import itself has to say it
    how = outcome.ended or outcome.afterwards or "brings a second HDF5 library"
    return f"h5py does not go together with Mantid here: it {how}. To do: {H5PY_OF_CHANNEL}, then restart Workbench."


def reason_not_to_show() -> str:
    """Why there can be no panel in this Python, "" where there can be one: qtpy itself is not imported."""
    try:
        version = metadata.version("QtPy")
    except metadata.PackageNotFoundError:
        return f"qtpy is not installed. To do: {_QTPY}"
    if _numbers(version) < OLDEST_QTPY:
        return f"the panel needs qtpy 2.4 or later, and {version} is installed. To do: {_QTPY}, then restart Workbench."
    return ""


def h5py_folder() -> Path | None:
    """Where h5py is installed; it is not imported."""
    try:
        found = importlib.util.find_spec("h5py")
    except (ImportError, ValueError):
        return None
    return Path(found.origin).parent if found is not None and found.origin else None


def brings_hdf5(folder: Path | None) -> bool:
    """Whether an installation of h5py has an HDF5 library of its own beside it, as the wheels for pip have."""
    if folder is None:
        return False
    places = (folder.with_name("h5py.libs"), folder / ".dylibs", folder)
    return any(path.name.lower().startswith(("libhdf5", "hdf5")) for place in places for path in _files(place))


def _files(folder: Path) -> list[Path]:
    kinds = (".so", ".dylib", ".dll")
    try:
        return [path for path in folder.iterdir() if any(kind in path.name for kind in kinds)]
    except OSError:
        return []
