"""The command that learns the moderator's profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from snapcal_workbench.cli.common import AsJson, Runs
from snapcal_workbench.cli.console import say, show_json, show_table, step
from snapcal_workbench.cli.inputs import takes_inputs

if TYPE_CHECKING:
    from snapcal_workbench.session.learning import Learned

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what the runs say, and keep nothing")]


@takes_inputs
def learn_profile(
    context: typer.Context,
    runs: Runs,
    given: dict[str, object],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Learn the moderator's pulse from runs of a calibrant, each by itself, as the next version for the instrument."""
    from snapcal_workbench.hosts.embedded import EmbeddedHost
    from snapcal_workbench.options import Request
    from snapcal_workbench.session.learning import learn_profile as learn

    settings = context.obj.load()
    request = Request(runs=tuple(runs), options=settings.options()).changed(given)
    with step(f"Learning from {len(request.runs)} runs", quiet=as_json) as progress:
        learned = learn(request, request.runs, EmbeddedHost(settings), progress, keep=not dry_run)
    if as_json:
        show_json(_as_json(learned))
    else:
        _show(learned)


def _show(learned: Learned) -> None:
    profile = learned.profile
    rows = [
        (name, profile.value[i], profile.covariance[i, i] ** 0.5, *(fit.profile.value[i] for fit in learned.fits))
        for i, name in enumerate(profile.names)
    ]
    show_table("Moderator", ["coefficient", "value", "error", *(f"run {run}" for run in profile.runs)], rows)
    say(f"Kept as {learned.path}" if learned.path else "Nothing was kept.")


def _as_json(learned: Learned) -> dict[str, object]:
    profile = learned.profile
    return {
        "names": profile.names,
        "value": profile.value.tolist(),
        "error": [float(profile.covariance[i, i] ** 0.5) for i in range(len(profile.names))],
        "runs": profile.runs,
        "file": str(learned.path) if learned.path else None,
        "chi2": [fit.chi2_whole for fit in learned.fits],
    }


COMMANDS = {
    "learn-profile": learn_profile,
}
