"""What a new version would be used for: which runs it selects, and which versions it hides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snapcal_workbench.formats.index import AppliesTo, IndexEntry, choose_version
from snapcal_workbench.instrument.model import PixelMode


@dataclass(frozen=True)
class Preview:
    """What saving would do.

    Attributes:
        applies_to: The condition as it would be written.
        own_run: Whether it holds for the calibrated run itself.
        hidden: Versions that now apply to some known run and then would not.
        known_runs: Runs of the index to which the new version would apply.
    """

    applies_to: str
    own_run: bool
    hidden: tuple[int, ...]
    known_runs: tuple[int, ...]

    @property
    def text(self) -> str:
        """In one sentence or two."""
        if not self.own_run:
            return f"Applies to runs {self.applies_to}, but not to the calibrated run itself."
        hidden = ", ".join(map(str, self.hidden))
        return f"Applies to runs {self.applies_to}." + (
            f" Takes the place of version {hidden} there." if hidden else ""
        )


@dataclass(frozen=True)
class Outlook:
    """What saving an iteration would meet: looked up once, so that previews need no file.

    Attributes:
        home: Folder in which the version would be.
        entries: Of the index there.
        run_number: The calibrated run; of summed runs the first.
        mode: Mode of the run.
        why_not: Why it cannot be saved there; None where it can.
    """

    home: Path
    entries: tuple[IndexEntry, ...]
    run_number: str
    mode: PixelMode
    why_not: str | None

    def preview(self, applies_to: str) -> Preview:
        """What a new version would select and hide; errors as for `preview_of`."""
        return preview_of(self.entries, self.run_number, applies_to, self.mode)


def preview_of(entries: Sequence[IndexEntry], run_number: str, applies_to: str, mode: PixelMode) -> Preview:
    """What a new version of a run would select and hide.

    Args:
        entries: Of the index, as it is.
        run_number: The calibrated run; of summed runs the first.
        applies_to: As typed; "" means this run and all later ones.
        mode: Mode of the run.

    Raises:
        InputError: The condition cannot be understood.
    """
    run = int(run_number.split("+")[0])
    text = applies_to.strip() or f">={run}"
    condition = AppliesTo.parse(text)
    runs = {run} | {int(entry.run_number) for entry in entries if re.fullmatch(r"\d{1,9}", entry.run_number)}
    selected = sorted(number for number in runs if condition.accepts(number))
    now = (choose_version(entries, number, mode.merged) for number in selected)
    hidden = {entry.version for entry in now if entry is not None and entry.version > 0}
    return Preview(text, condition.accepts(run), tuple(sorted(hidden)), tuple(selected))
