"""How people name a version: `STATE/N` or `RUN:N`, with `lite/` or `native/` before it where both modes have it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.instrument.loading import identify_run
from snapcal_workbench.options import Settings
from snapcal_workbench.store.layout import has_mode_level
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.stored import StoredVersion
from snapcal_workbench.workspaces.protocol import RunRequest

_REFERENCE = re.compile(
    r"(?:(?P<mode>lite|native)/)?(?:(?P<state>[0-9a-fA-F]{8,64})/|(?P<run>[^:]+):)v?_?(?P<version>\d{1,8})", re.ASCII
)

StateOfRun = Callable[[str], str]


@dataclass(frozen=True)
class Reference:
    """A version as it was named: by state id, or by a run of that state. `lite` is None without a mode."""

    version: int
    state_id: str = ""
    run: str = ""
    lite: bool | None = None


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
    lite = None if found["mode"] is None else found["mode"] == "lite"
    return Reference(int(found["version"]), (found["state"] or "").lower(), found["run"] or "", lite)


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
    modes = [reference.lite] if reference.lite is not None else [True, False]
    if not has_mode_level(settings, state_id):
        return _without_level(settings, state_id, reference), reference.version
    stores = [StateStore(settings, state_id, lite=lite) for lite in modes]
    having = [store for store in stores if any(e.version == reference.version for e in store.entries())]
    if len(having) == 2:
        raise InputError(
            f"Both modes have a version {reference.version} of state {state_id}.",
            found=text,
            fix=f"Write lite/{text} or native/{text}.",
        )
    if not having:
        raise _not_found(text, state_id)
    return having[0], reference.version


def _without_level(settings: Settings, state_id: str, reference: Reference) -> StateStore:
    entries = StateStore(settings, state_id, lite=True).entries()
    entry = next((entry for entry in entries if entry.version == reference.version), None)
    if entry is None or reference.lite not in (None, entry.use_lite_mode):
        raise _not_found(str(reference.version), state_id)
    return StateStore(settings, state_id, lite=entry.use_lite_mode)


def _not_found(text: str, state_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no version {text} of state {state_id}.",
        fix="List the versions with `snapcal versions RUN`.",
    )


def _state_in(settings: Settings) -> StateOfRun:
    def state_of_run(run: str) -> str:
        return identify_run(RunRequest((run,), lite=True), settings).state.state_id

    return state_of_run


def open_version(
    settings: Settings, text: str, *, verify: bool = True, state_of_run: StateOfRun | None = None
) -> StoredVersion:
    """Read the version that a text names; errors as for `locate` and `StateStore.read`."""
    store, version = locate(settings, text, state_of_run)
    return store.read(version, verify=verify)
