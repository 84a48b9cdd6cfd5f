"""Commands that only look load neither what computes nor what draws, so that they answer at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snapcal_workbench.cli import commands
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.hostile import RUN

HEAVY = {"scipy", "numba", "llvmlite", "matplotlib", "gemmi", "jinja2", "qtpy", "dask"}
UNASKED = {"asyncio", "pydantic_settings", "filelock", "psutil", "ssl"}
"""What reads variables of the environment, takes locks, and looks at other processes."""
MOST_MODULES = 590
"""A look at versions takes 560 modules, most of them of numpy, h5py, pydantic and rich; it was 1,280 with scipy."""

LOADED = """
import sys
from snapcal_workbench.cli import main
try:
    main()
finally:
    print("MODULES", *sys.modules)
"""


def loaded(*arguments: str) -> list[str]:
    """Modules that a command has loaded when it is done."""
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.rsplit("MODULES", 1)[1].split()


@pytest.mark.parametrize("command", [("config",), ("state", RUN), ("versions", RUN), ("show", f"{RUN}:1")])
def test_looking_loads_little(hostile: SimulatedTree, command: tuple[str, ...]) -> None:
    modules = loaded("--config", str(hostile.config_path), *command)
    assert (HEAVY | UNASKED) & {name.partition(".")[0] for name in modules} == set()
    assert len(modules) < MOST_MODULES


def test_help_loads_no_arrays() -> None:
    modules = loaded("--help")
    assert (HEAVY | {"numpy", "h5py"}) & {name.partition(".")[0] for name in modules} == set()


def test_a_command_line_loads_the_commands_that_it_names() -> None:
    modules = loaded("--version", "versions")
    assert "snapcal_workbench.cli.store" in modules
    assert "snapcal_workbench.cli.calibrating" not in modules


def test_every_command_of_every_module_is_known() -> None:
    for module, names in commands._MODULES.items():
        found = __import__(f"snapcal_workbench.cli.{module}", fromlist=["COMMANDS"])
        assert tuple(found.COMMANDS) == names
