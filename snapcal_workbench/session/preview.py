"""What saving an iteration would meet and do, looked up before it is saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snapcal_workbench.formats.index import AppliesTo, IndexEntry
from snapcal_workbench.instrument.cycles import refusing_cycles
from snapcal_workbench.options import BeamCycle, Settings
from snapcal_workbench.session.iteration import Iteration
from snapcal_workbench.store.effect import effect_of
from snapcal_workbench.store.elsewhere import settings_at
from snapcal_workbench.store.state_store import StateStore


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
    """

    home: Path
    entries: tuple[IndexEntry, ...]
    run_number: str
    mode_of_entries: bool | None
    cycles: tuple[BeamCycle, ...]
    version: int
    why_not: str | None

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
        return [f"It becomes version {self.version} of this state.", *effect.sentences()]


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
    return Outlook(store.home, entries, iteration.run_number, store.mode_of_entries(), cycles, version, why_not)
