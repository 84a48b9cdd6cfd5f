"""The versions of a run's state as a table, for people and scripts."""

from __future__ import annotations

import re
from typing import TypedDict, cast

from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.instrument.cycles import beyond_cycle
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.model import PixelMode, RunRequest
from snapcal_workbench.options import Settings, expand_runs
from snapcal_workbench.paths import user_path
from snapcal_workbench.store.layout import mode_name
from snapcal_workbench.store.state_store import StateStore

_STATE_ID = re.compile(r"(?=.*[a-f])[0-9a-f]{8,64}|[0-9a-f]{16}")


class ListedVersion(TypedDict):
    """An index entry, its `mode`, and why it is `retired` (None where it is not)."""

    version: int
    runNumber: str
    useLiteMode: bool
    appliesTo: str
    comments: str | None
    author: str | None
    timestamp: str
    mode: str
    retired: str | None


class Listed(TypedDict):
    """The versions of a state, see `list_versions`."""

    stateId: str
    versions: list[ListedVersion]
    applies: int | None
    problems: list[str]


def list_versions(settings: Settings, run_or_state: str, mode: PixelMode) -> Listed:
    """Versions of a state, which of them applies to the run, and what is wrong with the index.

    Args:
        settings: Where the tree is.
        run_or_state: Run number, range of runs, path of a NeXus file, or state id.
        mode: Mode of the run.

    Returns:
        JSON values: `stateId`, `versions` (index entries with `mode` and `retired`: why, or None), `applies` (version
        that applies to the run, or None) and `problems`.

    Raises:
        SnapcalError: The run cannot be found or its state cannot be told.
    """
    state_id = run_or_state.strip()
    if _STATE_ID.fullmatch(state_id):
        return versions_of_state(settings, state_id, mode)
    found = identify_run(RunRequest(expand_runs((run_or_state,)), mode), settings)
    runs = [int(run) for run in found.info.run_number.split("+")]
    listed = versions_of_state(settings, found.state.state_id, mode, run=runs[0])
    problem = _different_versions(StateStore(settings, found.state.state_id, mode), runs)
    return {**listed, "problems": [*listed["problems"], *problem]}


def state_of(settings: Settings, run_or_state: str, mode: PixelMode) -> str:
    """The state id that a text is, or the state of the run that it names; arguments and errors as above."""
    text = run_or_state.strip()
    if _STATE_ID.fullmatch(text):
        return text
    if not (text.isdecimal() or user_path(text).is_file()):
        raise InputError(
            "A state is named by its id or by one of its runs.",
            found=repr(text)[:80],
            fix="Take an id that `snapcal states` lists, or give a run as 58882.",
        )
    return identify_run(RunRequest(expand_runs((text,)), mode), settings).state.state_id


def _different_versions(store: StateStore, runs: list[int]) -> list[str]:
    """What to say where not one version applies to all of several runs."""
    chosen = {run: store.choose(run) for run in runs}
    versions = {run: entry.version if entry else None for run, entry in chosen.items()}
    if len(set(versions.values())) < 2:
        return []
    each = ", ".join(f"{run}: {'none' if version is None else version}" for run, version in versions.items())
    return [f"Not one version applies to all of these runs; the first run's is marked ({each})."]


def _cycle_problem(settings: Settings, chosen: IndexEntry | None, run: int | None) -> list[str]:
    """What is to be said of the version that applies to a run of another cycle."""
    if chosen is None or chosen.version == 0 or run is None:
        return []
    why = beyond_cycle(settings, chosen.run_number, run)
    return [f"Version {chosen.version} counts beyond its cycle: {why}."] if why else []


def versions_of_state(settings: Settings, state_id: str, mode: PixelMode, *, run: int | None = None) -> Listed:
    """As `list_versions`, for a state; `applies` is None without a run."""
    store = StateStore(settings, state_id, mode)
    retired = store.retirements()
    chosen = store.choose(run) if run is not None else None
    return {
        "stateId": state_id,
        "versions": [_listed(entry, retired.get(entry.version, {}).get("reason")) for entry in store.entries()],
        "applies": chosen.version if chosen else None,
        "problems": [*store.problems(), *_cycle_problem(settings, chosen, run)],
    }


def _listed(entry: IndexEntry, retired: object) -> ListedVersion:
    return cast(ListedVersion, {**entry.to_json(), "mode": mode_name(entry.use_lite_mode), "retired": retired})
