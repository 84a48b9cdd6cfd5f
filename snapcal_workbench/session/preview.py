"""What saving an iteration would meet and do, looked up before it is saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snapcal_workbench.formats.index import AppliesTo, IndexEntry
from snapcal_workbench.instrument.cycles import refusing_cycles
from snapcal_workbench.options import BeamCycle, Settings
from snapcal_workbench.session.iterations.iteration import Iteration
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.effect import effect_of
from snapcal_workbench.store.elsewhere import settings_at
from snapcal_workbench.store.layout import RECORD
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.version.record import parse_record

LOOKED_AT = 5
"""Versions that are read to see whether an iteration is saved already: that happens in a row, not after others."""


@dataclass(frozen=True)
class Outlook:
    """What saving an iteration would meet: looked up once, so that previews need no file.

    Attributes:
        home: Folder in which the version would be.
        entries: Of the index there.
        run_number: The calibrated run; of summed runs the first.
        mode_of_entries: The mode of the entries that count for the run; None where all are of it.
        cycles: Those beyond which no version counts.
        version: Number of the new version, if nobody else saves one meanwhile.
        why_not: Why it cannot be saved there; None where it can.
        saved_as: The version that holds the same calibration already; None where none of those looked at does.
    """

    home: Path
    entries: tuple[IndexEntry, ...]
    run_number: str
    mode_of_entries: bool | None
    cycles: tuple[BeamCycle, ...]
    version: int
    why_not: str | None
    saved_as: int | None = None

    def sentences(self, applies_to: str) -> list[str]:
        """What a new version would do: its number, the runs that would use it, and the versions it takes them from.

        Args:
            applies_to: As typed; "" means this run and all later ones.

        Raises:
            InputError: The condition cannot be understood, or takes none of the known runs.
        """
        run = int(self.run_number.split("+")[0])
        condition = AppliesTo.from_text(applies_to) if applies_to.strip() else AppliesTo.from_run(run)
        effect = effect_of(self.entries, run, condition, self.mode_of_entries, self.cycles)
        again = [f"It is saved already, as version {self.saved_as}."] if self.saved_as is not None else []
        return [*again, f"It becomes version {self.version} of this state.", *effect.sentences()]


def store_of(iteration: Iteration, settings: Settings, place: Path | None = None) -> StateStore:
    """Where an iteration would be saved, in the calibration tree or in another place.

    Raises:
        StoreError: The place leads out of its folder.
    """
    there = settings_at(settings, place, iteration.state_id) if place is not None else settings
    return StateStore(there, iteration.state_id, iteration.mode)


def outlook_of(iteration: Iteration, settings: Settings, place: Path | None = None) -> Outlook:
    """What saving an iteration would meet, in the calibration tree or in another place; errors as for `store_of`."""
    store = store_of(iteration, settings, place)
    why_not = store.writable()
    if place is None and not (store.settings.powder_home / iteration.state_id).is_dir():
        why_not = f"state {iteration.state_id} is not initialised in {store.settings.powder_home}"
    entries, version = tuple(store.entries()), store.next_version()
    cycles = refusing_cycles(store.settings)
    mode, saved = store.mode_of_entries(), saved_as(iteration, store)
    return Outlook(store.home, entries, iteration.run_number, mode, cycles, version, why_not, saved)


def saved_as(iteration: Iteration, store: StateStore) -> int | None:
    """The version that holds an iteration's table already, of the newest ones of its run; None where there is none."""
    own, folders, run = iteration.account.table_sha256, store.folders(), iteration.run_number.split("+")[0]
    of_run = [entry for entry in store.entries() if entry.version and entry.run_number == run]
    for entry in sorted(of_run, key=lambda entry: -entry.version)[:LOOKED_AT]:
        try:
            record = parse_record(fs.read(folders[entry.version] / RECORD))
        except (OSError, ValueError, KeyError):
            continue  # said in the list of versions
        if record.own is not None and (record.own.account or {}).get("table_sha256") == own:
            return entry.version
    return None
