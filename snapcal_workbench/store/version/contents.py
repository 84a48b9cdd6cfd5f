"""What a version is made of, before it has a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from snapcal_workbench.calibration.types import (
    Account,
    Calibration,
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    GroupMetrics,
    GroupParameters,
    PixelGrouping,
    PixelMask,
    PixelResults,
    Spectra,
)
from snapcal_workbench.calibration.types.calibration import with_account
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.known import mode_called
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import CalibrationOptions


@dataclass(frozen=True, eq=False)
class VersionContents:
    """A calibration that is to be kept.

    Attributes:
        run_number: Of the calibrated run; several summed runs joined with "+".
        mode: How the pixels are counted.
        table: DIFC, DIFA, TZERO of every pixel.
        mask: Of the same pixels, with reasons.
        pixel_results: What the pixel calibration found; None where it was left out.
        spectra: Focused, in d-spacing, made with `table`; spectrum numbers are group ids.
        fits: Peaks fitted to `spectra`.
        parameters: Of the groups that have pixels in use.
        grouping: Of the same pixels.
        grouping_name: As "Column".
        grouping_definition: Path of the grouping file.
        peaks: Expected peaks by group id.
        metrics: Quality figures of the groups.
        state: State of the instrument.
        calibrant_path: Path of the calibrant's JSON file.
        options: Options of the calibration.
        provenance: What else is to be recorded; JSON values.
        attachments: Folder whose files are copied into the version.
        account: What the calibration was made from, and its steps; None where that is not known.
    """

    run_number: str
    mode: PixelMode
    table: DiffCalTable
    mask: PixelMask
    pixel_results: PixelResults | None
    spectra: Spectra
    fits: FitTable
    parameters: GroupParameters
    grouping: PixelGrouping
    grouping_name: str
    grouping_definition: str
    peaks: Mapping[int, ExpectedPeaks]
    metrics: GroupMetrics
    state: InstrumentState
    calibrant_path: str
    options: CalibrationOptions
    provenance: Mapping[str, object] = field(default_factory=dict)
    attachments: Path | None = None
    account: Account | None = None

    @classmethod
    def of(
        cls, calibration: Calibration, *, provenance: Mapping[str, object], attachments: Path | None
    ) -> VersionContents:
        """What is kept of a calibration: all that it says itself; nothing is read or derived again.

        Raises:
            InputError: It states no figures of groups.
        """
        account = calibration.account
        if account.metrics is None:
            raise InputError(
                "A version needs the figures of calibrated groups.",
                found="a calibration of the pixels alone",
                fix="Run GroupDiffCal, or CalibrateDiffraction, and save its outputs.",
            )
        sources = account.sources
        return cls(
            run_number=sources.run.run_number,
            mode=mode_called(sources.instrument, sources.mode),
            table=calibration.table,
            mask=replace(calibration.mask, account=""),
            pixel_results=calibration.results,
            spectra=with_account(calibration.spectra, None),
            fits=calibration.fits,
            parameters=account.parameters,
            grouping=calibration.grouping,
            grouping_name=sources.grouping_name,
            grouping_definition=sources.grouping_definition,
            peaks={peaks.group: peaks for peaks in account.peaks},
            metrics=account.metrics,
            state=InstrumentState.model_validate_json(sources.state.text),
            calibrant_path=sources.calibrant.path,
            options=account.options,
            provenance=provenance,
            attachments=attachments,
            account=account,
        )
