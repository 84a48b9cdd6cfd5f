"""A calibration for other states with the same detector position: the same DIFC of every pixel at another wavelength.

DIFC is of the geometry, which the states share. What they do not share is the time at which neutrons leave the
moderator, and a calibration of one band knows that only as far as it tells on this band. So a propagated version is
less certain than one that was measured, by three terms, each relative, at the middle of the target's band
(`added_terms`):

- *time zero*: what is not known of it in the source, s, was made up for by DIFC at the source's TOF. At another TOF it
  is s |1/TOF_target - 1/TOF_source|, with s the error of the fitted TZERO, or the width of the pulse where none was
  fitted.
- *pulse*: how differently late the moderator sends the two wavelengths, by its profile, over TOF_target.
- *position*: what the logged detector positions of the two states, which differ by less than a state can tell, make of
  DIFC.

The version that comes of it has the source's table and mask and, in its record, where it came from. It has no spectra,
as none were measured. It is retired like any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.types import Account, PixelResults
from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError, SnapcalError
from snapcal_workbench.facility.states import list_states
from snapcal_workbench.formats.diffcal import diffcal_image
from snapcal_workbench.formats.index import AppliesTo, IndexEntry
from snapcal_workbench.formats.values import Kept, values_image
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.moderator import moderator_profile
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.instrument.state_id import log_value
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.strict_json import content_hash
from snapcal_workbench.store.effect import Effect
from snapcal_workbench.store.layout import PARAMETERS, RECORD
from snapcal_workbench.store.listing import state_of
from snapcal_workbench.store.publish import SavedVersion, publish
from snapcal_workbench.store.references import locate
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.text import LONGEST_COMMENTS, clean_text
from snapcal_workbench.store.version.record import (
    parameters_json,
    parse_parameters,
    parse_record,
    propagated_record_json,
)
from snapcal_workbench.store.version.recorded import recorded_state
from snapcal_workbench.store.version.stored import StoredVersion
from snapcal_workbench.workspaces.names import OutputNames


@dataclass(frozen=True)
class Propagation:
    """What a propagation does, or did, to one state.

    Attributes:
        state_id: The target.
        name: As people recognise it.
        wavelength: Of the target, A.
        terms_ppm: What the propagation adds to the uncertainty, by term, ppm.
        effect: Which runs the version takes, one sentence each; before them, whether it is saved there already.
        version: Number of the version that was saved; None before, and where it could not be.
        path: Its folder; "" without one.
        why_not: Why it cannot be done; "" where it can.
    """

    state_id: str
    name: str = ""
    wavelength: float | None = None
    terms_ppm: Mapping[str, float] | None = None
    effect: tuple[str, ...] = ()
    version: int | None = None
    path: str = ""
    why_not: str = ""

    @property
    def added_ppm(self) -> float:
        """The uncertainty that all terms add together, ppm; NaN where it is not known."""
        return math.hypot(*self.terms_ppm.values()) if self.terms_ppm else math.nan


def propagate(
    settings: Settings,
    reference: str,
    *,
    to: Sequence[str] = (),
    same_arcs: bool = False,
    author: str,
    comments: str = "",
    applies_to: str = "",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Propagation]:
    """Save a version for other states with the same detector position.

    What is wrong with one state is told in its `why_not` and stops no other.

    Args:
        settings: Where the tree is.
        reference: The version, as STATE/N or RUN:N.
        to: The target states, by their ids or by runs of them.
        same_arcs: Take all other states of the tree whose detectors are at the same position.
        author: Who accepts it.
        comments: What others should know; default: where it came from.
        applies_to: Condition on the run number; default: that of the source.
        dry_run: Say what would be done, and change nothing.
        progress: Reported to; cancelling leaves whole versions or none.

    Raises:
        InputError: There is no target, or the source is a default or retired; author or comments do not fit.
        NotFoundError: There is no such version.
        FileFormatError: It is damaged.
        Cancelled: The user cancelled.
    """
    progress = progress or Progress()
    source = _source(settings, reference)
    targets = _targets(settings, source, to, same_arcs)
    author = clean_text(author, "author")
    said = clean_text(comments or source.description, "comments", LONGEST_COMMENTS)
    condition = str(AppliesTo.from_text(applies_to)) if applies_to else str(source.stored.entry.applies_to)
    planned = [_plan(settings, source, state_id, condition) for state_id in targets]
    if dry_run:
        return [plan.told for plan in planned]
    done = []
    for number, plan in enumerate(planned):
        progress.report(number / len(planned), f"Saving for state {plan.told.state_id}")
        done.append(plan.told if plan.told.why_not else _save(plan, source, author, said, condition, progress))
    return done


@dataclass(frozen=True, eq=False)
class _Source:
    reference: str
    stored: StoredVersion
    state: InstrumentState
    mode: PixelMode
    account: Account | None

    @property
    def description(self) -> str:
        wavelength = _wavelength(self.state, self.mode)
        run = self.stored.entry.run_number
        return f"Propagated from {self.reference}, measured at {wavelength:g} A with run {run}."


@dataclass(frozen=True, eq=False)
class _Plan:
    """A target, the store and the state of it, and what is told of it."""

    told: Propagation
    store: StateStore | None = None
    state: InstrumentState | None = None


def _source(settings: Settings, reference: str) -> _Source:
    store, version = locate(settings, reference)
    if version == 0:
        raise InputError(
            "A state's default is the geometry, which every state has by itself.",
            found=reference,
            fix="Name a version that was calibrated.",
        )
    stored = store.read(version)
    if stored.entry.is_retired:
        raise InputError("A retired version is not propagated.", found=reference, fix="Name one that counts.")
    own = stored.record.own
    propagated = own.provenance.get("propagated") if own else None
    if isinstance(propagated, dict):
        raise InputError(
            "A version is propagated from the state in which it was measured, or its uncertainty would be lost.",
            found=f"{reference}, which was propagated from {propagated.get('from')}",
            fix="Name the version that it came from.",
        )
    try:
        account = Account.from_plain(own.account) if own and own.account else None
    except ValueError:
        account = None
    state = recorded_state(stored.record, stored.path)
    return _Source(f"{stored.state_id}/{version}", stored, state, store.mode, account)


def _targets(settings: Settings, source: _Source, to: Sequence[str], same_arcs: bool) -> list[str]:
    if bool(to) == same_arcs:
        raise InputError(
            "States are named one by one, or all with the same detector position are taken.",
            found="both" if to else "neither",
            fix="Give --to STATE, or --same-arcs.",
        )
    if to:
        return list(dict.fromkeys(state_of(settings, text, source.mode) for text in to))
    found = []
    for row in list_states(settings, source.mode):
        if row.state_id == source.stored.state_id:
            continue
        try:
            other = _state_of(StateStore(settings, row.state_id, source.mode))
        except SnapcalError:
            continue
        if not _differences(source.state, other, source.mode):
            found.append(row.state_id)
    if not found:
        raise NotFoundError(
            "No other state of the tree has its detectors at the same position.",
            found=f"state {source.stored.state_id}: {_positions(source.state, source.mode)}",
            fix="`snapcal states` lists the positions of all states.",
        )
    return found


def _state_of(store: StateStore) -> InstrumentState:
    """The instrument's state as the newest version of a state states it, else its default."""
    folders = store.folders()
    for entry in sorted(store.entries(), key=lambda entry: -entry.time):
        try:
            parameters = parse_parameters(fs.read(folders[entry.version] / PARAMETERS))
            return InstrumentState.model_validate(parameters.instrument_state)
        except (OSError, ValueError, KeyError):
            continue
    raise FileFormatError(
        f"State {store.state_id} does not tell its detector position and wavelength.",
        found=f"no version with readable parameters in {store.home}",
        fix="Initialise the state, or see `snapcal verify`.",
    )


def _positions(state: InstrumentState, mode: PixelMode) -> dict[str, float]:
    logs = mode.instrument.logs
    return {log: log_value(state.detector_state.pvs, log, logs.alternatives) for log in logs.positions}


def _differences(source: InstrumentState, target: InstrumentState, mode: PixelMode) -> list[str]:
    """Positions that are not the same within what summed runs may differ by."""
    mine, theirs = _positions(source, mode), _positions(target, mode)
    apart = mode.instrument.logs.positions
    return [f"{log} {mine[log]:g} and {theirs[log]:g}" for log in mine if abs(mine[log] - theirs[log]) > apart[log]]


def _wavelength(state: InstrumentState, mode: PixelMode) -> float:
    logs = mode.instrument.logs
    return log_value(state.detector_state.pvs, logs.wavelength, logs.alternatives)


def _plan(settings: Settings, source: _Source, state_id: str, condition: str) -> _Plan:
    """What would be done to a state, or why it cannot."""
    try:
        store = StateStore(settings, state_id, source.mode)
        target = _state_of(store)
        _check_target(source, target, state_id)
        store.check_writable()
        effect: Effect = store.effect(source.stored.entry.run_number, condition)
    except SnapcalError as error:
        return _Plan(Propagation(state_id, why_not=_why_not(error)))
    terms = {name: 1e6 * value for name, value in added_terms(source, target, settings).items()}
    told = Propagation(
        state_id=state_id,
        name=store.seed().name,
        wavelength=_wavelength(target, source.mode),
        terms_ppm=terms,
        effect=(*_saved_already(source, store), *effect.sentences()),
    )
    return _Plan(told, store, target)


def _saved_already(source: _Source, store: StateStore) -> list[str]:
    """What to say where versions that count came from the source; a retired one does not count."""
    folders, run = store.folders(), source.stored.entry.run_number
    of_run = [e for e in store.entries() if e.run_number == run and e.version in folders and not e.is_retired]
    for entry in sorted(of_run, key=lambda entry: -entry.version):
        try:
            own = parse_record(fs.read(folders[entry.version] / RECORD)).own
        except (OSError, ValueError):
            continue  # said in the list of versions
        made = own.provenance.get("propagated") if own else None
        if isinstance(made, dict) and made.get("from") == source.reference:
            return [f"It is saved already, as version {entry.version}."]
    return []


def _why_not(error: SnapcalError) -> str:
    return " ".join(filter(None, [error.what, error.found and f"Found: {error.found}.", error.fix]))


def _check_target(source: _Source, target: InstrumentState, state_id: str) -> None:
    if state_id == source.stored.state_id:
        raise InputError("The version is of this state already.", found=state_id, fix="Name another state.")
    different = _differences(source.state, target, source.mode)
    if different:
        raise InputError(
            "A calibration can be propagated only to states with the same detector position.",
            found="; ".join(different),
            fix="Calibrate that state with a run of its own.",
        )


def added_terms(source: _Source, target: InstrumentState, settings: Settings) -> dict[str, float]:
    """What a propagation adds to the relative uncertainty of TOF, by term; see the module."""
    tof = [0.5 * (s.bounds.tof_min + s.bounds.tof_max) for s in (source.state, target)]
    zero = _time_zero_error(source, tof[0])
    profile = moderator_profile(settings, source.stored.entry.run_number)
    known = dict(zip(profile.names, np.asarray(profile.value).tolist(), strict=True))
    delays = [_delay(known, _wavelength(s, source.mode)) for s in (source.state, target)]
    here, there = (state.geometry(source.mode).difc for state in (source.state, target))
    return {
        "time zero": zero * abs(1.0 / tof[1] - 1.0 / tof[0]),
        "pulse": abs(delays[1] - delays[0]) / tof[1],
        "position": float(np.max(np.abs(np.log(there / here)))),
    }


def _time_zero_error(source: _Source, tof: float) -> float:
    """What is not known of the time zero, us: the largest error of a group's TZERO, else the width of the pulse."""
    if source.account is not None and source.account.group_steps:
        results = source.account.group_steps[-1].results
        fitted = results.tzero_error * np.sqrt(np.fmax(results.chi2, 1.0))
        models = [model for model in results.model if model]
        if models and all("TZERO" in model for model in models) and np.isfinite(fitted).any():
            return float(np.nanmax(fitted))
    return source.state.instrument_config.del_t_over_t * tof


def _delay(profile: Mapping[str, float], wavelength: float) -> float:
    """Mean delay of a moderator's pulse, us: 1/alpha + 1/beta, see `types.pattern.ModeratorProfile`."""
    x = math.log(wavelength)
    return sum(
        math.exp(-profile.get(f"{name}0", math.inf) - profile.get(f"{name}1", 0.0) * x) for name in ("rise", "decay")
    )


def _save(plan: _Plan, source: _Source, author: str, comments: str, condition: str, progress: Progress) -> Propagation:
    if plan.store is None or plan.state is None:
        return plan.told
    draft = _PropagatedDraft(source, plan, author, comments, condition)
    try:
        saved: SavedVersion = publish(plan.store.home, plan.store.settings, draft, progress)
    except SnapcalError as error:
        return replace(plan.told, why_not=_why_not(error))
    return replace(plan.told, version=saved.version, path=str(saved.path))


class _PropagatedDraft:
    """A version of a target on its way into the store; see `store.publish.Draft`."""

    def __init__(self, source: _Source, plan: _Plan, author: str, comments: str, condition: str) -> None:
        assert plan.store is not None
        assert plan.state is not None
        self._source, self._told, self._state = source, plan.told, plan.state
        self._seed = plan.store.seed()
        self._own = {"comments": comments, "author": author, "appliesTo": condition}

    def _names(self, version: int) -> OutputNames:
        own = self._source.stored.record.own
        group = own.grouping_name if own else ""
        return OutputNames.of_version(self._source.stored.entry.run_number, group, version)

    def write_files(self, folder: Path, version: int, progress: Progress) -> dict[str, str]:
        stored, names, definition = self._source.stored, self._names(version), self._source.mode.definition
        values: dict[str, Kept] = {"mask": stored.mask, **self._results()}
        images = {
            f"{names.table}.h5": diffcal_image(stored.table, stored.mask, instrument=definition, source=definition),
            f"{names.results}.h5": values_image(values),
        }
        for name, data in images.items():
            progress.report(0.5, f"Writing {name}")
            fs.create(folder / name, data)
        return {name: content_hash(data) for name, data in images.items()}

    def _results(self) -> dict[str, PixelResults]:
        """The pixels' results, less certain by what the propagation adds."""
        results = self._source.stored.pixel_results
        if results is None:
            return {}
        return {"results": replace(results, sigma=np.hypot(results.sigma, 1e-6 * self._told.added_ppm))}

    def entry(self, version: int, timestamp: str) -> IndexEntry:
        source = self._source.stored.entry
        return IndexEntry.model_validate(
            {
                "version": version,
                "runNumber": source.run_number,
                "useLiteMode": source.use_lite_mode,
                **self._own,
                "timestamp": timestamp,
            }
        )

    def documents(self, entry: IndexEntry, hashes: Mapping[str, str]) -> tuple[dict[str, object], dict[str, object]]:
        before = self._source.stored.record.calculation_parameters or {}
        path, threshold = before.get("calibrantSamplePath"), before.get("peakIntensityThreshold")
        parameters = parameters_json(
            entry,
            self._state.model_dump(mode="json", by_alias=True),
            seed_run=self._seed.run or entry.run_number,
            creation_date=self._seed.created or entry.timestamp,
            name=self._seed.name,
            calibrant_path=None if path is None else str(path),
            intensity_threshold=threshold if isinstance(threshold, (int, float)) else None,
        )
        record = propagated_record_json(
            self._source.stored.record, entry, parameters, self._names(entry.version), hashes, self._provenance()
        )
        return parameters, record

    def _provenance(self) -> dict[str, object]:
        stored = self._source.stored
        own = stored.record.own
        return {
            "propagated": {
                "from": self._source.reference,
                "fromEntry": stored.entry.to_json(),
                "fromFiles": dict(own.content_hashes) if own else {},
                "fromWavelength": _wavelength(self._source.state, self._source.mode),
                "toWavelength": self._told.wavelength,
                "addedUncertainty": 1e-6 * self._told.added_ppm,
                "terms": {name: 1e-6 * value for name, value in (self._told.terms_ppm or {}).items()},
            },
            "source": dict(own.provenance) if own else {},
        }
