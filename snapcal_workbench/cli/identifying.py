"""The command that tells which calibrant a run is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from snapcal_workbench.cli.common import AsJson, Runs
from snapcal_workbench.cli.console import note, say, show_json, show_table, step
from snapcal_workbench.errors import CalibrationError

if TYPE_CHECKING:
    from snapcal_workbench.session.identification import CalibrantFinding


def identify(
    context: typer.Context,
    runs: Runs,
    as_json: AsJson = False,
) -> None:
    """Rank the facility's calibrants by how well they fit a run; exit code 5 when none does."""
    from snapcal_workbench.hosts.embedded import EmbeddedHost
    from snapcal_workbench.session import Request
    from snapcal_workbench.session.identification import identify_calibrant

    with step(f"Identifying {'+'.join(runs)}", quiet=as_json) as progress:
        found = identify_calibrant(Request(runs=tuple(runs)), EmbeddedHost(context.obj.load()), progress)
    if as_json:
        show_json(_as_json(found))
        raise typer.Exit(0 if found.identification.best else CalibrationError.exit_code)
    _show(found)
    if found.identification.best is None:
        raise CalibrationError(
            "None of the facility's calibrants explains the run.",
            found=found.identification.ranking[0].text if found.identification.ranking else "no calibrant",
            fix="Add the calibrant to the samples folder (setting calibrant_samples), or check the run.",
        )


def _show(found: CalibrantFinding) -> None:
    rows = [
        (c.name, "yes" if c.fits else "no", c.explained, c.missing, 1e2 * c.shift, c.comb)
        for c in found.identification.ranking
    ]
    columns = ["calibrant", "fits", "explained", "missing", "scale (%)", "comb (sigma)"]
    show_table(f"Run {found.run_number}: {found.title}", columns, rows)
    for calibrant in found.identification.ranking[:2]:
        say(calibrant.text)
    for name, why in found.unreadable:
        note(f"Warning: {name} could not be tried: {why}")
    if found.disagreement:
        note(f"Warning: {found.disagreement}")


def _as_json(found: CalibrantFinding) -> dict[str, object]:
    best = found.identification.best
    return {
        "run": found.run_number,
        "title": found.title,
        "calibrant": best.name if best else None,
        "named": found.named or None,
        "warning": found.disagreement or None,
        "ranking": [
            {
                "name": c.name,
                "fits": c.fits,
                "explained": c.explained if c.explained == c.explained else None,
                "missing": c.missing if c.missing == c.missing else None,
                "shift": c.shift if c.shift == c.shift else None,
                "comb": c.comb,
                "unexplained": [{"d": peak.d, "share": peak.share} for peak in c.unexplained],
                "missing_reflections": [{"hkl": m.hkl, "d": m.d, "share": m.share} for m in c.missing_reflections],
            }
            for c in found.identification.ranking
        ],
        "unreadable": dict(found.unreadable),
    }


COMMANDS = {
    "identify": identify,
}
