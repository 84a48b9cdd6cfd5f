"""Commands of a calibration session: calibrate, iterate, iterations, compare, save, apply."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from snapcal_workbench.cli.common import AsJson, Directory, Runs, user_name
from snapcal_workbench.cli.console import note, say, show_json, show_table, step
from snapcal_workbench.cli.inputs import takes_inputs
from snapcal_workbench.errors import NotFoundError
from snapcal_workbench.options import in_words

if TYPE_CHECKING:
    from snapcal_workbench.session import Comparison, Iteration, Request, Session

Report = Annotated[bool, typer.Option("--report/--no-report", help="Draw the HTML report, after the command has ended")]


def _session(context: typer.Context, directory: Path | None) -> Session:
    from snapcal_workbench.hosts.embedded import EmbeddedHost
    from snapcal_workbench.session import Session

    return Session(EmbeddedHost(context.obj.load()), directory)


@takes_inputs
def calibrate(
    context: typer.Context,
    runs: Runs,
    given: dict[str, object],
    session: Directory = None,
    report: Report = True,
    as_json: AsJson = False,
) -> None:
    """Calibrate a run: align the pixels, correct the groups, assess the result."""
    from snapcal_workbench.formats.nexus.run_file import opened_once

    current = _session(context, session)
    request = current.new_request(runs=tuple(runs)).changed(given)
    with opened_once():
        _warn(current, request)
        with step(f"Calibrating {'+'.join(runs)}", quiet=as_json) as progress:
            done = current.calibrate(request, progress, report=False)
    if report:
        current.reports.draw_aside(done.number, context.obj.arguments)
    _show_iteration(current, done, as_json)


def report(
    context: typer.Context,
    iteration: Annotated[int | None, typer.Argument(help="Number of the iteration; default: the last")] = None,
    session: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Draw the report of an iteration, or wait while it is drawn, and say where it is."""
    current = _session(context, session)
    number = iteration or _last(current).number
    with step(f"Drawing the report of iteration {number}", quiet=as_json) as progress:
        path = current.reports.page(number, progress)
    if as_json:
        show_json({"iteration": number, "report": str(path)})
    else:
        say(f"Report: {path}")


def _last(session: Session) -> Iteration:
    if session.last is None:
        raise NotFoundError(
            "There is no iteration yet.", found=f"none in {session.directory}", fix="Run `snapcal calibrate` first."
        )
    return session.last


def _warn(session: Session, request: Request) -> None:
    for problem in session.check(request):
        if problem.severity == "warning":
            note(
                f"Warning: {problem.message} {problem.fix}" + (f" Run `{problem.command}`." if problem.command else "")
            )


@takes_inputs
def iterate(
    context: typer.Context,
    given: dict[str, object],
    runs: Annotated[list[str] | None, typer.Argument(help="Other runs than the last iteration's")] = None,
    session: Directory = None,
    report: Report = True,
    as_json: AsJson = False,
) -> None:
    """Calibrate again: the last iteration's inputs, but for what is given here."""
    from snapcal_workbench.formats.nexus.run_file import opened_once

    changes = {**given, **({"runs": tuple(runs)} if runs else {})}
    current = _session(context, session)
    with opened_once():
        _warn(current, current.next_request(changes))
        with step("Iterating", quiet=as_json) as progress:
            done = current.iterate(changes, progress, report=False)
    if report:
        current.reports.draw_aside(done.number, context.obj.arguments)
    _show_iteration(current, done, as_json)


def iterations(context: typer.Context, session: Directory = None, as_json: AsJson = False) -> None:
    """List the session's iterations."""
    found, unreadable = _session(context, session).folders.survey()
    if as_json:
        show_json([*(iteration.model_dump(mode="json") for iteration in found), *map(asdict, unreadable)])
        return
    before: list[Iteration | None] = [None, *found]
    rows = [_iteration_row(*pair) for pair in zip(found, before, strict=False)]
    rows += [
        (f"iteration {other.number}", "", other.started[:16], "", "cannot be read", "", "", "", other.why)
        for other in unreadable
    ]
    columns = ["iteration", "run", "started", "changed", "stopped", "masked", "strain std (ppm)", "verdict", "warnings"]
    show_table("Iterations; strain std: median over the groups", columns, rows)


def _iteration_row(iteration: Iteration, before: Iteration | None) -> tuple[object, ...]:
    changes = iteration.request.differences(before.request) if before else {}
    known = [1e6 * float(value) for value in iteration.metrics.strain_std if value == value]
    return (
        iteration.name,
        iteration.run_number,
        iteration.started[:16],
        "; ".join(f"{name} = {in_words(new)}" for name, (_, new) in changes.items()),
        iteration.stop,
        iteration.n_masked,
        median(known) if known else float("nan"),
        iteration.account.verdict.word,
        len(set(iteration.warnings)) or "none",
    )


def _show_iteration(session: Session, iteration: Iteration, as_json: bool) -> None:
    number, path = iteration.number, session.folders.report(iteration.number) / "report.html"
    report = path if session.folders.asked(number).is_file() or path.is_file() else None
    if as_json:
        show_json({**iteration.model_dump(mode="json"), "report": str(report) if report else None})
        return
    say(f"Iteration {iteration.number} of run {iteration.run_number}: {_verdict(iteration)}")
    show_passes(iteration)
    show_groups(iteration)
    say(iteration.groups.criterion)
    show_verdict(iteration)
    if report:
        say(f"Report: {report}")
        note(f"It is being drawn; `snapcal report {number}` waits for it.")
    note(
        f"Next: `snapcal iterate` with other inputs, or `snapcal save {number} --comments …` to keep this one for all."
    )


def _verdict(iteration: Iteration) -> str:
    share = 100.0 * iteration.n_masked / max(iteration.account.n_pixels, 1)
    return f"{iteration.account.verdict.text} Masked in all: {iteration.n_masked} pixels ({share:.2g} %)."


def show_verdict(iteration: Iteration) -> None:
    """What is to be thought of it, and every reason; loud where it is not to be used."""
    verdict = iteration.account.verdict
    say(f"Verdict: {verdict.word if verdict.savable else verdict.word.upper()}")
    for reason in verdict.told:
        say(f"- {reason}")


def show_passes(iteration: Iteration) -> None:
    """Table of the passes of every pixel calibration."""
    steps = iteration.steps
    rows = [
        (
            f"{f'{step.number}: ' if len(steps) > 1 else ''}{p.number}{' (kept)' if p.kept else ''}",
            p.median_ppm,
            p.p95_ppm,
            p.bound_ppm,
            p.masked,
        )
        for step in steps
        for p in step.passes
    ]
    if rows:
        columns = ["pass", "median |offset| (ppm)", "95 % |offset| (ppm)", "bound (ppm)", "masked"]
        show_table("Pixel calibration", columns, rows)


def show_groups(iteration: Iteration) -> None:
    """Table of the groups' figures."""
    metrics, results = iteration.metrics, iteration.groups
    model = dict(zip(results.group.tolist(), results.model, strict=True))
    rows = [
        (
            f"{group}",
            f"{metrics.peaks_used[i]} of {metrics.peaks_listed[i]}",
            1e6 * float(metrics.strain[i]),
            1e6 * float(metrics.strain_std[i]),
            float(metrics.sigma[i]),
            float(metrics.chi2[i]),
            model.get(int(group), ""),
        )
        for i, group in enumerate(metrics.group)
    ]
    columns = ["group", "peaks used", "strain (ppm)", "strain std (ppm)", "sigma/d", "chi2", "model"]
    show_table("Group calibration", columns, rows)


def compare(
    context: typer.Context,
    references: Annotated[list[str], typer.Argument(metavar="A B …", help="Iterations or versions")],
    session: Directory = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for the comparison's plots and HTML page")] = None,
    as_json: AsJson = False,
) -> None:
    """Put iterations and saved versions side by side."""
    current = _session(context, session)
    found = current.compare(references)
    page = None
    if plots is not None:
        from snapcal_workbench.session.reporting import write_comparison_report

        with step("Drawing", quiet=as_json) as progress:
            page = write_comparison_report(plots, found, progress)
    if as_json:
        show_json({"rows": [asdict(row) for row in found.rows], "report": str(page) if page else None})
        return
    _show_comparison(found)
    if page is not None:
        say(f"Report: {page}")


def _show_comparison(found: Comparison) -> None:
    rows = [
        (
            f"{row.group}",
            row.label,
            row.two_theta,
            row.peaks_used,
            row.strain_ppm,
            row.strain_std_ppm,
            row.sigma,
            row.difc_difference_ppm,
            row.difc_spread_ppm,
        )
        for row in sorted(found.rows, key=lambda row: row.group)
    ]
    columns = [
        "group",
        "calibration",
        "2theta",
        "peaks",
        "strain (ppm)",
        "std (ppm)",
        "sigma/d",
        "DIFC (ppm)",
        "spread",
    ]
    show_table(f"Comparison; DIFC against {found.entries[0].label}", columns, rows)


def save(
    context: typer.Context,
    iteration: Annotated[int, typer.Argument(help="Number of the iteration")],
    comments: Annotated[str, typer.Option(help="What others should know of it")],
    author: Annotated[str, typer.Option(help="Who accepts it; default: the login name")] = "",
    applies_to: Annotated[str, typer.Option(help="Runs, as '>=58882,<60000'; default: this run and all later")] = "",
    force: Annotated[bool, typer.Option("--force", help="Save it although its verdict is 'not to be used'")] = False,
    session: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Publish an iteration as a new version, with its index entry."""
    current = _session(context, session)
    with step("Saving", quiet=as_json) as progress:
        found = current.save(
            iteration,
            author=author or user_name(),
            comments=comments,
            applies_to=applies_to,
            force=force,
            progress=progress,
        )
    if as_json:
        show_json(found.model_dump(mode="json"))
    else:
        say(f"Saved as version {found.version} in {found.path}")
        say(f"Index: {found.index_path}")


def apply(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version (STATE/N or RUN:N) or an iteration")],
    runs: Runs,
    grouping: Annotated[str, typer.Option(help="Name or file of the pixel grouping; default: the state's first")] = "",
    native: Annotated[bool, typer.Option("--native", help="Native pixels instead of lite ones")] = False,
    output: Annotated[Path | None, typer.Option(help="File of the spectra; default: focused_RUN.nxs")] = None,
    session: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Focus any run with a version's table and mask, and write the spectra."""
    current = _session(context, session)
    request = current.new_request(runs=tuple(runs), lite=not native, grouping=grouping)
    with step("Focusing", quiet=as_json) as progress:
        found = current.apply_to_files(version, request, output, progress)
    if as_json:
        show_json(found)
    else:
        for path in found["files"]:
            say(f"Wrote {path}")


COMMANDS = {
    "calibrate": calibrate,
    "iterate": iterate,
    "iterations": iterations,
    "report": report,
    "compare": compare,
    "save": save,
    "apply": apply,
}
