"""Every state of a tree in one table: what it is, when it was last calibrated, how well, and what is wrong with it.

Of each state the index is read, and the record and parameters of its newest version that is not retired; no tables. So
hundreds of states are listed at once. What cannot be read is told as damage of that state and hides no other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.facility.run_states import Census
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import PixelMode, StateLogs
from snapcal_workbench.instrument.state import DetectorState
from snapcal_workbench.instrument.state_id import log_value
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.patient import on_disk
from snapcal_workbench.store.disk.strict_json import parse_json
from snapcal_workbench.store.index_file import Snapshot, read_snapshot
from snapcal_workbench.store.layout import PARAMETERS, RECORD, check_tree, has_mode_level, home_of, is_state


@dataclass(frozen=True)
class StateRow:
    """One state of a tree in one mode.

    Attributes:
        state_id: Its folder.
        name: As people recognise it.
        wavelength: Middle of the band, A; None where it cannot be read, as for all that follows.
        arcs: Angles of the detectors, deg.
        frequency: Of the source, Hz.
        versions: Calibrations that were saved, without the default and those that were retired.
        retired: Calibrations that were retired.
        last_version: The newest that counts; None without one.
        last_run: The run that it was made from.
        last_calibrated: When it was saved, as its index entry has it; "" without one.
        cycle: Run cycle that its instrument parameters are of.
        runs_since: Runs of the state after `last_run` that are known (`run_states`); None where none was looked at.
        verdict: Of that version, in a word; "" where it states none, as versions of SNAPRed; "propagated" where it
            was measured in another state.
        verdict_text: How its steps ended, and what speaks against it.
        damage: What is wrong with the index, the folders, or that version; one sentence each.
    """

    state_id: str
    name: str = ""
    wavelength: float | None = None
    arcs: tuple[float, ...] = ()
    frequency: float | None = None
    versions: int = 0
    retired: int = 0
    last_version: int | None = None
    last_run: str = ""
    last_calibrated: str = ""
    cycle: str = ""
    runs_since: int | None = None
    verdict: str = ""
    verdict_text: str = ""
    damage: tuple[str, ...] = ()


def list_states(
    settings: Settings, mode: PixelMode, *, census: Census | None = None, progress: Progress | None = None
) -> list[StateRow]:
    """All states of the tree, by their ids.

    Args:
        settings: Where the tree is.
        mode: Of the versions that count.
        census: The runs whose states are known; None: the runs since are not counted.
        progress: Reported to.

    Raises:
        NotFoundError: There is no such tree.
        StoreError: The disk fails, or does not answer.
        Cancelled: The user cancelled.
    """
    progress = progress or Progress()
    states = on_disk(settings, lambda: _state_folders(settings))
    rows = []
    for number, state_id in enumerate(states):
        progress.report(number / len(states), f"Reading state {state_id}")
        rows.append(_row(settings, state_id, mode, census))
    return rows


def _state_folders(settings: Settings) -> list[str]:
    check_tree(settings)
    try:
        with os.scandir(settings.powder_home) as found:
            return sorted(item.name for item in found if is_state(item.name) and item.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _row(settings: Settings, state_id: str, mode: PixelMode, census: Census | None) -> StateRow:
    try:
        home = home_of(settings, state_id, mode)
        merged = None if has_mode_level(settings, state_id) else mode.merged
        snapshot, documents = on_disk(settings, lambda: _look(home, merged))
    except SnapcalError as error:
        return StateRow(state_id, damage=(f"{error.what} {error.found}".strip(),))
    entries = [entry for entry in snapshot.entries if merged in (None, entry.use_lite_mode) and entry.version > 0]
    last = _newest(entries)
    described, problems = _described(documents, instrument_of(settings).logs)
    return StateRow(
        state_id=state_id,
        versions=sum(not entry.is_retired for entry in entries),
        retired=sum(entry.is_retired for entry in entries),
        last_version=last.version if last else None,
        last_run=last.run_number if last else "",
        last_calibrated=last.timestamp if last else "",
        runs_since=census.count(state_id, last.run_number if last else "0") if census else None,
        damage=(*snapshot.problems, *documents.problems, *problems),
        **described,
    )


def _newest(entries: Sequence[IndexEntry]) -> IndexEntry | None:
    return max((entry for entry in entries if not entry.is_retired), key=lambda entry: entry.time, default=None)


class _Told(TypedDict, total=False):
    """Fields of a row that documents tell."""

    name: str
    cycle: str
    verdict: str
    verdict_text: str
    wavelength: float
    arcs: tuple[float, ...]
    frequency: float | None


@dataclass(frozen=True)
class _Documents:
    """Parameters and record of the version that tells of a state, as JSON values."""

    parameters: Mapping[str, object]
    record: Mapping[str, object]
    problems: tuple[str, ...]


def _look(home: Path, merged: bool | None) -> tuple[Snapshot, _Documents]:
    """The index and the documents of the newest version, else of the default."""
    snapshot = read_snapshot(home)
    own = [entry for entry in snapshot.entries if merged in (None, entry.use_lite_mode)]
    telling = _newest([entry for entry in own if entry.version > 0]) or _newest(own) or _newest(snapshot.entries)
    if telling is None:
        return snapshot, _Documents({}, {}, (f"There is no version in {home}.",))
    folder = home / snapshot.listing.versions[telling.version]
    parameters, record = _object(folder / PARAMETERS), _object(folder / RECORD)
    problems = tuple(f"Version {telling.version}: {text}." for text in (parameters, record) if isinstance(text, str))
    known_parameters, known_record = (value if isinstance(value, dict) else {} for value in (parameters, record))
    return snapshot, _Documents(known_parameters, known_record, problems)


def _object(path: Path) -> dict[str, object] | str:
    """The JSON object in a file, or why there is none."""
    try:
        value = parse_json(fs.read(path))
    except (OSError, ValueError) as error:
        return f"{path.name} cannot be read ({error})"
    return value if isinstance(value, dict) else f"{path.name} is no JSON object"


def _described(documents: _Documents, logs: StateLogs) -> tuple[_Told, tuple[str, ...]]:
    """The fields of a row that documents tell, and what they should tell and do not."""
    state = _below(documents.parameters, "instrumentState")
    word, text = verdict_of(_below(documents.record, "snapcalWorkbench"))
    told: _Told = {
        "name": str(documents.parameters.get("name") or ""),
        "cycle": str(_below(state, "instrumentConfig", "cycle").get("cycleID") or ""),
        "verdict": word,
        "verdict_text": text,
    }
    if not documents.parameters:
        return told, ()
    try:
        pvs = DetectorState.model_validate(state.get("detectorState")).pvs
        return {**told, **_positions(pvs, logs)}, ()
    except (SnapcalError, ValueError):
        return told, (f"{PARAMETERS} does not tell the positions and the wavelength of the state.",)


def verdict_of(own: Mapping[str, object]) -> tuple[str, str]:
    """What our fields of a record say of a version, in a word and in sentences.

    The verdict of a propagated version was found in another state, and is not one of this.
    """
    verdict, made = _below(own, "account", "verdict"), _below(own, "provenance", "propagated")
    reasons = found if isinstance(found := verdict.get("reasons"), (list, tuple)) else ()
    word, text = str(verdict.get("word") or ""), " ".join(map(str, (verdict.get("course") or "", *reasons))).strip()
    if not made:
        return word, text
    there = f" There its verdict was {word}: {text}" if word else ""
    return "propagated", f"{propagated_text(made)}{there}"


def propagated_text(made: Mapping[str, object]) -> str:
    """What the provenance of a propagated version says: where it was measured, and how much less certain it is."""
    added = made.get("addedUncertainty")
    adds = f"{1e6 * added:.0f} ppm" if isinstance(added, (int, float)) else "an unknown amount"
    return f"Propagated from {made.get('from')}: not measured in this state, which adds {adds} to the uncertainty."


def _positions(pvs: Mapping[str, object], logs: StateLogs) -> _Told:
    frequency = next((log for log, unit in logs.units.items() if unit == "Hz" and log in pvs), None)
    return {
        "wavelength": log_value(pvs, logs.wavelength, logs.alternatives),
        "arcs": tuple(log_value(pvs, log, logs.alternatives) for log in logs.positions if logs.units.get(log) == "deg"),
        "frequency": log_value(pvs, frequency, logs.alternatives) if frequency else None,
    }


def _below(value: object, *names: str) -> Mapping[str, object]:
    """The object below these names; an empty one where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
