"""The checks of the self-test, each run by `main` in a process of its own.

A check returns what it found, in words, and raises what is wrong. Those in Mantid compare with what the embedded ones
left in the folder. This file is imported by processes that have no Mantid, so it reaches Mantid through the host alone.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snapcal_workbench.algorithms.calibrate import CALIBRATE_DIFFRACTION, output_names_as_inputs
from snapcal_workbench.algorithms.load_run import LOAD_CALIBRATION_RUN
from snapcal_workbench.calibration.types import DiffCalTable, Events, FitTable, PixelMask, Spectra
from snapcal_workbench.formats.processed import write_processed
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.calibrants import read_calibrant
from snapcal_workbench.instrument.loading import load_events
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.manifest import load_object, read_manifest
from snapcal_workbench.progress import Progress
from snapcal_workbench.self_test.samples import require_same, require_same_events, samples
from snapcal_workbench.simulation.run import simulate_run, visible_reflections
from snapcal_workbench.simulation.tree import SimulatedTree, make_tree
from snapcal_workbench.workspaces.names import OutputNames
from snapcal_workbench.workspaces.protocol import Group, Host, RunRequest, Value

RUN = "58882"
CALIBRANT = "Silicon_NIST_640d_001"
EVENTS = 400_000
SAME = 1e-9
"""Largest relative difference of DIFC between the hosts; that of the pixel step alone is below 1e-12."""
_RESULT = "embedded.npz"


def main() -> None:
    """Make the check that the arguments name ("embedded" or "Mantid", check, folder), and print what came of it."""
    faulthandler.enable()
    where, name, folder = sys.argv[1:4]
    try:
        found = _CHECKS[where](name, Path(folder))
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}))
        sys.exit(1)
    print(json.dumps({"found": found}))


# -- without Mantid ---------------------------------------------------------------------------------------------------


def _embedded(name: str, folder: Path) -> str:
    checks: dict[str, Callable[[Path], str]] = {
        "simulated run": _simulated_run,
        "workspaces": _embedded_workspaces,
        "calibration": _embedded_calibration,
    }
    return checks[name](folder)


def _tree(folder: Path) -> SimulatedTree:
    return SimulatedTree(folder / "tree")


def _simulated_run(folder: Path) -> str:
    tree = make_tree(folder / "tree")
    known = read_calibrant(CALIBRANT, tree.settings)
    reflections = visible_reflections(known.cif_text, source=str(known.cif_path))
    simulate_run(tree.run_path(RUN), reflections=reflections, run_number=RUN, n_events=EVENTS, seed=3, time_offset=-8.0)
    return f"{len(_events(folder, SNAP.lite).tof)} events written and read"


def _events(folder: Path, mode: PixelMode) -> Events:
    return load_events(RunRequest((RUN,), mode), _tree(folder).settings)


def _embedded_workspaces(folder: Path) -> str:
    host = EmbeddedHost(_tree(folder).settings)
    for kind, value in samples().items():
        _write_and_read(host, kind, value)
    return f"{len(samples())} kinds written and read"


def _write_and_read(host: Host, kind: str, value: Value) -> None:
    host.workspaces.write(kind, value)
    found = host.workspaces.kind(kind)
    if found != kind:
        raise AssertionError(f"a workspace of kind {kind} is taken for {found}")
    require_same(host.workspaces.read(kind, type(value)), value)


def _embedded_calibration(folder: Path) -> str:
    result = _calibration(EmbeddedHost(_tree(folder).settings))
    np.savez(folder / _RESULT, difc=result["difc"], tzero=result["tzero"], reason=result["reason"])
    return f"{np.count_nonzero(result['reason'] == 0)} pixels calibrated"


def _calibration(host: Host) -> dict[str, np.ndarray]:
    given = {"runs": (RUN,), "grouping": "Column", "output_workspace": "run", "output_grouping": "grouping"}
    host.run(LOAD_CALIBRATION_RUN, LOAD_CALIBRATION_RUN.inputs(**given), Progress())
    names = OutputNames(RUN, "Column")
    inputs = CALIBRATE_DIFFRACTION.inputs(
        input_workspace="run",
        grouping_workspace="grouping",
        calibrant=CALIBRANT,
        **output_names_as_inputs(names, skip_pixels=False),
    )
    host.run(CALIBRATE_DIFFRACTION, inputs, Progress())
    table, mask = host.workspaces.read(names.table, DiffCalTable), host.workspaces.read(names.mask, PixelMask)
    return {"difc": table.difc, "tzero": table.tzero, "reason": mask.reason}


# -- in Mantid --------------------------------------------------------------------------------------------------------


def _mantid(name: str, folder: Path) -> str:
    host = importlib.import_module("snapcal_workbench.hosts.mantid_host").MantidHost(_tree(folder).settings)
    checks: dict[str, Callable[[Host, Path], str]] = {
        "algorithms": _algorithms,
        "processed file": _processed_file,
        "lite run": lambda host, folder: _loaded(host, folder, SNAP.lite),
        "native run": lambda host, folder: _loaded(host, folder, SNAP.native),
        "calibration": _same_calibration,
    }
    if name.startswith("workspace "):
        return _one_kind(host, name.removeprefix("workspace "))
    return checks[name](host, folder)


def _algorithms(host: Host, folder: Path) -> str:
    names = _register(host)
    manager = importlib.import_module("mantid.api").AlgorithmManager
    for name in names:
        manager.createUnmanaged(name).initialize()
    return f"{len(names)} registered, each with its properties"


def _register(host: Host) -> list[str]:
    register = importlib.import_module("snapcal_workbench.algorithms.mantid_algorithms").register
    for entry in read_manifest().algorithms:
        register(entry.name, lambda entry=entry: load_object(entry.object), lambda: host)
    return [entry.name for entry in read_manifest().algorithms]


def _one_kind(host: Any, kind: str) -> str:
    if kind == "Group":
        for member in ("PixelMask", "FitTable"):
            host.workspaces.write(member, samples()[member])
        host.workspaces.write("Group", ("PixelMask", "FitTable"))
        if set(host.workspaces.read("Group", Group)) != {"PixelMask", "FitTable"}:
            raise AssertionError(f"members {host.workspaces.read('Group', Group)}")
        return "two members"
    _write_and_read(host, kind, samples()[kind])
    names = host.workspaces.names()
    if names != [kind]:
        raise AssertionError(f"workspaces are left behind: {names}")
    return f"written and read as a {host.workspaces.id_of(kind)}"


def _processed_file(host: Host, folder: Path) -> str:
    spectra, fits = samples()["Spectra"], samples()["FitTable"]
    assert isinstance(spectra, Spectra)
    assert isinstance(fits, FitTable)
    path = folder / "processed.nxs"
    write_processed(path, {"dsp": spectra, "fits": fits}, instrument="SNAP")
    run = importlib.import_module("snapcal_workbench.hosts.mantid_execution").run_on_list
    run("LoadNexusProcessed", Filename=str(path), OutputWorkspace="both")
    members = host.workspaces.read("both", Group)
    require_same(host.workspaces.read(members[0], Spectra), spectra)
    return f"{len(members)} workspaces read by LoadNexusProcessed"


def _loaded(host: Host, folder: Path, mode: PixelMode) -> str:
    loaded = host.load_run(RunRequest((RUN,), mode), "run", Progress())
    wanted = _events(folder, mode)
    if loaded.n_events != len(wanted.tof):
        raise AssertionError(f"{loaded.n_events} events loaded, {len(wanted.tof)} are in the run")
    require_same_events(host.workspaces.read("run", Events), wanted)
    return f"{loaded.n_events} events in {len(wanted.geometry)} pixels, as our own reader has them"


def _same_calibration(host: Host, folder: Path) -> str:
    _register(host)
    found = _calibration(host)
    with np.load(folder / _RESULT) as wanted:
        largest = float(np.max(np.abs(found["difc"] / wanted["difc"] - 1.0)))
        masks = int(np.count_nonzero(found["reason"] != wanted["reason"]))
    if largest > SAME or masks:
        raise AssertionError(f"DIFC differs from the embedded host's by {largest:.1e}, the mask in {masks} pixels")
    return f"DIFC as the embedded host's to {largest:.1e}, and the same mask"


_CHECKS: dict[str, Callable[[str, Path], str]] = {"embedded": _embedded, "Mantid": _mantid}
