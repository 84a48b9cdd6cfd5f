"""What a batch is to do: a plan in TOML, or runs with the inputs that they share, as a list of tasks.

name = "silicon, groups of pixels"
runs = ["58882-58885", "58890+58891"]     # each run is a task; runs that are joined by + are summed

[inputs]                                  # of every task, by the names of `snapcal config`
calibrant = "Silicon_NIST_640d_001"
pixels.max_passes = 5

[vary]                                    # every combination of these is a task
groups.model = ["DIFC", "DIFC+TZERO"]

[[tasks]]                                 # runs with inputs of their own
name = "diamond"
runs = ["58900"]
calibrant = "Diamond_001"
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from snapcal_workbench import __version__
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.instrument.calibrants import find_calibrants, read_calibrant
from snapcal_workbench.options import Request, Settings, build_request, expand_runs, flattened

MOST_TASKS = 2000
"""Tasks of a batch. More is a slip in `vary`, whose combinations multiply: at a minute each it is a day
of a core."""
_NUMBERS = re.compile(r"[\d,\s–+-]+", re.ASCII)


class _Task(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = ""
    runs: list[str] = Field(default_factory=list)


class _PlanFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = ""
    runs: list[str] = Field(default_factory=list)
    inputs: dict[str, object] = Field(default_factory=dict)
    vary: dict[str, object] = Field(default_factory=dict)
    tasks: list[_Task] = Field(default_factory=list)


@dataclass(frozen=True)
class Task:
    """One calibration of a batch.

    Attributes:
        label: What people call it: its runs, and what it has that others have not.
        request: Its inputs.
        key: Of its inputs, the place of the calibrations and the software: a task of the same key need not be repeated.
    """

    label: str
    request: Request
    key: str


@dataclass(frozen=True)
class Plan:
    """A batch: its name and its tasks, each only once."""

    name: str
    tasks: tuple[Task, ...]

    @property
    def key(self) -> str:
        """Of all tasks."""
        return _hash([task.key for task in self.tasks])


def read_plan(path: Path, settings: Settings) -> Plan:
    """The plan in a TOML file; paths of runs in it are relative to its folder.

    Raises:
        NotFoundError: There is no such file.
        FileFormatError: It is not TOML.
        InputError: A name or value in it does not fit, or it has no tasks, or too many.
    """
    try:
        content = _PlanFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise NotFoundError("The plan cannot be read.", found=str(error), fix="Correct the path.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(
            f"The plan {path} has a wrong name or value.",
            found=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            fix="A plan has name, runs, [inputs], [vary] and [[tasks]].",
        ) from error
    except ValueError as error:
        raise FileFormatError(
            f"The plan {path} cannot be read as TOML.", found=str(error), fix="Correct the file."
        ) from error
    places = [(runs, "", content.inputs) for runs in _measurements(content.runs, path.parent)]
    for task in content.tasks:
        inputs = {**flattened(content.inputs), **flattened(task.model_extra or {})}
        places += [(runs, task.name, inputs) for runs in _measurements(task.runs, path.parent)]
    return _plan(content.name or path.stem, places, content.vary, settings)


def plan_of_runs(
    runs: Sequence[str],
    inputs: Mapping[str, object],
    vary: Mapping[str, Sequence[object]],
    settings: Settings,
    *,
    name: str = "",
) -> Plan:
    """A batch of runs that share their inputs.

    Args:
        runs: As `snapcal calibrate` takes them, but each run is a task; those that are joined by + are summed.
        inputs: Of every task, by the names that `Request.changed` takes.
        vary: Values of an input; every combination is a task.
        settings: Give the preset and the options.
        name: What people call it; "" means after the runs.

    Raises:
        InputError: An input does not fit, or there are no tasks, or too many.
    """
    places = [(measured, "", inputs) for measured in _measurements(runs, Path())]
    return _plan(name or " ".join(runs), places, vary, settings)


def check_calibrants(plan: Plan, settings: Settings) -> None:
    """Refuse a plan of which a task could not be done for want of a calibrant.

    Raises:
        InputError: A task has none.
        NotFoundError: There is none of that name.
        FileFormatError: It cannot be understood.
    """
    for name in dict.fromkeys(task.request.calibrant for task in plan.tasks):
        if not name:
            known = ", ".join(path.stem for path in find_calibrants(settings))
            raise InputError(
                "Each task of a batch needs a calibrant.",
                found="none",
                fix=f"Give --calibrant, or in a plan `calibrant` under [inputs]: {known or 'none is there yet'}.",
            )
        read_calibrant(name, settings)


def _measurements(texts: Sequence[str], folder: Path) -> Iterator[tuple[str, ...]]:
    """Runs of each task: one, or those that are to be summed."""
    for text in texts:
        if not _NUMBERS.fullmatch(text):
            yield (str(folder / text),)
        elif "+" in text:
            yield expand_runs(text.split("+"))
        else:
            yield from ((run,) for part in text.split(",") for run in expand_runs([part]))


def _plan(
    name: str,
    places: Sequence[tuple[tuple[str, ...], str, Mapping[str, object]]],
    vary: Mapping[str, object],
    settings: Settings,
) -> Plan:
    varied = {key: value if isinstance(value, list | tuple) else [value] for key, value in flattened(vary).items()}
    count = len(places)
    for values in varied.values():
        count *= len(values)
    if not 0 < count <= MOST_TASKS:
        raise InputError(
            f"A batch has 1 to {MOST_TASKS} tasks.",
            found=f"{len(places)} measurements, {count:,} tasks",
            fix="Name the runs, or vary less at a time." if count else "Name the runs, and values for all that varies.",
        )
    base = build_request({"preset": settings.preset, "options": settings.options().model_dump()})
    tasks: dict[str, Task] = {}
    for runs, title, inputs in places:
        for values in itertools.product(*varied.values()):
            changed = dict(zip(varied, values, strict=True))
            task = _task(base, runs, title, {**flattened(inputs), **changed}, changed, settings)
            tasks.setdefault(task.key, task)
    return Plan(name, tuple(tasks.values()))


def _task(
    base: Request,
    runs: tuple[str, ...],
    title: str,
    inputs: Mapping[str, object],
    changed: Mapping[str, object],
    settings: Settings,
) -> Task:
    request = base.changed({**inputs, "runs": runs})
    measured = "+".join(Path(run).name.removesuffix(".nxs.h5") for run in runs)
    parts = [title, measured, *(f"{name} = {value}" for name, value in changed.items())]
    known = [request.model_dump(mode="json"), settings.instrument, str(settings.calibration_home), __version__]
    return Task(", ".join(filter(None, parts)), request, _hash(known))


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
