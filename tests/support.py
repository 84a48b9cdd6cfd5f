"""What several tests use: copies of a simulated tree, and `snapcal` in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.state_store import StateStore


def copy_tree(tree: SimulatedTree, directory: Path) -> SimulatedTree:
    """A copy of a simulated tree; the runs are hard links, since nothing ever writes to them."""
    shutil.copytree(tree.directory, directory, copy_function=_link_runs)
    return SimulatedTree(directory)


def _link_runs(source: str, target: str) -> None:
    if source.endswith(".nxs.h5"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str


def run_snapcal(*arguments: str, config: Path | None = None, timeout: float = 300.0) -> Finished:
    """Run `snapcal` in a process of its own."""
    given: Sequence[str] = ["--config", str(config), *arguments] if config else arguments
    command = [sys.executable, "-m", "snapcal_workbench.cli", *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    return Finished(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Demo:
    """A finished demonstration."""

    tree: SimulatedTree
    finished: Finished


def version_for(store: StateStore, run: int) -> int | None:
    """The version that applies to a run."""
    entry = store.choose(run)
    return entry.version if entry is not None else None


def ink(figure: Figure) -> float:
    """Draw a figure; share of its pixels that are unlike its corner."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    return float(np.mean(np.any(pixels != pixels[0, 0], axis=-1)))
