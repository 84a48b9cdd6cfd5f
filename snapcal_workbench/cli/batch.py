"""The command that does many calibrations at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapcal_workbench.cli.common import AsJson, pair, user_name
from snapcal_workbench.cli.console import live_table, note, say, show_json, show_table, step
from snapcal_workbench.cli.inputs import takes_inputs
from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.paths import user_path

if TYPE_CHECKING:
    from snapcal_workbench.batch.board import Standing
    from snapcal_workbench.batch.plan import Plan
    from snapcal_workbench.batch.running import Outcome
    from snapcal_workbench.batch.saving import Saving
    from snapcal_workbench.options import Settings

_SHOWN = 24
"""Tasks in the table of a batch that runs: what fits on a screen."""


@takes_inputs
def batch(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(metavar="PLAN.toml|RUNS…", help="A plan, or runs: each is a task, those joined by + are summed"),
    ],
    given: dict[str, object],
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=A;B", help="Values of an input, with ; between: every combination is a task"),
    ] = None,
    name: Annotated[str, typer.Option(help="What the batch is called; default: its plan or runs")] = "",
    directory: Annotated[Path | None, typer.Option(help="Folder of the batch; default: beside the session")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Tasks at a time; default: the cores")] = None,
    memory: Annotated[float | None, typer.Option(metavar="GIB", help="GiB that a worker may use")] = None,
    scheduler: Annotated[str, typer.Option(metavar="ADDRESS", help="Dask scheduler, as tcp://HOST:8786")] = "",
    save: Annotated[str, typer.Option(metavar="RULE", help="Save versions: 'good', 'usable', 'best-good', …")] = "",
    comments: Annotated[str, typer.Option(help="What others should know of the versions")] = "",
    author: Annotated[str, typer.Option(help="Who accepts them; default: the login name")] = "",
    applies_to: Annotated[str, typer.Option(help="Runs they apply to; default: each one's run and all later")] = "",
    as_json: AsJson = False,
) -> None:
    """Calibrate many runs, or one with many options, on several processes or machines.

    Started again, it goes on where it was interrupted. Nothing is saved as a version without --save.
    Where tasks failed, the exit code is that of the first one's error.
    """
    from snapcal_workbench.batch.cluster import Cluster
    from snapcal_workbench.batch.running import run_batch

    settings = context.obj.load()
    plan = _plan(what, given, vary or [], name, settings)
    saving = _saving(save, author, comments, applies_to)
    cluster = Cluster.of(settings, scheduler=scheduler, workers=workers, memory=memory).for_tasks(len(plan.tasks))
    folder = (directory or settings.session_directory.parent / "batches" / plan.key).absolute()
    note(f"{len(plan.tasks)} task{'' if len(plan.tasks) == 1 else 's'} in {folder}. {cluster.text}")
    table = _Table(plan)
    with (
        _told_how_it_goes_on(table),
        step(plan.name, quiet=True) as progress,
        live_table(table.title, _HEADS, table.rows, quiet=as_json) as drawn,
    ):
        table.say_changes = not drawn and not as_json
        outcome = run_batch(plan, settings, folder, cluster, saving=saving, on_change=table.change, progress=progress)
    _show(outcome, as_json)
    if outcome.failures:
        raise typer.Exit(outcome.failures[0].exit_code)


@contextmanager
def _told_how_it_goes_on(table: _Table) -> Iterator[None]:
    """Where the user cancels, say what is done already."""
    try:
        yield
    except Cancelled:
        note(f"{table.done} tasks are done and stay. The same command goes on from there.")
        raise


def _plan(what: list[str], given: dict[str, object], vary: list[str], name: str, settings: Settings) -> Plan:
    from snapcal_workbench.batch.plan import plan_of_runs, read_plan

    if len(what) == 1 and what[0].endswith(".toml"):
        if given or vary or name:
            raise InputError(
                "A plan says all inputs of its tasks itself.",
                found=", ".join([*given, *vary, name]),
                fix="Write them into the plan, under [inputs] or [vary].",
            )
        return read_plan(user_path(what[0]), settings)
    if plans := [text for text in what if text.endswith(".toml")]:
        raise InputError(
            "A plan stands alone: it names its runs itself.",
            found=" ".join(what),
            fix=f"Write the runs into {plans[0]}, or start one batch for each.",
        )
    varied = {key: value.split(";") for key, value in (pair(text, "groups.model=DIFC;DIFC+TZERO") for text in vary)}
    return plan_of_runs(what, given, varied, settings, name=name)


def _saving(rule: str, author: str, comments: str, applies_to: str) -> Saving | None:
    from snapcal_workbench.batch.saving import Saving, checked_rule

    if rule:
        return Saving(checked_rule(rule), author or user_name(), comments, applies_to)
    given = [name for name, value in (("--comments", comments), ("--applies-to", applies_to)) if value]
    if given:
        raise InputError(
            "Without --save no versions are saved that these could be of.",
            found=", ".join(given),
            fix="Add --save with a rule, as 'best-good', or leave them out.",
        )
    return None


_HEADS = ("task", "", "done", "seconds", "now")


class _Table:
    """The table of a batch that runs: what runs and what failed first, then what was done last."""

    def __init__(self, plan: Plan) -> None:
        self._standings: dict[str, Standing] = {}
        self._tasks, self._begin = len(plan.tasks), time.monotonic()
        self.say_changes = False

    def change(self, standing: Standing) -> None:
        """Take up how a task stands now; say it where no table is drawn."""
        before = self._standings.pop(standing.task.key, None)
        self._standings = {**self._standings, standing.task.key: standing}  # another thread draws what was there
        if self.say_changes and (before is None or (before.stage, before.lost) != (standing.stage, standing.lost)):
            note(f"{standing.task.label}: {_stage(standing)} {_now(standing)}".rstrip())

    @property
    def done(self) -> str:
        """How many tasks are done, of how many."""
        return f"{sum(one.stage == 'done' for one in self._standings.values())} of {self._tasks}"

    def title(self) -> str:
        """How far the batch is."""
        stages = [standing.stage for standing in list(self._standings.values())]
        done, failed, running = (stages.count(stage) for stage in ("done", "failed", "running"))
        minutes, seconds = divmod(int(time.monotonic() - self._begin), 60)
        return f"{done} of {self._tasks} done, {failed} failed, {running} running; {minutes}:{seconds:02d}"

    def rows(self) -> list[tuple[object, ...]]:
        """Of the table."""
        order = {"running": 0, "failed": 1, "done": 2, "waiting": 3}
        newest_first = list(self._standings.values())[::-1]
        known = sorted(newest_first, key=lambda standing: order[standing.stage])
        return [_row(standing) for standing in known[:_SHOWN]]


def _row(standing: Standing) -> tuple[object, ...]:
    seconds = ""
    if standing.stage == "running":
        seconds = f"{time.monotonic() - standing.since:.0f}"
    elif standing.stage == "done":
        seconds = f"{getattr(standing.outcome, 'seconds', 0.0):.0f}"
    return standing.task.label, _stage(standing), f"{100 * standing.fraction:.0f} %", seconds, _now(standing)


def _stage(standing: Standing) -> str:
    if standing.version:
        return f"saved as {standing.version}"
    if standing.stage == "done" and standing.kept:
        return "done before"
    return f"{standing.stage} (a worker was lost)" if standing.lost else standing.stage


def _now(standing: Standing) -> str:
    outcome = standing.outcome
    if outcome is None:
        return standing.message
    return getattr(outcome, "verdict", "") or getattr(outcome, "text", "")


def _show(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        show_json(_as_json(outcome))
        return
    show_table("Batch; error: what is left in the peaks that all of a run have in common", _COLUMNS, _rows(outcome))
    for standing in outcome.standings:
        if standing.stage == "failed":
            note(f"{standing.task.label} has failed: {_now(standing)}", style="yellow")
    for standing in outcome.standings:
        for sentence in standing.effect:
            say(f"{standing.task.label}, saved as {standing.version}: {sentence}")
    labels = {standing.task.key: standing.task.label for standing in outcome.standings}
    for key, failure in outcome.unsaved.items():
        note(f"{labels[key]} was not saved: {failure.text}", style="yellow")
    say(f"Page: {outcome.page}")


_COLUMNS = ("task", "verdict", "error (ppm)", "+-", "peaks", "", "pixel (ppm)", "masked", "seconds", "version")


def _rows(outcome: Outcome) -> Sequence[Sequence[object]]:
    from snapcal_workbench.batch.results import Result

    rows: list[Sequence[object]] = []
    for standing in outcome.standings:
        score, result = outcome.scores.get(standing.task.key), standing.outcome
        if score is None or not isinstance(result, Result):
            rows.append((standing.task.label, "failed", *[""] * 8))
            continue
        rank = "best" if score.best else "as good" if score.as_good else ""
        figures = (score.error_ppm, score.uncertainty_ppm, score.peaks, rank, result.pixel_error_ppm, result.masked)
        rows.append((standing.task.label, result.word, *figures, result.seconds, standing.version))
    return rows


def _as_json(outcome: Outcome) -> dict[str, object]:
    from snapcal_workbench.batch.results import plain

    tasks = [
        {
            "label": standing.task.label,
            "key": standing.task.key,
            "stage": standing.stage,
            "lost": standing.lost,
            "version": standing.version or None,
            "effect": list(standing.effect),
            "outcome": _finite(plain(standing.outcome)) if standing.outcome else None,
            "score": _finite(asdict(score)) if (score := outcome.scores.get(standing.task.key)) else None,
            "unsaved": plain(unsaved) if (unsaved := outcome.unsaved.get(standing.task.key)) else None,
        }
        for standing in outcome.standings
    ]
    return {"folder": str(outcome.folder), "page": str(outcome.page), "tasks": tasks}


def _finite(values: Mapping[str, object]) -> dict[str, object]:
    """Figures for JSON, which knows no NaN."""
    return {name: None if value != value else value for name, value in values.items()}


COMMANDS = {
    "batch": batch,
}
