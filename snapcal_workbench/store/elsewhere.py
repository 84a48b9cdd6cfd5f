"""Another place for versions: a folder of states of one's own, laid out as the calibration tree is.

It is for whoever may not write in the tree: the version is whole, with its index entry, and its state is initialised
there when it is first used. Whoever sets 'powder_home' to that folder then works with it as with the tree.
"""

from __future__ import annotations

from pathlib import Path

from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.instrument.state import InstrumentState
from snapcal_workbench.options import Settings
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.layout import has_mode_level
from snapcal_workbench.store.state_init import init_state
from snapcal_workbench.store.state_store import StateStore


def settings_at(settings: Settings, place: Path, state_id: str) -> Settings:
    """The settings with the states in another folder; all else (groupings, calibrants, map) stays where it is."""
    powder = user_path(place).absolute()
    layout = "with mode level" if has_mode_level(settings, state_id) else "without mode level"
    known = (powder / state_id).is_dir()
    return settings.model_copy(update={"powder_home": powder, "index_layout": "auto" if known else layout})


def prepare(
    settings: Settings, there: Settings, state: InstrumentState, *, run_number: str, author: str, progress: Progress
) -> None:
    """Initialise a state in the other place, unless it is there.

    Args:
        settings: Of the tree, whose name and first run of the state are taken over.
        there: What `settings_at` gave.
        state: The state.
        run_number: First run of the state, where the tree does not have it.
        author: Who saves.
        progress: Cancelling leaves nothing behind.

    Raises:
        StoreError: The folder could not be written.
        NotFoundError: There is no default grouping map.
    """
    if (there.powder_home / state.state_id).is_dir():
        return
    seed = StateStore(settings, state.state_id, instrument_of(settings).modes[0]).seed()
    init_state(
        there,
        state,
        name=seed.name or state.state_id,
        run_number=seed.run or run_number,
        author=author,
        progress=progress,
    )
