"""Does the calibration that applies to a run still hold? An answer for each module, with its error.

Where the run is of a known powder, each module's spectrum, focused with the version's table, is put on the reflections
of the powder: what DIFC would have to change by is the module's *deviation*. A module that has gone far is first looked
for (`beam.examine`). Without a known powder the pixels of each panel are compared with each other, so that a module
which moved against the others is seen, and a panel that moved as a whole is not.

The deviation's error is that of this run and of the version together. A module *holds* where the deviation lies within
the tolerance, *moved* where it lies beyond, both by `CERTAIN` errors; else the run *cannot tell*.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from snapcal_workbench.algorithms.ingredients import StepInputs, ingredients_of, with_calibrant
from snapcal_workbench.calibration import chain
from snapcal_workbench.calibration.focus import focus
from snapcal_workbench.calibration.ingredients import Ingredients, parameters_of
from snapcal_workbench.calibration.peaks.expected import group_parameters
from snapcal_workbench.calibration.phases.identify import identify
from snapcal_workbench.calibration.phases.pattern import patterns_of
from snapcal_workbench.calibration.pixels.modules import cells_of
from snapcal_workbench.calibration.pixels.pixel import calibrate_pixels
from snapcal_workbench.calibration.types import Account, Events, FloatArray, IntArray, PixelGrouping
from snapcal_workbench.errors import CalibrationError, InputError, NotFoundError
from snapcal_workbench.facility.version_figures import figures_of, mean_of_part, shared_error
from snapcal_workbench.instrument.calibrants import read_calibrant
from snapcal_workbench.instrument.candidates import candidate_reflections
from snapcal_workbench.instrument.cycles import beyond_cycle
from snapcal_workbench.instrument.identifying import IdentifiedRun, identify_run, run_request
from snapcal_workbench.instrument.loading import load_events
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.moderator import moderator_profile
from snapcal_workbench.options import CalibrationOptions, Request, Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.references import open_version
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.version.stored import StoredVersion

TOLERANCE_PPM = 200.0
"""A tenth of SNAP's best resolution: peaks that are so far apart are wider by half a percent together. Half of it needs
four times the counts for the same certainty; at twice widths grow by 2 %."""
CERTAIN = 3.0
"""Errors by which a module must be within or beyond the tolerance: at 2 one check of 18 modules in three would have a
module on the wrong side of its limit by chance, at 4 half as many runs can tell."""
BINS_PER_WIDTH = 6
PASSES = 3
"""Of the comparison of pixels: a module's own share in the sum of its panel is a ninth, and after three passes gone."""

ModuleVerdict = Literal["holds", "moved", "lost", "cannot tell", "masked"]
RunVerdict = Literal["holds", "does not hold", "cannot tell"]
Method = Literal["peaks", "pixels"]


@dataclass(frozen=True)
class ModuleCheck:
    """What a run says of one module.

    Attributes:
        module: Its name.
        verdict: "holds"; "moved"; "lost": it has peaks that are not the powder's; "cannot tell"; "masked": not in use.
        ppm: What its DIFC would have to change by; NaN where that is not known.
        error_ppm: Standard error, that of the version included.
    """

    module: str
    verdict: ModuleVerdict
    ppm: float
    error_ppm: float


@dataclass(frozen=True)
class RunCheck:
    """Whether a calibration holds for a run.

    Attributes:
        run_number: The run.
        state_id: Its state.
        version: The version that was checked, as STATE/N.
        method: "peaks" of a known powder, or "pixels" against each other.
        powder: Name of the powder; "" where pixels were compared.
        tolerance_ppm: What a module may be off by.
        verdict: Of the whole: as bad as its worst module.
        modules: Of each module.
        notes: What a reader should know, one sentence each.
        seconds: How long it took.
    """

    run_number: str
    state_id: str
    version: str
    method: Method
    powder: str
    tolerance_ppm: float
    verdict: RunVerdict
    modules: tuple[ModuleCheck, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def text(self) -> str:
        """The verdict in a sentence."""
        bad = [m for m in self.modules if m.verdict in ("moved", "lost")]
        unclear = [m.module for m in self.modules if m.verdict == "cannot tell"]
        how = f"by the peaks of {self.powder}" if self.method == "peaks" else "of the pixels against each other"
        if bad:
            each = ", ".join(_told(m) for m in bad)
            return f"Version {self.version} no longer holds for run {self.run_number}: {each} ({how})."
        if unclear:
            names = ", ".join(unclear)
            return f"Run {self.run_number} cannot tell of module {names} whether version {self.version} holds ({how})."
        return f"Version {self.version} holds for run {self.run_number} within {self.tolerance_ppm:g} ppm ({how})."


def _told(module: ModuleCheck) -> str:
    if module.verdict == "lost":
        return f"module {module.module} shows peaks that are not the powder's"
    return f"module {module.module} is off by {module.ppm:+.0f} ± {module.error_ppm:.0f} ppm"


def check_run(
    run: str,
    settings: Settings,
    mode: PixelMode,
    *,
    powder: str = "",
    method: Method | None = None,
    version: str = "",
    tolerance_ppm: float = TOLERANCE_PPM,
    progress: Progress | None = None,
) -> RunCheck:
    """Check the calibration that applies to a run.

    Args:
        run: Its number, or the path of its file.
        settings: Where things are.
        mode: How its pixels are counted.
        powder: Name of a calibrant that is in the beam; "": found out from the data.
        method: "peaks": by a known powder, and an error where there is none; "pixels": against each other; None: by a
            powder where one is known.
        version: The version to check, as STATE/N; "": the one that applies to the run.
        tolerance_ppm: What a module may be off by.
        progress: Reported to.

    Raises:
        NotFoundError: No such run or powder, or no calibration applies to the run.
        InputError: The tolerance is not positive, or the version is of other pixels.
        CalibrationError: No powder is known where one is asked for; or the data do not allow a comparison.
        SnapcalError: A file is damaged.
        Cancelled: The user cancelled.
    """
    clock = time.monotonic()
    if not tolerance_ppm > 0:
        raise InputError("The tolerance is a positive number of ppm.", found=f"{tolerance_ppm}", fix="Give 200, say.")
    if powder:
        read_calibrant(powder, settings)  # a name that is wrong is told before the run is read
    notes: list[str] = []
    progress = (progress or Progress()).remembering(notes)
    request = run_request(Request(runs=(run,), lite=mode.merged), settings)
    request = replace(request, mode=mode)
    identified = identify_run(request, settings, progress)
    stored = _version_for(identified, settings, mode, version, progress)
    events = load_events(request, settings, progress.part(0.0, 0.4), identified=identified)
    found = _ingredients(events, identified, stored, mode, settings)
    name = powder or ("" if method == "pixels" else _powder_of(found, settings, progress.part(0.4, 0.6)))
    if method == "peaks" and not name:
        raise CalibrationError(
            "None of the facility's calibrants explains the run.",
            found=f"run {identified.info.run_number}: {identified.info.title}",
            fix="Name the powder, or compare the pixels with each other.",
        )
    step = progress.part(0.6, 1.0)
    deviations = _by_peaks(found, name, stored, settings, step) if name else _by_pixels(found, stored, settings, step)
    errors = _errors_of(stored, identified, events, mode, settings, deviations, progress)
    modules = _judged(deviations, errors, found, tolerance_ppm)
    return RunCheck(
        run_number=identified.info.run_number,
        state_id=identified.state.state_id,
        version=f"{stored.state_id}/{stored.entry.version}",
        method="peaks" if name else "pixels",
        powder=name,
        tolerance_ppm=tolerance_ppm,
        verdict=_verdict(modules),
        modules=modules,
        notes=tuple(dict.fromkeys(notes)),
        seconds=round(time.monotonic() - clock, 2),
    )


def _version_for(
    identified: IdentifiedRun, settings: Settings, mode: PixelMode, version: str, progress: Progress
) -> StoredVersion:
    if version:
        stored = open_version(settings, version)
    else:
        store = StateStore(settings, identified.state.state_id, mode)
        run = int(identified.info.run_number.split("+")[0])
        entry = store.choose(run)
        if entry is None or entry.version == 0:
            raise NotFoundError(
                f"No calibration applies to run {run}.",
                found=f"{'only the default' if entry else 'no version'} of state {identified.state.state_id}",
                fix="Calibrate the state, or name a version to check.",
            )
        why = beyond_cycle(settings, entry.run_number, run)
        if why:
            progress.warn(f"Version {entry.version} counts beyond its cycle: {why}.")
        stored = store.read(entry.version)
    if not np.array_equal(stored.table.detid, mode.detid):
        raise InputError(
            f"The version must be of {mode.name} pixels.",
            found=f"{len(stored.table)} pixels in {stored.state_id}/{stored.entry.version}",
            fix="Check with the mode of the version.",
        )
    return stored


def _options_of(stored: StoredVersion, settings: Settings) -> CalibrationOptions:
    """The options that a version was made with, for one term a module: the same way of fitting has the same bias."""
    own = stored.record.own
    try:
        options = Account.from_plain(own.account).options if own and own.account else settings.options()
    except ValueError:
        options = settings.options()
    return options.model_copy(
        update={
            "groups": options.groups.model_copy(update={"model": "DIFC", "any_calibrant": False}),
            "pixels": options.pixels.model_copy(
                update={"skip": False, "search": True, "max_passes": PASSES, "shrink": False, "max_newly_masked": 1.0}
            ),
        }
    )


def _ingredients(
    events: Events, identified: IdentifiedRun, stored: StoredVersion, mode: PixelMode, settings: Settings
) -> Ingredients:
    """The run with the version's table and mask, each module a group."""
    geometry, options = events.geometry, _options_of(stored, settings)
    everything = PixelGrouping(geometry.detid, np.ones(len(geometry), np.int32))
    inputs = StepInputs(
        input_workspace="run", grouping_workspace="modules", peaks=options.peaks, delta_theta=options.delta_theta
    )
    cells, state = cells_of(geometry, everything), identified.state
    found = ingredients_of(events, cells, stored.table, stored.mask, state, mode, inputs)
    return replace(found, profile=moderator_profile(settings, events.run.run_number))


def _powder_of(found: Ingredients, settings: Settings, progress: Progress) -> str:
    """The calibrant whose reflections explain the run, by the stem of its file; "" where none does."""
    parameters = group_parameters(
        found.events.geometry,
        found.grouping,
        found.mask,
        resolution=found.resolution,
        bounds=found.bounds,
        options=settings.options().peaks,
    )
    spectra = focus(
        found.events,
        found.table,
        found.grouping,
        found.mask,
        parameters,
        bins_per_delta_d=BINS_PER_WIDTH,
        progress=progress.part(0.0, 0.3),
    )
    patterns = patterns_of(spectra, parameters)
    candidates, _ = candidate_reflections(settings, patterns)
    best = identify(patterns, candidates, progress=progress.part(0.3, 1.0)).best
    return best.name if best else ""


@dataclass(frozen=True)
class _Deviation:
    """Relative change of DIFC of a cell, its error by this run alone, and whether its peaks are something else's."""

    value: float
    error: float
    lost: bool = False


def _by_peaks(
    found: Ingredients, powder: str, stored: StoredVersion, settings: Settings, progress: Progress
) -> dict[int, _Deviation]:
    sample = read_calibrant(powder, settings)
    found, options = with_calibrant(found, sample, _options_of(stored, settings), (), settings, progress)
    beam = chain.look_at_beam(found, options, progress.part(0.0, 0.3))
    group, _ = chain.correct(found, beam.table, beam.mask, options, progress.part(0.3, 1.0))
    results, deviations = group.results, dict[int, _Deviation]()
    error = np.sqrt(np.fmax(results.chi2, 1.0)) * results.difc_error / results.difc
    for index, cell in enumerate(results.group.tolist()):
        moved = float(np.median(beam.moved[(found.grouping.group == cell) & ~beam.mask.masked]))
        if results.model[index]:
            value = float(np.log(results.difc[index] / results.difc_focused[index])) + moved
            deviations[cell] = _Deviation(value, float(error[index]))
    lost = {cell.cell: _Deviation(np.nan, np.nan, lost=True) for cell in beam.findings.cells if cell.finding == "lost"}
    return deviations | lost


def _by_pixels(
    found: Ingredients, stored: StoredVersion, settings: Settings, progress: Progress
) -> dict[int, _Deviation]:
    """Each module against the median of its panel."""
    cell = found.grouping.group
    layout = found.events.geometry.layout
    size = layout.arrangement.size if layout is not None else int(cell.max())
    panel = np.where(cell > 0, (cell - 1) // size + 1, 0).astype(np.int32)
    panels = PixelGrouping(found.grouping.detid, panel, "panels")
    options = _options_of(stored, settings)
    parameters = parameters_of(replace(found, grouping=panels), found.mask, options.peaks)
    results = calibrate_pixels(
        found.events, found.table, panels, found.mask, parameters, options=options.pixels, progress=progress
    ).results
    use = np.isfinite(results.own_sigma) & (results.own_sigma > 0) & (results.reason == 0)
    means = {
        one: _mean(results.own_shift, results.own_sigma, use & (cell == one)) for one in found.grouping.ids.tolist()
    }
    return {
        one: _against(mean, [other for number, other in means.items() if (number - 1) // size == (one - 1) // size])
        for one, mean in means.items()
    }


def _mean(value: FloatArray, sigma: FloatArray, use: np.ndarray) -> _Deviation:
    if not use.any():
        return _Deviation(np.nan, np.nan)
    weight = sigma[use] ** -2
    mean = float(np.average(value[use], weights=weight))
    scatter = float(np.average(((value[use] - mean) / sigma[use]) ** 2))
    return _Deviation(mean, float((max(scatter, 1.0) / weight.sum()) ** 0.5))


def _against(mean: _Deviation, panel: Sequence[_Deviation]) -> _Deviation:
    """A module against the median of all of its panel, whose error is 1.25 times that of their mean."""
    known = [one for one in panel if np.isfinite(one.value)]
    if len(known) < 3 or not np.isfinite(mean.value):
        return _Deviation(np.nan, np.nan)
    middle = float(np.median([one.value for one in known]))
    error = 1.25 * float(np.sqrt(np.mean([one.error**2 for one in known]) / len(known)))
    return _Deviation(mean.value - middle, float(np.hypot(mean.error, error)))


def _errors_of(
    stored: StoredVersion,
    identified: IdentifiedRun,
    events: Events,
    mode: PixelMode,
    settings: Settings,
    deviations: Mapping[int, _Deviation],
    progress: Progress,
) -> dict[int, float]:
    """Relative error of the version for each module.

    Where the version does not state how well its pixels are known (SNAPRed's, and those made with the pixel step left
    out), they are taken to be known as well as this run knows them.
    """
    figures = figures_of(stored, identified.state, events.geometry, mode, settings)
    layout = events.geometry.layout
    if isinstance(figures, str) or layout is None:
        return {}
    errors, unstated = {}, False
    for module in np.unique(layout.module).tolist():
        members: IntArray = np.flatnonzero(layout.module == module).astype(np.int32)
        error = mean_of_part(figures, members, None)[1]
        if not np.isfinite(error):
            unstated = True
            alike = deviations.get(module + 1, _Deviation(np.nan, np.nan)).error
            error = float(np.sqrt(np.nansum([alike**2, shared_error(figures, members) ** 2])))
        errors[module + 1] = error
    if unstated:
        progress.warn("The version does not state the errors of its pixels: they are taken to be those of this run.")
    return errors


def _judged(
    deviations: dict[int, _Deviation], errors: dict[int, float], found: Ingredients, tolerance: float
) -> tuple[ModuleCheck, ...]:
    layout = found.events.geometry.layout
    names = layout.arrangement.modules if layout is not None else ()
    modules = []
    for cell in found.grouping.ids.tolist():
        name = names[cell - 1] if cell <= len(names) else str(cell)
        deviation = deviations.get(cell, _Deviation(np.nan, np.nan))
        ppm, error = 1e6 * deviation.value, 1e6 * float(np.hypot(deviation.error, errors.get(cell, 0.0)))
        in_use = bool((~found.mask.masked[found.grouping.group == cell]).any())
        modules.append(ModuleCheck(name, _module_verdict(ppm, error, tolerance, deviation.lost, in_use), ppm, error))
    return tuple(modules)


def _module_verdict(ppm: float, error: float, tolerance: float, lost: bool, in_use: bool) -> ModuleVerdict:
    if not in_use:
        return "masked"
    if lost:
        return "lost"
    if abs(ppm) - CERTAIN * error > tolerance:
        return "moved"
    return "holds" if abs(ppm) + CERTAIN * error < tolerance else "cannot tell"


def _verdict(modules: Sequence[ModuleCheck]) -> RunVerdict:
    found = {module.verdict for module in modules}
    if found & {"moved", "lost"}:
        return "does not hold"
    return "cannot tell" if "cannot tell" in found or found == {"masked"} else "holds"
