"""Which calibrations of a batch become versions, and how each becomes one only once.

Versions are saved by the process that leads the batch, one after the other, when all tasks have ended: a task that was
repeated, or that two workers did, is still one task. If the leader dies after it has published a version and before it
could note it, the version is known again by the label in its provenance, which no other task has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from snapcal_workbench.batch.plan import Task
from snapcal_workbench.batch.ranking import Score
from snapcal_workbench.batch.results import Result
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.disk.writing import replace_file
from snapcal_workbench.formats.index import AppliesTo
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Iteration, Session
from snapcal_workbench.session.preview import store_of
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.layout import RECORD
from snapcal_workbench.store.references import locate
from snapcal_workbench.store.version.record import parse_record

Rule = Literal["good", "usable", "best-good", "best-usable"]
RULES: Mapping[Rule, str] = {
    "good": "every calibration whose verdict is good",
    "usable": "every one whose verdict is good or usable",
    "best-good": "of each run and calibrant the good one with the smallest error",
    "best-usable": "of each run and calibrant the good or usable one with the smallest error",
}
_SAVED = "saved.json"


@dataclass(frozen=True)
class Saving:
    """How versions are saved.

    Attributes:
        rule: Which.
        author: Who accepts them.
        comments: What others should know of them; the task and its error are added.
        applies_to: Condition on the run number; "" means each one's run and all later ones.

    Raises:
        InputError: The condition cannot be understood, or fits no run.
    """

    rule: Rule
    author: str
    comments: str = ""
    applies_to: str = ""

    def __post_init__(self) -> None:
        """Refuse the condition now, not when everything has been calculated."""
        if self.applies_to:
            AppliesTo.from_text(self.applies_to)


def checked_rule(text: str) -> Rule:
    """The rule that a text names. Raises InputError where it names none."""
    for rule in RULES:
        if text == rule:
            return rule
    known = "; ".join(f"{rule}: {meaning}" for rule, meaning in RULES.items())
    raise InputError("A batch saves by a rule.", found=text, fix=f"Choose one. {known}.")


def chosen(rule: Rule, results: Mapping[str, Result], scored: Mapping[str, Score]) -> list[str]:
    """Keys of what is to be saved, by ascending run, so that later runs get later versions."""
    words = {"good"} if rule.endswith("good") else {"good", "usable"}
    found = [key for key, result in results.items() if result.word in words]
    if rule.startswith("best"):
        by_error = sorted(found, key=lambda key: np.nan_to_num(scored[key].error_ppm, nan=np.inf))
        first = {scored[key].family: key for key in reversed(by_error)}
        found = list(first.values())
    return sorted(found, key=lambda key: int(results[key].run_number.split("+")[0]))


@dataclass(frozen=True)
class Saved:
    """The reference of a version, and which runs it takes; no sentences where it was saved before."""

    reference: str
    effect: tuple[str, ...] = ()


def save_task(
    task: Task, result: Result, score: Score, folder: Path, settings: Settings, saving: Saving, progress: Progress
) -> Saved:
    """Publish a task's calibration, unless it is published already.

    Raises:
        SnapcalError: It could not be saved; nothing is lost.
    """
    if (folder / _SAVED).is_file():
        return Saved(_as_saved_before(str(json.loads((folder / _SAVED).read_bytes())["reference"]), settings, saving))
    session = Session(EmbeddedHost(settings), folder)
    try:
        iteration = session.label(result.iteration, f"{task.label} (batch task {task.key})")
        effect: list[str] = []
        version = _published(session, iteration)
        if version is None:
            store = store_of(iteration, settings)
            effect = store.effect(iteration.run_number, saving.applies_to or None).sentences()
            session.reports.ask(iteration.number)
            told = f"Error {score.error_ppm:.0f} ± {score.uncertainty_ppm:.0f} ppm. " if score.peaks else ""
            version = session.save(
                iteration.number,
                author=saving.author,
                comments=f"{saving.comments}\nBatch: {task.label}. {told}{result.verdict}".strip(),
                applies_to=saving.applies_to,
                progress=progress,
            ).version
    finally:
        session.close()
    reference = f"{result.mode}/{result.state_id}/{version}"
    replace_file(folder / _SAVED, json.dumps({"reference": reference}).encode(), "the note of a saved task")
    return Saved(reference, tuple(effect))


def _as_saved_before(reference: str, settings: Settings, saving: Saving) -> str:
    """The version that was saved before; an error where it is for other runs than are asked for now."""
    store, number = locate(settings, reference)
    has = next((entry.applies_to for entry in store.entries() if entry.version == number), None)
    if saving.applies_to and has != str(AppliesTo.from_text(saving.applies_to)):
        raise InputError(
            f"This calibration is saved already as {reference}, for other runs.",
            found=f"{has}, and now --applies-to {saving.applies_to}",
            fix=f"`snapcal retire {reference}` and `snapcal unretire {reference} --applies-to …` change them.",
        )
    return reference


def _published(session: Session, iteration: Iteration) -> int | None:
    """The version that was saved of an iteration, if there is one."""
    store = store_of(iteration, session.host.settings)
    folders, run = store.folders(), iteration.run_number.split("+")[0]
    for entry in store.entries():
        if entry.run_number == run and entry.version in folders:
            try:
                own = parse_record(fs.read(folders[entry.version] / RECORD)).own
            except (OSError, ValueError):
                continue
            made = own.provenance if own is not None else {}
            if (made.get("label"), made.get("calibrated")) == (iteration.label, iteration.started):
                return entry.version
    return None
