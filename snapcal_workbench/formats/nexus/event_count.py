"""How many events a file holds, told without reading any."""

from __future__ import annotations

from pathlib import Path

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.formats.disk.once import read_once
from snapcal_workbench.formats.nexus._event_banks import find_banks
from snapcal_workbench.formats.nexus.run_file import open_run
from snapcal_workbench.formats.nexus.run_info import find_entry


@read_once()
def count_events(path: Path) -> int | None:
    """Number of events in the banks of an event NeXus file; None where that cannot be told."""
    try:
        with open_run(path) as file:
            return sum(len(bank) for bank in find_banks(find_entry(file))[0])
    except SnapcalError:
        return None
