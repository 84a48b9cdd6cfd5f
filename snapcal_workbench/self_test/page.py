"""The self-test: every check in a process of its own, which may crash, and the page that says how each of them ended.

Nothing that a check uses is imported here, so that the page comes whatever is wrong: h5py, numba and Mantid's
algorithms are met by the processes alone.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from snapcal_workbench import __version__
from snapcal_workbench.libraries import Finding, Outcome, findings, hdf5_of, in_process, is_there, outcomes
from snapcal_workbench.progress import Progress

EMBEDDED = ("simulated run", "workspaces", "calibration")
"""Checks without Mantid; the later ones use what the first has made."""
KINDS = (
    "Events",
    "Spectra",
    "DiffCalTable",
    "PixelMask",
    "PixelGrouping",
    "PixelMap",
    "PixelResults",
    "FitTable",
    "Group",
)
IN_MANTID = (
    "algorithms",
    *(f"workspace {kind}" for kind in KINDS),
    "processed file",
    "lite run",
    "native run",
    "calibration",
)
SECONDS = 900.0
"""Longest that a check may take."""
_CODE = "from snapcal_workbench.self_test.checks import main; main()"


@dataclass(frozen=True)
class Check:
    """One check: where, what, how it ended ("" for well), what it found, how long it took (s), and its last words."""

    where: str
    name: str
    ended: str
    found: str
    seconds: float
    last_words: str = ""


@dataclass(frozen=True)
class Page:
    """What the self-test found.

    Attributes:
        versions: Of what is used, by name.
        libraries: Whether they go together.
        checks: In the order in which they were made.
        mantid: Whether there is a Mantid in this Python.
    """

    versions: Mapping[str, str]
    libraries: tuple[Finding, ...]
    checks: tuple[Check, ...]
    mantid: bool

    @property
    def failures(self) -> int:
        """How many checks did not end well, errors of the libraries among them."""
        wrong = sum(finding.level == "error" for finding in self.libraries)
        return wrong + sum(bool(check.ended) for check in self.checks)

    def __str__(self) -> str:
        return "\n".join([*self._head(), *self._libraries(), *self._checks(), *self._words()])

    def _head(self) -> list[str]:
        lines = ["SNAPCal Workbench: self-test", *(f"{name:12s} {text}" for name, text in self.versions.items())]
        if not self.mantid:
            lines.append("There is no Mantid in this Python: only what works without it was checked.")
        return [*lines, "All is well." if self.failures == 0 else f"{self.failures} not well.", ""]

    def _libraries(self) -> list[str]:
        lines = []
        for finding in self.libraries:
            lines.append(f"{finding.level:>7}  {finding.subject}: {finding.found}")
            if finding.fix:
                lines.append(f"{'':>9}To do: {finding.fix}")
        return [*lines, ""]

    def _checks(self) -> list[str]:
        return [
            f"{'failed' if check.ended else 'ok':>7}  {check.seconds:6.1f} s  {check.where}: {check.name}: "
            + (check.ended or check.found)
            for check in self.checks
        ]

    def _words(self) -> list[str]:
        lines = []
        for check in self.checks:
            if check.ended and check.last_words:
                lines += ["", f"-- {check.where}: {check.name}", check.last_words]
        return lines


def make_page(progress: Progress | None = None) -> Page:
    """Make all checks; takes a minute without Mantid and a few with it.

    Raises:
        Cancelled: The user cancelled.
    """
    progress = progress or Progress()
    progress.report(0.0, "Trying the libraries")
    ended = outcomes()
    wanted = [("embedded", name) for name in EMBEDDED]
    if is_there("mantid") and not ended["mantid"].ended:
        wanted += [("Mantid", name) for name in IN_MANTID]
    checks = []
    with tempfile.TemporaryDirectory(prefix="snapcal-self-test-") as folder:
        for done, (where, name) in enumerate(wanted):
            progress.report((done + 1) / (len(wanted) + 1), f"{where}: {name}")
            checks.append(_checked(where, name, Path(folder), progress))
    progress.report(1.0, "The page is ready")
    return Page(_versions(ended), tuple(findings(ended)), tuple(checks), is_there("mantid"))


def _checked(where: str, name: str, folder: Path, progress: Progress) -> Check:
    begin = time.perf_counter()
    outcome = in_process(_CODE, where, name, str(folder), seconds=SECONDS, check=progress.check)
    found = str(outcome.said.get("found", ""))
    if outcome.afterwards:
        found += f"; its process {outcome.afterwards} when it ended"
    ended = outcome.ended and (str(outcome.said.get("error", "")) or outcome.ended)
    return Check(where, name, ended, found, time.perf_counter() - begin, outcome.last_words)


def _versions(ended: Mapping[str, Outcome]) -> dict[str, str]:
    qt, with_hdf5 = ended["qtpy"], [name for name in ("mantid", "h5py") if name in ended]
    return {
        "plugin": __version__,
        "Mantid": ended["mantid"].version or ended["mantid"].ended if "mantid" in ended else "none",
        "Python": f"{sys.version.split()[0]} on {platform.platform()}",
        "numpy": _version("numpy"),
        "h5py": _version("h5py"),
        "HDF5": "; ".join(f"of {name}: {hdf5_of(ended[name])}" for name in with_hdf5),
        "numba": _version("numba"),
        "scipy": _version("scipy"),
        "Qt": f"{qt.said.get('qt', 'none')}, {qt.said.get('binding', 'no binding')}, qtpy {_version('QtPy')}",
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
