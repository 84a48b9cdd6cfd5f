"""What `snapcal workbench doctor` looks at: Mantid, Qt, Python packages, the Mantid properties, folders, permissions.

Neither Mantid nor the libraries that it shares with the plugin are imported for it, but by processes of their own
(`libraries`), so that the answer comes even where one cannot start or two do not go together.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from snapcal_workbench import __version__
from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.installation import configured_folders, is_ours, plugin_folder
from snapcal_workbench.libraries import Finding, findings, is_there, outcomes
from snapcal_workbench.manifest import load_object, read_manifest
from snapcal_workbench.options import Settings

WATCHED = {
    "numpy": "numpy",
    "h5py": "h5py",
    "matplotlib-base": "matplotlib",
    "matplotlib": "matplotlib",
    "scipy": "scipy",
    "pyqt": "PyQt5",
    "qtpy": "QtPy",
    "pyside6": "PySide6",
}
"""Packages that Mantid is compiled against or shares with us: name in conda -> name for pip."""
INSTALL = "Run `snapcal workbench install`."
_BINDINGS = ("PySide6", "PyQt6", "PyQt5")


def diagnose(settings: Settings, properties: Path, *, prefix: Path | None = None) -> list[Finding]:
    """Look at everything.

    Args:
        settings: Where the calibrations are.
        properties: The user's Mantid properties.
        prefix: Root of the Python environment; default: of this process.
    """
    root = Path(sys.prefix) if prefix is None else prefix
    records = conda_records(root)
    return [
        Finding("ok", "SNAPCal Workbench", f"{__version__}, Python {sys.version.split()[0]} in {root}"),
        *_mantid(records),
        *findings(outcomes()),
        *_qt(),
        *_parts(),
        *replaced_packages(records),
        *_properties(properties),
        *_folders(settings),
    ]


def conda_records(prefix: Path) -> dict[str, dict[str, object]]:
    """What conda says it has installed in an environment, by package; empty outside of conda."""
    records = {}
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            records[str(record["name"])] = record
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return records


def _mantid(records: dict[str, dict[str, object]]) -> Iterator[Finding]:
    if not is_there("mantid"):
        yield Finding(
            "warning",
            "Mantid",
            "not in this Python environment; `snapcal` works without it",
            "To use the plugin in Workbench, install it into Mantid's environment.",
        )
        return
    version = next((str(records[name]["version"]) for name in ("mantid", "mantidworkbench") if name in records), "")
    found = f"version {version}" if version else "of unknown version"
    needed = read_manifest().mantid
    if version and _numbers(version) < _numbers(needed.removeprefix(">=")):
        yield Finding("warning", "Mantid", found, f"The plugin is written for Mantid {needed}; update Mantid.")
    else:
        yield Finding("ok", "Mantid", found)
    if not is_there("workbench"):
        yield Finding("warning", "Workbench", "not installed: algorithms only", "Install mantidworkbench.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _qt() -> Iterator[Finding]:
    bindings = [name for name in _BINDINGS if is_there(name)]
    if bindings:
        yield Finding("ok", "Qt", ", ".join(bindings))
    else:
        yield Finding(
            "warning",
            "Qt",
            "no Qt for Python",
            "For the panel outside of Workbench: pip install 'snapcal-workbench[gui]'",
        )


def _parts() -> Iterator[Finding]:
    """Whether everything that the manifest names can be imported."""
    for entry in read_manifest().algorithms:
        try:
            load_object(entry.object)
        except Exception as error:
            yield Finding("error", entry.name, f"cannot be imported: {error}", "Install the plugin again.")


def replaced_packages(records: dict[str, dict[str, object]]) -> Iterator[Finding]:
    """Packages of a conda environment that pip has put another version of in its place."""
    for name, distribution in WATCHED.items():
        if name not in records:
            continue
        try:
            present = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
        recorded = str(records[name]["version"])
        if present != recorded:
            yield Finding(
                "error",
                name,
                f"conda installed {recorded}, but pip has replaced it by {present}",
                f"conda install --force-reinstall {name}={recorded}, then pip install --no-deps snapcal-workbench",
            )


def _properties(path: Path) -> Iterator[Finding]:
    try:
        folder = plugin_folder().as_posix()
        entries = configured_folders(path)
    except SnapcalError as error:
        yield Finding("error", "Mantid properties", f"{error.what} {error.found}", error.fix)
        return
    if folder in entries:
        yield Finding("ok", "Mantid properties", f"{path} names the plugin")
    else:
        yield Finding("warning", "Mantid properties", f"{path} does not name the plugin", INSTALL)
    for entry in entries:
        if entry != folder and is_ours(entry):
            yield Finding("warning", "Mantid properties", f"names another installation: {entry}", INSTALL)
        elif not Path(entry).is_dir():
            yield Finding("warning", "Mantid properties", f"names a folder that is not there: {entry}")
    if path.exists() and not os.access(path, os.W_OK):
        yield Finding("warning", "Mantid properties", f"{path} is read-only", "Give yourself write permission.")


def _folders(settings: Settings) -> Iterator[Finding]:
    home = settings.calibration_home
    if not home.is_dir():
        yield Finding(
            "error", "calibration_home", f"{home} is no folder", "Set calibration_home; see `snapcal config`."
        )
    elif not os.access(settings.powder_home, os.W_OK):
        yield Finding("warning", "powder_home", f"{settings.powder_home}: no write permission, so nothing can be saved")
    else:
        yield Finding("ok", "calibration_home", str(home))
    if not settings.ipts_root.is_dir():
        yield Finding("warning", "ipts_root", f"{settings.ipts_root} is no folder", "Set ipts_root, or give files.")
    session = settings.session_directory
    existing = next((folder for folder in (session, *session.parents) if folder.exists()), session)
    if not os.access(existing, os.W_OK):
        yield Finding("error", "session_directory", f"{session} cannot be written", "Set session_directory.")
