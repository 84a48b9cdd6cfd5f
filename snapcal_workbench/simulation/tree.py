"""An SNS-like tree in a folder of one's own: everything that a calibration finds at the facility, but the runs.

    snapcal-simulation.json     says that the folder is ours; holds nothing else that matters
    snapcal.toml                configuration that points every home into this tree
    SNS/<beam line>/IPTS-00001/nexus   simulated runs
    SNS/<beam line>/shared/Calibration instrument parameters, calibrants, groupings, lite map; later the states
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

import numpy as np

from snapcal_workbench.calibration.types import PixelGrouping
from snapcal_workbench.errors import InputError, PermissionDeniedError, StoreError
from snapcal_workbench.formats.disk.writing import replace_file
from snapcal_workbench.formats.grouping import write_grouping
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.instrument.groupings import DEFAULT_MAP
from snapcal_workbench.instrument.merging import merged_by_place
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.parameters import INDEX_NAME
from snapcal_workbench.options import Settings
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.beamline import SNAP_BEAMLINE, Beamline

MARKER = "snapcal-simulation.json"
CONFIG = "snapcal.toml"
PROPOSAL = "IPTS-00001"
FIRST_RUN = 52862
"""First run of the cycle that the instrument parameters are of."""
SAMPLES = ("Silicon_NIST_640d_001.json", "Silicon_NIST_640d.cif", "Diamond_001.json", "Diamond.cif")

_CONFIG_TEXT = """\
# Settings of this simulated facility: snapcal --config snapcal.toml ..., or SNAPCAL_CONFIG=<path of this file>.
# Relative paths are relative to this file.
instrument = "{instrument}"
ipts_root = "SNS"
lock_directory = "locks"
session_directory = "session"
"""

_TIMESTAMP = "2024-01-10T10:00:00.000000000+0000"


@dataclass(frozen=True)
class SimulatedTree:
    """Where things are in a simulated tree."""

    directory: Path
    beamline: Beamline = SNAP_BEAMLINE

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
        files = self.beamline.instrument.files
        return self.directory / "SNS" / self.beamline.folder / PROPOSAL / files.kinds["native"].format(run=run_number)

    def truth_path(self, run_number: str | int) -> Path:
        """Truth of a run."""
        return self.directory / "truth" / f"{self.beamline.instrument.files.prefix}{run_number}.truth.h5"


def make_tree(
    directory: Path, *, beamline: Beamline = SNAP_BEAMLINE, progress: Progress | None = None
) -> SimulatedTree:
    """Make an SNS-like tree, or complete one that was made before.

    Args:
        directory: A folder that does not exist, is empty, or holds a tree that this function made for the instrument.
        beamline: The instrument and its surroundings.
        progress: Where to report to.

    Raises:
        InputError: The folder holds something else, or is a file.
        PermissionDeniedError: We may not write there.
        StoreError: It cannot be written for another reason.
        Cancelled: The user cancelled; what is complete stays.
    """
    progress = progress or Progress()
    tree = SimulatedTree(user_path(directory).absolute(), beamline)
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
    beamline = tree.beamline
    home = tree.directory / "SNS" / beamline.folder / "shared" / "Calibration"
    parameters, powder = home / f"{beamline.folder}InstPrm", home / "Powder"
    groupings = powder / "PixelGroupingDefinitions"
    parts: dict[Path, Callable[[Path], None]] = {
        parameters / "v_0000" / f"{parameters.name}.json": lambda path: _write_json(
            path, _instrument_parameters(beamline)
        ),
        parameters / INDEX_NAME: lambda path: _write_json(path, [_index_entry().to_json()]),
        groupings / DEFAULT_MAP: lambda path: _write_json(path, _grouping_map(beamline)),
    }
    for name in SAMPLES:
        parts[home / "CalibrantSamples" / name] = _write_sample
    for mode in beamline.instrument.modes:
        if mode.merged:
            parts[powder / "LiteGroupMap.hdf"] = partial(_write_lite_map, mode=mode)
        for name in beamline.groupings:
            path = groupings / _grouping_file(beamline, name, mode)
            parts[path] = partial(_write_grouping, beamline=beamline, name=name, mode=mode)
    parts[tree.config_path] = lambda path: _write_text(path, _CONFIG_TEXT.format(instrument=beamline.instrument.name))
    return parts


def _write_text(path: Path, text: str) -> None:
    replace_file(path, text.encode(), "a file of the simulated facility")


def _write_json(path: Path, content: object) -> None:
    _write_text(path, json.dumps(content, indent=2) + "\n")


def _write_sample(path: Path) -> None:
    _write_text(path, sample_text(path.name))


def sample_text(name: str) -> str:
    """Text of one of `SAMPLES`."""
    return (resources.files("snapcal_workbench.simulation") / "samples" / name).read_text(encoding="utf-8")


def grouping_of(beamline: Beamline, name: str, mode: PixelMode) -> PixelGrouping:
    """One of the groupings of a beam line, for the pixels of a mode."""
    return PixelGrouping(mode.detid, beamline.groupings[name][mode.layout.module].astype(np.int32), name=name)


def _grouping_file(beamline: Beamline, name: str, mode: PixelMode) -> str:
    return f"{beamline.folder}FocGroup_{name}{f'.{mode.name}' if mode.merged else ''}.hdf"


def _write_grouping(path: Path, *, beamline: Beamline, name: str, mode: PixelMode) -> None:
    source = f"{mode.definition}_Definition.xml"
    write_grouping(path, grouping_of(beamline, name, mode), instrument=mode.definition, source=source)


def _write_lite_map(path: Path, *, mode: PixelMode) -> None:
    merged = merged_by_place(mode.native.layout, mode.blocks)
    grouping = PixelGrouping(mode.native.detid, (merged + 1).astype(np.int32), name="LiteGroupMap")
    source = f"{mode.native.definition}_Definition.xml"
    write_grouping(path, grouping, instrument=mode.native.definition, source=source)


def _grouping_map(beamline: Beamline) -> dict[str, object]:
    def entries(mode: PixelMode) -> list[dict[str, str]]:
        return [{"name": name, "definition": _grouping_file(beamline, name, mode)} for name in beamline.groupings]

    lists = {f"{mode.name}FocusGroups": entries(mode) for mode in beamline.instrument.modes}
    return {"stateId": "aabbbcccdddeeeff", **lists}


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


def _instrument_parameters(beamline: Beamline) -> dict[str, object]:
    cycle = {"cycleID": "2024-A", "startDate": "2024-01-04", "stopDate": "2024-06-30", "firstRun": FIRST_RUN}
    return {"version": 0, "indexEntry": _index_entry().to_json(), "cycle": cycle, **beamline.parameters}
