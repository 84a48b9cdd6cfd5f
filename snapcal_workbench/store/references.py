"""How people name a version: `STATE/N` or `RUN:N`, with `lite/` or `native/` before it where both modes have it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.model import RunRequest, mode_named, recorded_mode
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.layout import has_mode_level, mode_name
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.version.stored import StoredVersion

_REFERENCE = re.compile(
    r"(?:(?P<mode>lite|native)/)?(?:(?P<state>[0-9a-fA-F]{8,64})/|(?P<run>[^:]+):)v?_?(?P<version>\d{1,8})", re.ASCII
)

StateOfRun = Callable[[str], str]


@dataclass(frozen=True)
class Reference:
    """A version as it was named: by state id, or by a run of that state; `mode` as it was written, "" without."""

    version: int
    state_id: str = ""
    run: str = ""
    mode: str = ""


def parse_reference(text: str) -> Reference:
    """The version that a text names.

    Raises:
        InputError: It names none.
    """
    found = _REFERENCE.fullmatch(text.strip())
    if not found:
        raise InputError(
            "A version is named STATE/N or RUN:N, with lite/ or native/ before it where both modes have it.",
            found=repr(text)[:80],
            fix="Write for example 04bd2c53f6bf6754/3, 58882:3 or native/58882:3.",
        )
    return Reference(int(found["version"]), (found["state"] or "").lower(), found["run"] or "", found["mode"] or "")


def locate(settings: Settings, text: str, state_of_run: StateOfRun | None = None) -> tuple[StateStore, int]:
    """The store and the number of the version that a text names.

    Args:
        settings: Where the tree is.
        text: See the module.
        state_of_run: State id of a run; by default from the run's file.

    Raises:
        InputError: The text names no version, or both modes have one of that number.
        NotFoundError: There is no such version.
    """
    reference = parse_reference(text)
    state_id = reference.state_id or (state_of_run or _state_in(settings))(reference.run)
    instrument = instrument_of(settings)
    modes = [mode_named(instrument, reference.mode)] if reference.mode else list(instrument.modes)
    if not has_mode_level(settings, state_id):
        return _without_level(settings, state_id, reference), reference.version
    stores = [StateStore(settings, state_id, mode) for mode in modes]
    having = [store for store in stores if any(e.version == reference.version for e in store.entries())]
    if len(having) > 1:
        raise InputError(
            f"More than one mode has a version {reference.version} of state {state_id}.",
            found=text,
            fix=f"Write {' or '.join(f'{store.mode.name}/{text}' for store in having)}.",
        )
    if not having:
        raise _not_found(text, state_id)
    return having[0], reference.version


def _without_level(settings: Settings, state_id: str, reference: Reference) -> StateStore:
    instrument = instrument_of(settings)
    entries = StateStore(settings, state_id, instrument.modes[0]).entries()
    entry = next((entry for entry in entries if entry.version == reference.version), None)
    if entry is None or reference.mode not in ("", mode_name(entry.use_lite_mode)):
        raise _not_found(str(reference.version), state_id)
    return StateStore(settings, state_id, recorded_mode(instrument, entry.use_lite_mode))


def _not_found(text: str, state_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no version {text} of state {state_id}.",
        fix="Choose one that is saved: the panel's table of saved versions and `snapcal versions RUN` list them.",
    )


def _state_in(settings: Settings) -> StateOfRun:
    def state_of_run(run: str) -> str:
        return identify_run(RunRequest((run,), instrument_of(settings).modes[0]), settings).state.state_id

    return state_of_run


def open_version(
    settings: Settings,
    text: str,
    *,
    verify: bool = True,
    state_of_run: StateOfRun | None = None,
    progress: Progress | None = None,
) -> StoredVersion:
    """Read the version that a text names; errors as for `locate` and `StateStore.read`.

    What a reader should know of it, such as that its record was rewritten by others, is told to `progress`.
    """
    store, version = locate(settings, text, state_of_run)
    stored = store.read(version, verify=verify)
    if progress is not None:
        for note in stored.notes:
            progress.warn(f"Version {version}: {note}.")
    return stored
