"""The command that checks every run as it appears."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapcal_workbench.cli.common import AsJson
from snapcal_workbench.cli.console import note, say, show_json, step

if TYPE_CHECKING:
    from snapcal_workbench.batch.watching import Finding, Look
    from snapcal_workbench.progress import Progress

_STYLES = {"holds": "", "cannot tell": "yellow"}


def watch(
    context: typer.Context,
    where: Annotated[
        str, typer.Argument(metavar="FOLDER|IPTS", help="Folder of the runs, or a proposal as IPTS-12345")
    ],
    history: Annotated[Path | None, typer.Option(help="Folder of the history; default: beside the session's")] = None,
    powder: Annotated[str, typer.Option(help="Calibrant that is in the beam; default: found out of each run")] = "",
    tolerance: Annotated[float, typer.Option(min=1.0, help="What a module may be off by, ppm")] = 200.0,
    native: Annotated[bool, typer.Option("--native", help="Native pixels instead of lite ones")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks into the folder")] = 10.0,
    settle: Annotated[float, typer.Option(min=0.0, help="Seconds that a file must stay the same")] = 20.0,
    existing: Annotated[bool, typer.Option("--existing", help="Check the runs that are there already, too")] = False,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to check")] = False,
    as_json: AsJson = False,
) -> None:
    """Check with each new run of a beam time whether its calibration still holds, until Ctrl-C.

    Every check is a line of JSON in the history. With --json each is printed as a line of JSON, too, when it is done.
    """
    from snapcal_workbench.batch.watching import Watch, runs_folder
    from snapcal_workbench.batch.watching import watch as follow
    from snapcal_workbench.facility.check import check_run
    from snapcal_workbench.instrument.calibrants import read_calibrant
    from snapcal_workbench.instrument.known import requested_mode

    settings = context.obj.load()
    if powder:
        read_calibrant(powder, settings)  # else every run of the beam time would fail for its name
    mode = requested_mode(settings, not native)
    folder = runs_folder(where, settings)
    kept = history or settings.session_directory.parent / "watch" / "_".join(folder.parts[1:])

    def check(path: Path, progress: Progress) -> Finding:
        return check_run(str(path), settings, mode, powder=powder, tolerance_ppm=tolerance, progress=progress)

    def told(look: Look) -> None:
        if as_json:
            show_json(asdict(look), indent=None)
        else:
            say(
                f"{look.time} {Path(look.file).name}: {look.verdict}. {look.text}",
                style=_STYLES.get(look.verdict, "red"),
            )

    watched = Watch(folder, settings, kept.absolute(), check, settle=settle, existing=existing)
    note(f"Watching {folder}; the history is {watched.history}. Ctrl-C ends it.")
    for problem in watched.problems:
        note(f"Warning: {problem}", style="yellow")
    with step("Watching", quiet=True) as progress:
        follow(watched, told, progress, every=every, once=once)


COMMANDS = {
    "watch": watch,
}
