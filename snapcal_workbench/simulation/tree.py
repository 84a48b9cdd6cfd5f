"""An SNS-like tree in a folder of one's own: everything that a calibration finds at the facility, but the runs.

    snapcal-simulation.json     says that the folder is ours; holds nothing else that matters
    snapcal.toml                configuration that points every home into this tree
    SNS/SNAP/IPTS-00001/nexus   simulated runs
    SNS/SNAP/shared/Calibration instrument parameters, calibrants, groupings, lite map; later the states
    truth                       truths of the simulated runs, for tests and the demonstration's last table

Nothing that exists is overwritten or removed: in a tree of ours only what is missing is made. Files appear complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from snapcal_workbench.calibration.types import PixelGrouping
from snapcal_workbench.errors import InputError, PermissionDeniedError, StoreError
from snapcal_workbench.formats.grouping import write_grouping
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.formats.writing import replace_file
from snapcal_workbench.instrument.groupings import DEFAULT_MAP
from snapcal_workbench.instrument.merging import merged_by_place
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.parameters import INDEX_NAME
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.logs import GUIDE_LOG, LEGACY_SCHEMA
from snapcal_workbench.options import Settings
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress

MARKER = "snapcal-simulation.json"
CONFIG = "snapcal.toml"
PROPOSAL = "IPTS-00001"
FIRST_RUN = 52862
"""First run of the cycle that the instrument parameters are of."""
SAMPLES = ("Silicon_NIST_640d_001.json", "Silicon_NIST_640d.cif", "Diamond_001.json", "Diamond.cif")

_CONFIG_TEXT = """\
# Settings of this simulated facility: snapcal --config snapcal.toml ..., or SNAPCAL_CONFIG=<path of this file>.
# Relative paths are relative to this file.
ipts_root = "SNS"
lock_directory = "locks"
session_directory = "session"
"""

_TIMESTAMP = "2024-01-10T10:00:00.000000000+0000"

_COLUMN_OF = np.array([1, 2, 3, 6, 5, 4], np.int32)
"""Group of the modules' columns: the West columns are counted from the far end, as SNAP's grouping files do."""


@dataclass(frozen=True)
class SimulatedTree:
    """Where things are in a simulated tree."""

    directory: Path

    @property
    def config_path(self) -> Path:
        """Configuration file that points into the tree."""
        return self.directory / CONFIG

    @property
    def settings(self) -> Settings:
        """Settings of the configuration file."""
        return Settings.load(self.config_path)

    def run_path(self, run_number: str | int) -> Path:
        """Event NeXus file of a run."""
        return self.directory / "SNS" / "SNAP" / PROPOSAL / "nexus" / f"SNAP_{run_number}.nxs.h5"

    def truth_path(self, run_number: str | int) -> Path:
        """Truth of a run."""
        return self.directory / "truth" / f"SNAP_{run_number}.truth.h5"


def make_tree(directory: Path, *, progress: Progress | None = None) -> SimulatedTree:
    """Make an SNS-like tree, or complete one that was made before.

    Args:
        directory: A folder that does not exist, is empty, or holds a tree that this function made.
        progress: Where to report to.

    Raises:
        InputError: The folder holds something else, or is a file.
        PermissionDeniedError: We may not write there.
        StoreError: It cannot be written for another reason.
        Cancelled: The user cancelled; what is complete stays.
    """
    progress = progress or Progress()
    tree = SimulatedTree(user_path(directory).absolute())
    _claim(tree.directory)
    for path in (tree.run_path(""), tree.truth_path("")):
        _make_folder(path.parent)
    parts = _parts(tree)
    for number, (path, make) in enumerate(parts.items()):
        progress.report(number / len(parts), f"Making {path.name}")
        _make_folder(path.parent)
        if not path.exists():
            make(path)
    progress.report(1.0, f"Simulated facility in {tree.directory}")
    return tree


def _claim(directory: Path) -> None:
    """Refuse a folder that is not ours; mark a new one as ours."""
    occupied = _content(directory)
    if occupied and not (directory / MARKER).is_file():
        raise InputError(
            f"A simulated facility needs a folder of its own, but {directory} holds something else.",
            found=occupied,
            fix="Choose a folder that does not exist or is empty.",
        )
    _make_folder(directory)
    if not occupied:
        _write_text(directory / MARKER, json.dumps({"format": "snapcal simulated facility 1"}) + "\n")


def _content(directory: Path) -> str:
    """What is in a folder, in words; "" for one that is empty or does not exist."""
    try:
        if directory.exists() and not directory.is_dir():
            return "a file"
        return ", ".join(sorted(path.name for path in directory.iterdir())[:8]) if directory.exists() else ""
    except OSError as error:
        raise _not_usable(directory, error) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_usable(folder, error) from error


def _not_usable(folder: Path, error: OSError) -> StoreError:
    kind = PermissionDeniedError if isinstance(error, PermissionError) else StoreError
    return kind(f"Could not use the folder {folder}.", found=str(error), fix="Choose a folder that you may write to.")


def _parts(tree: SimulatedTree) -> dict[Path, Callable[[Path], None]]:
    """What makes each file of the tree. The configuration comes last, so that it never points to a half-made tree."""
    home = tree.directory / "SNS" / "SNAP" / "shared" / "Calibration"
    parameters, powder = home / "SNAPInstPrm", home / "Powder"
    groupings = powder / "PixelGroupingDefinitions"
    parts: dict[Path, Callable[[Path], None]] = {
        parameters / "v_0000" / f"{parameters.name}.json": lambda path: _write_json(path, _instrument_parameters()),
        parameters / INDEX_NAME: lambda path: _write_json(path, [_index_entry().to_json()]),
        groupings / DEFAULT_MAP: lambda path: _write_json(path, _grouping_map()),
        powder / "LiteGroupMap.hdf": _write_lite_map,
    }
    for name in SAMPLES:
        parts[home / "CalibrantSamples" / name] = _write_sample
    for mode in SNAP.modes:
        for name in ("All", "Bank", "Column"):
            parts[groupings / _grouping_file(name, mode)] = partial(_write_grouping, name=name, mode=mode)
    parts[tree.config_path] = lambda path: _write_text(path, _CONFIG_TEXT)
    return parts


def _write_text(path: Path, text: str) -> None:
    replace_file(path, text.encode(), "a file of the simulated facility")


def _write_json(path: Path, content: Any) -> None:
    _write_text(path, json.dumps(content, indent=2) + "\n")


def _write_sample(path: Path) -> None:
    _write_text(path, sample_text(path.name))


def sample_text(name: str) -> str:
    """Text of one of `SAMPLES`."""
    return (resources.files("snapcal_workbench.simulation") / "samples" / name).read_text(encoding="utf-8")


def snap_grouping(name: str, mode: PixelMode) -> PixelGrouping:
    """SNAP's own grouping "All", "Bank" (1 East, 2 West) or "Column" (1 to 6, in order of falling 2theta)."""
    module = mode.layout.module
    groups = {"All": np.ones(18, np.int32), "Bank": np.repeat([1, 2], 9), "Column": np.repeat(_COLUMN_OF, 3)}
    return PixelGrouping(mode.detid, groups[name].astype(np.int32)[module], name=name)


def _grouping_file(name: str, mode: PixelMode) -> str:
    return f"SNAPFocGroup_{name}{'.lite' if mode.merged else ''}.hdf"


def _write_grouping(path: Path, *, name: str, mode: PixelMode) -> None:
    instrument = mode.definition
    write_grouping(path, snap_grouping(name, mode), instrument=instrument, source=f"{instrument}_Definition.xml")


def _write_lite_map(path: Path) -> None:
    lite_of = merged_by_place(SNAP.native.layout, SNAP.lite.blocks)
    grouping = PixelGrouping(SNAP.native.detid, (lite_of + 1).astype(np.int32), name="LiteGroupMap")
    write_grouping(path, grouping, instrument=SNAP.native.definition, source="SNAP_Definition.xml")


def _grouping_map() -> dict[str, Any]:
    def entries(mode: PixelMode) -> list[dict[str, str]]:
        return [{"name": name, "definition": _grouping_file(name, mode)} for name in ("Column", "Bank", "All")]

    return {"stateId": "aabbbcccdddeeeff", **{f"{mode.name}FocusGroups": entries(mode) for mode in SNAP.modes}}


def _index_entry() -> IndexEntry:
    return IndexEntry(
        version=0,
        run_number="000000",
        use_lite_mode=False,
        applies_to=">=0",
        comments="Parameters of the simulated instrument",
        author="snapcal",
        timestamp=_TIMESTAMP,
    )


def _instrument_parameters() -> dict[str, Any]:
    """SNAP's parameters, with the beam divergence that its measured peak widths confirm."""
    divergence = {"keyPVs": [GUIDE_LOG], "items": [[[1], 3.2e-3], [[2], 6.667e-4]]}
    return {
        "version": 0,
        "indexEntry": _index_entry().to_json(),
        "facility": "SNS",
        "bandwidth": 3.0,
        "maxBandwidth": 3.2,
        "L1": 15.0,
        "L2": 0.5,
        "delTOverT": 0.002,
        "delLOverL": 6.452e-5,
        "width": 1600.0,
        "frequency": 60.4,
        "lowWavelengthCrop": 0.05,
        "cycle": {"cycleID": "2024-A", "startDate": "2024-01-04", "stopDate": "2024-06-30", "firstRun": FIRST_RUN},
        "stateIdSchema": {**LEGACY_SCHEMA, "derivedPVs": {"deltaTheta": divergence}},
    }
