"""One iteration of a session: what was asked and what came out; `docs/session-format.md` describes its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    computed_field,
)

from snapcal_workbench.calibration.types import (
    Account,
    ExpectedPeaks,
    Geometry,
    GroupMetrics,
    GroupResults,
    PassRecord,
    PixelStep,
    as_dict,
)
from snapcal_workbench.formats.disk.json_file import json_value
from snapcal_workbench.instrument.known import mode_called
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import Request

FORMAT = 2
"""Version of the format of `iteration.json`; a file that states none is of format 1, which had no account."""


def _restored(value: Account | dict[str, object]) -> Account:
    return value if isinstance(value, Account) else Account.from_plain(value)


KeptAccount = Annotated[Account, PlainValidator(_restored), PlainSerializer(as_dict)]
"""An account, in JSON as `as_dict` writes it."""


class Iteration(BaseModel):
    """One finished calibration, without the arrays of its pixels and bins; `folders` keeps those beside it."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    number: int = Field(ge=1)
    label: str = ""
    request: Request
    started: str = Field(description="ISO 8601 time")
    seconds: float
    account: KeptAccount
    history: list[dict[str, object]] = []

    @property
    def name(self) -> str:
        """As the user reads it."""
        return self.label or f"iteration {self.number}"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def run_number(self) -> str:
        """The calibrated run; of summed runs joined with "+"."""
        return self.account.sources.run.run_number

    @property
    def title(self) -> str:
        """Of the run."""
        return self.account.sources.run.title

    @computed_field  # type: ignore[prop-decorator]
    @property
    def state_id(self) -> str:
        """Of the instrument state."""
        return self.account.sources.state_id

    @property
    def mode(self) -> PixelMode:
        """How its pixels are counted."""
        sources = self.account.sources
        return mode_called(sources.instrument, sources.mode)

    @property
    def state(self) -> InstrumentState:
        """The state of the instrument in which its run was measured."""
        return InstrumentState.model_validate_json(self.account.sources.state.text)

    @property
    def geometry(self) -> Geometry:
        """Where its pixels were."""
        return self.state.geometry(self.mode)

    @property
    def grouping_name(self) -> str:
        """As "Column"."""
        return self.account.sources.grouping_name

    @property
    def lite(self) -> bool:
        """Whether it is of lite pixels."""
        return self.account.sources.mode == "lite"

    @property
    def steps(self) -> tuple[PixelStep, ...]:
        """Every pixel calibration; none where it was left out."""
        return self.account.pixel_steps

    @property
    def passes(self) -> tuple[PassRecord, ...]:
        """Figures of the first pixel calibration's passes, which do most of the work; none where it was left out."""
        return self.steps[0].passes if self.steps else ()

    @property
    def kept_pass(self) -> PassRecord | None:
        """The pass whose table is the result."""
        return next((record for record in reversed(self.passes) if record.kept), None)

    @property
    def bin_width(self) -> float | None:
        """Relative width of the bins in which offsets are counted; None where the pixel calibration was left out."""
        return self.steps[0].bin_width if self.steps else None

    @property
    def provenance(self) -> dict[str, object]:
        """How it was made, for the record of a version, beside its account."""
        return {
            "iteration": self.number,
            "label": self.label,
            "calibrated": self.started,
            "request": self.request.model_dump(mode="json"),
            "history": self.history,
        }

    @property
    def stop(self) -> str:
        """Why the last pixel calibration stopped."""
        return self.steps[-1].stop if self.steps else "left out"

    @property
    def n_masked(self) -> int:
        """Number of masked pixels in the groups."""
        return sum(self.account.masked.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should look at."""
        return self.account.warnings

    @property
    def metrics(self) -> GroupMetrics:
        """Quality figures of each group."""
        assert self.account.metrics is not None  # an iteration always calibrates its groups
        return self.account.metrics

    @property
    def groups(self) -> GroupResults:
        """Fitted terms of each group, as first fitted: later repetitions find what little is left."""
        return self.account.group_steps[0].results

    @property
    def peaks(self) -> dict[int, ExpectedPeaks]:
        """Expected peaks of each group."""
        return {peaks.group: peaks for peaks in self.account.peaks}


@dataclass(frozen=True)
class UnreadableIteration:
    """A kept iteration that this release cannot read: its number, when it was made (ISO 8601), and why."""

    number: int
    started: str
    why: str

    @property
    def text(self) -> str:
        """In one sentence."""
        return f"Iteration {self.number} of {self.started[:16].replace('T', ' ')} cannot be read: {self.why}."


def parsed_iteration(data: bytes) -> Iteration:
    """The iteration that a file holds.

    Raises:
        ValueError: It holds none that this release can read.
    """
    content = json_value(data.decode("utf-8"))
    if not isinstance(content, dict):
        raise ValueError("its file is no JSON object")
    stated = content.get("format", 1)
    if stated != FORMAT:
        raise ValueError(f"its format is {stated}, this release reads format {FORMAT}")
    try:
        return Iteration.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
