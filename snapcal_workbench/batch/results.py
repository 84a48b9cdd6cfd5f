"""What becomes of a task: the figures of its calibration, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from snapcal_workbench.calibration.types import FitTable
from snapcal_workbench.calibration.types.verdict import Word
from snapcal_workbench.errors import SnapcalError, StoreError
from snapcal_workbench.formats.disk.writing import replace_file
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.session.iterations.iteration import Iteration

_RESULT = "result.json"
Peak = tuple[int, int, int, int]
"""Group, h, k, l."""


@dataclass(frozen=True)
class Result:
    """A finished task.

    Attributes:
        iteration: Its number in the session of the task's folder.
        run_number, state_id, mode, grouping, calibrant: What was calibrated.
        word: The verdict in one word, see `calibration.types.verdict`.
        verdict: In a sentence or two.
        reasons: What speaks against it.
        warnings: As the calibration says them.
        masked, n_pixels: Pixels of the groups.
        pixel_error_ppm: Median standard error of the pixels' own estimates, ppm; NaN where they were not calibrated.
        terms: Fitted terms of all groups together.
        strain: (d_obs - d_ref) / d_ref of each used peak.
        seconds: How long the calibration took.
        worker: Process that did it.
        lost: How many workers were lost over it before.
    """

    iteration: int
    run_number: str
    state_id: str
    mode: str
    grouping: str
    calibrant: str
    word: Word
    verdict: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    masked: int
    n_pixels: int
    pixel_error_ppm: float
    terms: int
    strain: Mapping[Peak, float]
    seconds: float
    worker: str = ""
    lost: int = 0


@dataclass(frozen=True)
class Failure:
    """A task that came to nothing: what was expected, what was found, and what to do, as `SnapcalError` has them."""

    kind: str
    what: str
    found: str = ""
    fix: str = ""
    exit_code: int = field(default=1)

    @classmethod
    def of(cls, error: SnapcalError) -> Failure:
        """The failure that an error is."""
        return cls(type(error).__name__, error.what, error.found, error.fix, error.exit_code)

    @property
    def text(self) -> str:
        """In a line or two."""
        return " ".join(filter(None, [self.what, self.found and f"Found: {self.found}.", self.fix]))


def result_of(iteration: Iteration, fits: FitTable) -> Result:
    """The figures of an iteration with these peaks."""
    account, kept = iteration.account, iteration.kept_pass
    peaks = zip(fits.group.tolist(), *fits.hkl.T.tolist(), fits.strain.tolist(), fits.used.tolist(), strict=True)
    return Result(
        iteration=iteration.number,
        run_number=iteration.run_number,
        state_id=iteration.state_id,
        mode=account.sources.mode,
        grouping=iteration.grouping_name,
        calibrant=account.sources.calibrant_name,
        word=account.verdict.word,
        verdict=account.verdict.text,
        reasons=account.verdict.reasons,
        warnings=account.warnings,
        masked=iteration.n_masked,
        n_pixels=account.n_pixels,
        pixel_error_ppm=kept.bound_ppm if kept else float("nan"),
        terms=sum(model.count("+") + 1 for model in iteration.groups.model if model),
        strain={tuple(peak): strain for *peak, strain, used in peaks if used},
        seconds=iteration.seconds,
    )


def finished(folder: Path) -> Result | None:
    """What a task's folder holds; None where the task is not done.

    The first iteration counts: of a task that two workers did, because one of them had seemed lost, both see the same.
    """
    if (folder / _RESULT).is_file():
        return _read(folder / _RESULT)
    folders = IterationFolders(folder)
    done = folders.survey()[0]
    if not done:
        return None
    result = result_of(done[0], folders.calibration(done[0].number).fits)
    return replace(result, lost=done[0].number - 1)


def keep(folder: Path, result: Result) -> None:
    """Write a task's figures into its folder."""
    content = {**asdict(result), "strain": [[*peak, strain] for peak, strain in result.strain.items()]}
    replace_file(folder / _RESULT, json.dumps(content).encode(), "the result of a task")


def _read(path: Path) -> Result:
    try:
        content = json.loads(path.read_bytes())
        strain = {tuple(peak): strain for *peak, strain in content.pop("strain")}
        lists = {name: tuple(content[name]) for name in ("reasons", "warnings")}
        return Result(**{**content, **lists}, strain=strain)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"The result of a task in {path.parent} cannot be read.",
            found=str(error),
            fix="Remove that folder, and start the batch again: the task is then repeated.",
        ) from error


def plain(value: Result | Failure) -> dict[str, object]:
    """A result for a script, without the peaks."""
    return {name: item for name, item in asdict(value).items() if name != "strain"}
