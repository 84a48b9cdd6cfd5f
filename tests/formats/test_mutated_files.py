"""Whatever a file's structure is changed to, its reader answers or raises one of our errors, which names the file.

Each kind of file is read in a process of its own, with a limit of memory, and of time for each file.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.calibration.types import (
    DiffCalTable,
    FitTable,
    Geometry,
    PixelGrouping,
    PixelMask,
    RunInfo,
    Spectra,
    TofWindow,
)
from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.formats.diffcal import read_diffcal, write_diffcal
from snapcal_workbench.formats.disk.files import naming, read_bytes
from snapcal_workbench.formats.grouping import read_grouping
from snapcal_workbench.formats.masks import read_mask
from snapcal_workbench.formats.nexus.events import read_events
from snapcal_workbench.formats.processed import read_processed, write_processed
from snapcal_workbench.formats.values import read_values, write_values
from snapcal_workbench.instrument.calibrants import read_calibrant
from snapcal_workbench.instrument.groupings import groupings_of_state
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.instrument.parameters import read_instrument_parameters
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.state import instrument_state
from snapcal_workbench.options import Settings
from tests.formats.mutations import Mutate, mutate_hdf5, mutate_json, mutate_lines, mutate_toml
from tests.instrument.conftest import LOGS, write_parameters, write_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and limits of Unix")

SECONDS = 20
MEMORY = 1 << 30
FILES = {"short": 20, "long": 720}
"""Files of each of the 14 kinds; the long form reads 10,080."""

SILICON = """data_test
_cell_length_a 5.43123
_cell_length_b 5.43123
_cell_length_c 5.43123
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F d -3 m:2'
_space_group_IT_number 227
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Si1 Si 0.125 0.125 0.125 0.006
"""
TOML = """preset = "snapred"
calibration_home = "tree"
minimum_run = 46342
read_lite_from_ipts = false
[options.pixels]
max_passes = 3
max_shift = 0.01
[options.peaks]
crystal_d_min = 0.5
"""


@dataclass(frozen=True)
class Kind:
    """A kind of file: a good one, how it is changed, and what reads it."""

    path: Path
    mutate: Mutate
    read: Callable[[Path], Any]


@pytest.fixture
def kinds(
    tmp_path: Path,
    detid: np.ndarray,
    table: DiffCalTable,
    mask: PixelMask,
    pixel_grouping: PixelGrouping,
    spectra: Spectra,
    fits: FitTable,
    geometry: Geometry,
    event_file: Path,
) -> dict[str, Kind]:
    """All kinds, each read once from a good file."""
    settings = Settings(ipts_root=tmp_path / "SNS")
    write_parameters(settings, {0: (">=0", "2024-01-01T00:00:00.000000000+0000", {"stateIdSchema": _schema()})})
    parameters = settings.instrument_parameters / "v_0000/SNAPInstPrm.json"
    samples, maps = settings.calibrant_samples, settings.pixel_groupings
    for folder in (samples, maps):
        folder.mkdir(parents=True)
    (samples / "silicon.cif").write_text(SILICON)
    calibrant = samples / "silicon.json"
    calibrant.write_text(json.dumps(_calibrant()))
    grouping_map = maps / "defaultGroupingMap.json"
    definition = maps / "SNAPFocGroup_Column.lite.hdf"
    write_diffcal(definition, table, mask, pixel_grouping)
    group = [{"name": "Column", "definition": definition.name}]
    grouping_map.write_text(json.dumps({"stateId": "x", "liteFocusGroups": group, "nativeFocusGroups": []}))
    run = write_run(tmp_path / "SNAP_58882.nxs.h5", "58882", {**LOGS, "phase": 1.0})
    toml, cif = tmp_path / "config.toml", tmp_path / "a.cif"
    toml.write_text(TOML)
    cif.write_text(SILICON)
    write_diffcal(tmp_path / "diffcal.h5", table, mask, pixel_grouping, instrument="SNAP")
    write_values(tmp_path / "values.h5", {"table": table, "mask": mask, "output": spectra, "fits": fits})
    write_processed(tmp_path / "processed.nxs", {"dsp": spectra}, instrument="SNAP", geometry=geometry)
    xml = tmp_path / "grouping.xml"
    xml.write_text('<detector-grouping>\n<group ID="1">\n<detids> 10-29 </detids>\n</group>\n</detector-grouping>')
    index = settings.instrument_parameters / "InstrumentParameterIndex.json"
    found = {
        "index": Kind(index, mutate_json, lambda p: read_instrument_parameters(settings, 58882)),
        "parameters": Kind(parameters, mutate_json, lambda p: _state(settings, p)),
        "calibrant": Kind(calibrant, mutate_json, lambda p: read_calibrant(p, settings)),
        "grouping map": Kind(grouping_map, mutate_json, lambda p: groupings_of_state(settings, "0" * 16, SNAP.lite)),
        "settings": Kind(toml, mutate_toml, Settings.load),
        "cif": Kind(cif, mutate_lines, _reflections),
        "diffcal": Kind(tmp_path / "diffcal.h5", mutate_hdf5, read_diffcal),
        "grouping": Kind(tmp_path / "diffcal.h5", mutate_hdf5, lambda p: read_grouping(p, detid)),
        "mask": Kind(tmp_path / "diffcal.h5", mutate_hdf5, lambda p: read_mask(p, detid)),
        "grouping xml": Kind(xml, mutate_lines, lambda p: read_grouping(p, detid)),
        "values": Kind(tmp_path / "values.h5", mutate_hdf5, read_values),
        "processed": Kind(tmp_path / "processed.nxs", mutate_hdf5, read_processed),
        "logs": Kind(run, mutate_hdf5, lambda p: identify_run(RunRequest((p,), SNAP.lite), settings)),
        "events": Kind(event_file, mutate_hdf5, _events),
    }
    for kind in found.values():
        kind.read(kind.path)
    return found


def _schema() -> dict[str, Any]:
    guide = {"keyPVs": ["BL3:Mot:OpticsPos:Pos"], "items": [[[1], 3.2e-3], [[2], 2e-3]]}
    return json.loads(json.dumps({**SNAP.logs.schema, "derivedPVs": {"deltaTheta": guide}}))


def _calibrant() -> dict[str, Any]:
    return {
        "name": "Silicon",
        "crystallography": {"cifFile": "silicon.cif"},
        "peakIntensityFractionThreshold": 0.05,
        "overrides": {"crystalDMin": 0.5, "peakFunction": "Gaussian"},
    }


def _state(settings: Settings, path: Path) -> Any:
    parameters = read_instrument_parameters(settings, 58882)
    with naming(path):
        state = instrument_state(RunInfo("58882", logs=LOGS), parameters, SNAP)
        return state.window, state.resolution(SNAP.lite), state.geometry(SNAP.lite).difc


def _reflections(path: Path) -> Any:
    text = read_bytes(path, "a CIF file").decode("utf-8-sig", "replace")
    with naming(path):
        return reflections_from_cif(text, d_min=0.8, d_max=10.0, source=str(path))


def _events(path: Path) -> Any:
    return read_events(path, pixel_of=None, n_pixels=40, window=TofWindow(1000.0, 12_000.0))


def _in_limits(work: Callable[[], list[str]], folder: Path) -> list[str]:
    """What `work` returns in a forked process with a limit of memory."""
    answer = folder / "answer.json"
    child = os.fork()
    if child == 0:
        try:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
            answer.write_text(json.dumps(work()))
        except BaseException:
            answer.write_text(json.dumps([traceback.format_exc()]))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return json.loads(answer.read_text()) if status == 0 else [f"the process ended with {status}"]


def _too_long(*_: object) -> None:
    raise AssertionError(f"longer than {SECONDS} s")


def _faults(kind: Kind, seeds: Iterator[int] | range) -> list[str]:
    """What came out that is none of our errors, or does not name the file."""
    good, faults = kind.path.read_bytes(), []
    signal.signal(signal.SIGALRM, _too_long)
    refused = 0
    for seed in seeds:
        kind.path.write_bytes(good)
        kind.mutate(kind.path, random.Random(seed))
        signal.alarm(SECONDS)
        try:
            kind.read(kind.path)
        except SnapcalError as error:
            refused += 1
            if kind.path.name not in str(error) or not error.fix:
                faults.append(f"seed {seed}: the file is not named: {error}")
        except BaseException:
            faults.append(f"seed {seed}: {traceback.format_exc(limit=-4)}")
        finally:
            signal.alarm(0)
    kind.path.write_bytes(good)
    return faults if refused else [*faults, "no file was refused"]


@pytest.mark.parametrize("form", ["short", pytest.param("long", marks=pytest.mark.long)])
def test_only_our_errors_come_out_and_name_the_file(kinds: dict[str, Kind], form: str, tmp_path: Path) -> None:
    """Of 280 files, in the long form of 10,080."""
    faults = {name: _in_limits(partial(_faults, kind, range(FILES[form])), tmp_path) for name, kind in kinds.items()}
    told = [f"{name}: {fault}" for name, found in faults.items() for fault in found]
    assert not told, "\n".join(told[:20])
