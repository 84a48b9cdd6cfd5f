"""The README's script: its names exist, its calls run one after the other, and the record says what was run."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snapcal_workbench.algorithms.catalogue import ALGORITHMS
from snapcal_workbench.algorithms.ingredients import state_of
from snapcal_workbench.algorithms.properties import input_properties, model_of
from snapcal_workbench.calibration.types import Account, DiffCalTable, Events, PixelMask
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store.references import open_version
from snapcal_workbench.store.state_init import init_state

README = Path(__file__).parents[2] / "README.md"


def calls() -> list[tuple[str, dict[str, Any]]]:
    """Algorithm and properties of each call in the README's Python script."""
    (script,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    found = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call)]
    return [
        (node.func.id, {str(k.arg): ast.literal_eval(k.value) for k in node.keywords})
        for node in found
        if isinstance(node.func, ast.Name)
    ]


@pytest.fixture
def host(small_tree: SimulatedTree) -> EmbeddedHost:
    return EmbeddedHost(small_tree.settings)


def run(host: EmbeddedHost, name: str, properties: dict[str, Any]) -> Any:
    """Run an algorithm with properties as Mantid gives them."""
    declared = input_properties(ALGORITHMS[name].inputs)
    assert set(properties) <= {declaration.name for declaration in declared}
    values = {declaration.name: declaration.default for declaration in declared} | properties
    inputs = model_of(ALGORITHMS[name].inputs, declared, lambda declaration: values[declaration.name])
    return host.run(ALGORITHMS[name], inputs, Progress())


def test_the_script_calibrates_and_saves_a_version_whose_record_has_its_history(host: EmbeddedHost) -> None:
    names = [name for name, _ in calls()]
    assert names == ["LoadCalibrationRun", "PixelDiffCal", "GroupDiffCal", "SaveCalibrationVersion"]
    outputs = None
    for name, properties in calls():
        outputs = run(host, name, properties)
        if name == "LoadCalibrationRun":
            info = host.workspaces.read("run", Events).run
            init_state(
                host.settings,
                state_of(info, host),
                name="test",
                run_number=info.run_number,
                author="tester",
                progress=Progress(),
            )
    assert outputs is not None
    stored = open_version(host.settings, f"58882:{outputs.version}")
    assert stored.record.own is not None
    assert stored.record.own.provenance["account"] == "of the calibration itself"
    assert stored.record.own.account is not None
    account = Account.from_plain(stored.record.own.account)
    assert len(account.pixel_steps) == len(account.group_steps) == 1
    assert account.is_of(host.workspaces.read("table", DiffCalTable))
    assert account.sources.calibrant_name
    history: Any = stored.record.own.provenance["history"]
    assert [entry["algorithm"] for entry in history] == names[:-1]
    assert {entry["outcome"] for entry in history} == {"finished"}
    assert history[1]["inputs"]["output_table"] == "table"
    assert {"run", "grouping", "table", "mask", "results", "offsets", "dsp", "fits", "fitted"} == set(
        host.workspaces.names()
    )


def test_a_table_that_was_changed_by_hand_is_saved_with_a_record_that_says_so(host: EmbeddedHost) -> None:
    steps = calls()
    for name, properties in steps[:-1]:
        if name == "PixelDiffCal":  # its table is that of the geometry here, which costs no time
            table = DiffCalTable.from_geometry(host.workspaces.read("run", Events).geometry)
            host.workspaces.write("table", table)
            host.workspaces.write("mask", PixelMask.none(table.detid))
            continue
        run(host, name, properties)
        if name == "LoadCalibrationRun":
            info = host.workspaces.read("run", Events).run
            state = state_of(info, host)
            init_state(host.settings, state, name="t", run_number=info.run_number, author="t", progress=Progress())
    table = host.workspaces.read("table", DiffCalTable)
    host.workspaces.write("table", replace(table, difc=table.difc * 1.0001))
    saved = run(host, steps[-1][0], {**steps[-1][1], "Results": ""})
    own = open_version(host.settings, f"58882:{saved.version}").record.own
    assert own is not None
    assert str(own.provenance["account"]).startswith("derived at saving")
    account: Any = own.account
    assert account["pixel_steps"] == account["group_steps"] == []
    assert account["verdict"]["word"] == "usable"
