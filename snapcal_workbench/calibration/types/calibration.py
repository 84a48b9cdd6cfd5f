"""A calibration as a value: what it was made from, every step that was made, and what came out.

The *account* is all of it but the arrays of pixels and bins. It is plain data, small, and goes as JSON text wherever a
calibration goes: into the file of an iteration, into the record of a version, and in a chain of algorithms made by hand
in the logs of the focused spectra (`ACCOUNT_LOG`) and beside the mask.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types.groups import ExpectedPeaks, GroupParameters
from snapcal_workbench.calibration.types.json_values import as_dict, from_dict
from snapcal_workbench.calibration.types.pattern import JointAccount, PatternFit
from snapcal_workbench.calibration.types.pixels import DiffCalTable, PixelGrouping, PixelMap, PixelMask
from snapcal_workbench.calibration.types.results import (
    FitTable,
    GroupMetrics,
    GroupResults,
    PassRecord,
    PixelResults,
    StopReason,
)
from snapcal_workbench.calibration.types.runs import RunInfo
from snapcal_workbench.calibration.types.sample import BeamFindings, Foreign
from snapcal_workbench.calibration.types.spectra import Spectra
from snapcal_workbench.calibration.types.verdict import Verdict
from snapcal_workbench.calibration.units import offset_from_shift, tof_from_d
from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.options import CalibrationOptions, ExcludedPeak

ACCOUNT_LOG = "snapcal_calibration"
"""Log of the focused spectra that holds the account of the calibration they come from."""
MAP_D = 1.5
"""The d-spacing (A) at which the change of the calibration is mapped: the middle of SNAP's range."""

NOTHING = 1e-10
"""Mantid's LoadDiffCal reads numbers of a table below this, and -0, as 0: a table is the same with and without them."""

Value = DiffCalTable | PixelGrouping | PixelMap | PixelMask | PixelResults | FitTable | Spectra


@dataclass(frozen=True)
class SourceText:
    """An input file as it was read: its path and its text; both empty where there was none."""

    path: str = ""
    text: str = ""

    @property
    def sha256(self) -> str:
        """Of the text in UTF-8; "" where there is none."""
        return hashlib.sha256(self.text.encode()).hexdigest() if self.text else ""


@dataclass(frozen=True)
class Sources:
    """What a calibration was made from; texts are those that were used, whatever the files say now.

    Attributes:
        run: The run, with the logs that define the state.
        instrument: Name of the instrument.
        mode: How its pixels are merged, as "lite".
        state_id: Id of the instrument state.
        state: The state, as JSON in the shape of a record's `instrumentState`.
        parameters: The instrument parameters that applied.
        grouping_name: As "Column".
        grouping_definition: Path of the grouping file.
        grouping_sha256: Of the detector ids and groups.
        calibrant_name: Name of the calibrant; "" where no peaks were used.
        calibrant: Its JSON file.
        crystal: Its CIF file.
        excluded_peaks: Peaks that the user took out.
        start: What the first step started from: "default", a version, a file, a workspace or an iteration.
        masks: Masks that the user gave.
    """

    run: RunInfo
    instrument: str
    mode: str
    state_id: str
    state: SourceText
    parameters: SourceText
    grouping_name: str
    grouping_definition: str
    grouping_sha256: str
    calibrant_name: str = ""
    calibrant: SourceText = SourceText()
    crystal: SourceText = SourceText()
    excluded_peaks: tuple[ExcludedPeak, ...] = ()
    start: str = "default"
    masks: tuple[str, ...] = ()


@dataclass(frozen=True)
class PixelStep:
    """One pixel calibration of several.

    Attributes:
        number: Of the repetition, from 1.
        stop: Why it stopped.
        message: The reason in words.
        passes: Figures of each pass.
        bin_width: Relative width b of the bins in which offsets are counted.
        masked: Number of masked pixels by reason, after it.
        seconds: How long it took.
    """

    number: int
    stop: StopReason
    message: str
    passes: tuple[PassRecord, ...]
    bin_width: float
    masked: Mapping[str, int]
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether a further pass would change little."""
        return self.stop == "converged"


@dataclass(frozen=True, eq=False)
class GroupStep:
    """One group calibration of several.

    Attributes:
        number: Of the repetition, from 1.
        stop: "converged" where the correction was below the tolerance, else "corrected".
        message: What it did, in words.
        correction: Largest relative change of TOF that it made to a group's pixels.
        results: Fitted terms of each group.
        fits: Peaks fitted before the correction; None after the first repetition, where they differ little.
        bins_per_delta_d: Logarithmic bins across the best group's resolution, of the focused spectra.
        bin_width: Relative width of those bins.
        seconds: How long it took.
        joint: Of the joint fit of the patterns; None where peaks were fitted one by one.
        foreign: What else was found in the beam.
    """

    number: int
    stop: str
    message: str
    correction: float
    results: GroupResults
    fits: FitTable | None
    bins_per_delta_d: int
    bin_width: float
    seconds: float
    joint: JointAccount | None = None
    foreign: Foreign = field(default_factory=Foreign)

    @property
    def converged(self) -> bool:
        """Whether a repetition would change little."""
        return self.stop == "converged"


@dataclass(frozen=True, eq=False)
class Account:
    """A calibration without the arrays of its pixels and bins.

    Attributes:
        sources: What it was made from.
        options: The options that were in force: with what the calibrant fixes.
        pixel_steps, group_steps: Every step, in the order in which they were made.
        parameters: Of the groups, after the last step.
        peaks: Expected peaks of each group.
        metrics: Quality figures of each group; None where no group was calibrated.
        masked: Number of masked pixels of the groups by reason.
        n_pixels: Number of pixels in the groups.
        warnings: What the user was told.
        verdict: What is to be thought of it.
        table_sha256: Of the calibration table that the account is of.
        beam: What was found in the beam; None where it was not looked at.
    """

    sources: Sources
    options: CalibrationOptions
    pixel_steps: tuple[PixelStep, ...]
    group_steps: tuple[GroupStep, ...]
    parameters: GroupParameters
    peaks: tuple[ExpectedPeaks, ...]
    metrics: GroupMetrics | None
    masked: Mapping[str, int]
    n_pixels: int
    warnings: tuple[str, ...]
    verdict: Verdict
    table_sha256: str
    beam: BeamFindings | None = None

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(as_dict(self))

    @classmethod
    def from_json(cls, text: str) -> Account:
        """The account that a text holds.

        Raises:
            ValueError: It holds none that this release can read.
        """
        return cls.from_plain(json.loads(text))

    @classmethod
    def from_plain(cls, data: Mapping[str, object]) -> Account:
        """The account of which `as_dict` made `data`; errors as for `from_json`."""
        try:
            return from_dict(cls, data)
        except (FileFormatError, AttributeError) as error:
            found = error.found if isinstance(error, FileFormatError) else str(error)
            raise ValueError(f"no account of a calibration that this release knows: {found}") from error

    def is_of(self, table: DiffCalTable) -> bool:
        """Whether a table is the one that the account is of."""
        return table_hash(table) == self.table_sha256


@dataclass(frozen=True, eq=False)
class Calibration:
    """A finished calibration.

    Attributes:
        account: What it was made from, its steps, figures and warnings.
        start: The table that the first step started from; None where it is not known.
        grouping: Group of each pixel.
        table: The result.
        mask: Pixels that are not used, with the reasons.
        results: What the pixel calibration found for each pixel, against `start`; None where it was left out.
        spectra: Focused with `table` and `mask`, in d-spacing; spectrum numbers are group ids.
        fits: Peaks fitted to `spectra`.
        fitted: Their curves, NaN outside the windows or outside of what was fitted.
        pattern: The joint fit that the groups' last correction comes from; None where peaks were fitted one by one.
    """

    account: Account
    start: DiffCalTable | None
    grouping: PixelGrouping
    table: DiffCalTable
    mask: PixelMask
    results: PixelResults | None
    spectra: Spectra
    fits: FitTable
    fitted: Spectra
    pattern: PatternFit | None = None

    @property
    def offsets(self) -> PixelMap | None:
        """Offset of each pixel against `start`, in bins; None where the pixel calibration was left out."""
        if self.results is None or not self.account.pixel_steps:
            return None
        return offset_map(self.results, self.account.pixel_steps[0].bin_width)

    @property
    def difc_change(self) -> PixelMap | None:
        """Relative change of each pixel's TOF at `MAP_D`, in ppm: of DIFC, where the other terms did not change."""
        if self.start is None:
            return None
        d = np.full(len(self.table), MAP_D)
        old, new = (tof_from_d(d, difc=t.difc, difa=t.difa, tzero=t.tzero) for t in (self.start, self.table))
        return PixelMap(self.table.detid, 1e6 * (new / old - 1.0), "DIFC change (ppm)")

    @property
    def mask_reason(self) -> PixelMap:
        """Why each pixel is masked; 0: it is used."""
        return reason_map(self.mask)

    def workspaces(self) -> dict[str, Value]:
        """What a workspace list shows of it, by the roles of `workspaces.names.OutputNames`."""
        values: dict[str, Value | None] = {
            "table": self.table,
            "mask": self.mask,
            "output": self.spectra,
            "fit_table": self.fits,
            "fitted": self.fitted,
            "results": self.results,
            "offsets": self.offsets,
            "difc_change": self.difc_change,
            "mask_reason": self.mask_reason,
        }
        return {role: value for role, value in values.items() if value is not None}


def reason_map(mask: PixelMask) -> PixelMap:
    """A picture of a mask's reasons."""
    return PixelMap(mask.detid, mask.reason.astype(np.float64), "mask reason")


def offset_map(results: PixelResults, bin_width: float) -> PixelMap:
    """A picture of the pixels' offsets, in bins of a relative width."""
    return PixelMap(results.detid, offset_from_shift(results.shift, bin_width=bin_width), "offset (bins)")


def table_hash(table: DiffCalTable) -> str:
    """SHA-256 of a table's detector ids and numbers; those below `NOTHING` count as 0."""
    columns = (np.where(np.abs(c) < NOTHING, 0.0, c) for c in (table.difc, table.difa, table.tzero))
    return _hash(table.detid.astype("<i4"), *(column.astype("<f8") for column in columns))


def grouping_hash(grouping: PixelGrouping) -> str:
    """SHA-256 of a grouping's detector ids and groups."""
    return _hash(grouping.detid.astype("<i4"), grouping.group.astype("<i4"))


def _hash(*arrays: NDArray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def with_account(spectra: Spectra, account: Account | None) -> Spectra:
    """Spectra that carry an account in their logs, or no longer carry any."""
    logs = {name: value for name, value in spectra.run.logs.items() if name != ACCOUNT_LOG}
    if account is not None:
        logs[ACCOUNT_LOG] = account.to_json()
    return replace(spectra, run=replace(spectra.run, logs=logs))


def account_of(spectra: Spectra, table: DiffCalTable) -> Account | None:
    """The account that spectra carry, if it can be read and is of this table; else None."""
    return readable_account(str(spectra.run.logs.get(ACCOUNT_LOG, "")), table)


def readable_account(text: str, table: DiffCalTable) -> Account | None:
    """The account in a text, if it can be read and is of this table; else None."""
    try:
        account = Account.from_json(text)
    except ValueError:
        return None
    return account if account.is_of(table) else None
