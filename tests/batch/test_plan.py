"""Plans: which tasks a text stands for, and what is said of one that stands for none."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapcal_workbench.batch.plan import MOST_TASKS, Plan, plan_of_runs, read_plan
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.options import Settings

STUDY = """
name = "silicon"
runs = ["58882-58884,58890", "58891+58892"]
[inputs]
calibrant = "Silicon_NIST_640d_001"
pixels.max_passes = 7
[vary]
groups.model = ["DIFC", "DIFC+TZERO"]
[[tasks]]
name = "diamond"
runs = ["58900"]
calibrant = "Diamond_001"
"""


def plan_of(text: str, folder: Path) -> Plan:
    path = folder / "plan.toml"
    path.write_text(text)
    return read_plan(path, Settings())


def test_a_plan_makes_a_task_of_each_measurement_and_combination(tmp_path: Path) -> None:
    plan = plan_of(STUDY, tmp_path)
    measured = {task.request.runs for task in plan.tasks}
    assert measured == {("58882",), ("58883",), ("58884",), ("58890",), ("58891", "58892"), ("58900",)}
    assert len(plan.tasks) == 12
    assert {task.request.options.groups.model for task in plan.tasks} == {"DIFC", "DIFC+TZERO"}
    assert {task.request.options.pixels.max_passes for task in plan.tasks} == {7}
    diamonds = [task for task in plan.tasks if task.request.calibrant == "Diamond_001"]
    assert [task.label for task in diamonds] == [
        "diamond, 58900, groups.model = DIFC",
        "diamond, 58900, groups.model = DIFC+TZERO",
    ]


def test_the_same_task_has_the_same_key_and_is_made_once(tmp_path: Path) -> None:
    first, again = (plan_of(STUDY, tmp_path) for _ in range(2))
    assert [task.key for task in first.tasks] == [task.key for task in again.tasks]
    assert len({task.key for task in first.tasks}) == len(first.tasks)
    twice = plan_of_runs(["58882", "58882-58883"], {"calibrant": "Diamond_001"}, {}, Settings())
    assert [task.request.runs for task in twice.tasks] == [("58882",), ("58883",)]


def test_a_task_of_another_tree_is_another_task(tmp_path: Path) -> None:
    here, there = (plan_of_runs(["58882"], {}, {}, Settings(calibration_home=tmp_path / name)) for name in "ab")
    assert here.tasks[0].key != there.tasks[0].key


def test_a_preset_that_varies_replaces_the_options() -> None:
    plan = plan_of_runs(["58882"], {}, {"preset": ["standard", "snapred"]}, Settings())
    assert [task.request.options.groups.method for task in plan.tasks] == ["joint", "peaks"]


def test_files_of_a_plan_are_relative_to_it(tmp_path: Path) -> None:
    (task,) = plan_of('runs = ["SNAP_58882.nxs.h5"]', tmp_path).tasks
    assert task.request.runs == (str(tmp_path / "SNAP_58882.nxs.h5"),)
    assert task.label == "SNAP_58882"


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("runs = [", FileFormatError, "TOML"),
        ('runs = ["58882"]\nspeed = 3', InputError, "speed"),
        ('runs = ["58882"]\n[inputs]\ngroups.modell = "DIFC"', InputError, "groups.model"),
        ('runs = ["58882"]\n[vary]\ngroups.model = ["DIFC", "none"]', InputError, "none"),
        ('name = "empty"', InputError, "0 measurements"),
        ('runs = ["58882"]\n[vary]\npixels.max_passes = []', InputError, "0 tasks"),
        ('runs = ["58884-58882"]', InputError, "58882-58884"),
    ],
)
def test_what_does_not_fit_is_said(text: str, kind: type[Exception], told: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=told):
        plan_of(text, tmp_path)


def test_a_slip_in_what_varies_is_not_a_week_of_work() -> None:
    many = {f"{name}": [str(0.1 + 0.01 * i) for i in range(50)] for name in ("pixels.threshold", "peaks.window_sigmas")}
    with pytest.raises(InputError, match=f"1 to {MOST_TASKS}"):
        plan_of_runs(["58882"], {}, many, Settings())


def test_a_plan_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_plan(tmp_path / "none.toml", Settings())
