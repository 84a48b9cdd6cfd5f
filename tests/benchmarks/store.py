"""How the store's speed depends on the number of versions: `python tests/benchmarks/store.py [versions …]`.

Opening is the index and one directory listing, choosing is one run's version of the opened entries, listing is what
`snapcal versions` and the panel show, telling is what a save says before it is done, and saving is a whole lite version
of a calibration with that. Each figure is the median of several tries, in milliseconds; all but choosing are first
looks of a fresh process' memory at an index, so that nothing of it is kept from a look before. With 20,000 versions
each must be below 3 s.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from snapcal_workbench.formats.index import IndexEntry, choose_version, format_timestamp
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.versions import described_versions
from snapcal_workbench.store import index_file
from snapcal_workbench.store.state_init import init_state
from snapcal_workbench.store.state_store import StateStore

TRIES = 7
FIRST = 1_700_000_000_000_000_000


def _helpers():
    """The contents and trees that the store's tests use."""
    path = Path(__file__).parents[1] / "store" / "conftest.py"
    spec = importlib.util.spec_from_file_location("store_helpers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _milliseconds(action: Callable[[], object]) -> float:
    times = []
    for _ in range(TRIES):
        index_file.parse_bytes.cache_clear()
        started = time.perf_counter()
        action()
        times.append(1e3 * (time.perf_counter() - started))
    return median(times)


def _fill(store: StateStore, versions: int) -> None:
    """Give a home entries and folders of many versions; the records of old versions are not read."""
    entries = json.loads(store.index_path.read_text())
    for version in range(1, versions + 1):
        (store.home / f"v_{version:04d}").mkdir()
        entries.append(
            {
                "version": version,
                "runNumber": str(58000 + version),
                "useLiteMode": True,
                "appliesTo": f">={58000 + version}",
                "comments": f"version {version} of many",
                "author": "someone",
                "timestamp": format_timestamp(FIRST + version * 10**9),
            }
        )
    store.index_path.write_bytes(index_file.index_bytes(index_file.parse_index(entries).entries))


def _opened(store: StateStore) -> list[IndexEntry]:
    """The entries as they are after the first look at an index."""
    index_file.parse_bytes.cache_clear()
    return store.entries()


def measure(versions: int, root: Path) -> tuple[float, ...]:
    """Milliseconds of opening, choosing, listing, telling and saving with so many versions in the index."""
    helpers = _helpers()
    state = helpers.snap_state()
    settings = helpers.settings_in(root)
    init_state(settings, state, name="many", run_number="58810", author="someone", progress=Progress())
    store = StateStore(settings, state.state_id, SNAP.lite)
    _fill(store, versions)
    contents = helpers.make_contents(state)
    opened = iter([_opened(store) for _ in range(TRIES)])
    run = 58000 + versions // 2
    return (
        _milliseconds(store.entries),
        _milliseconds(lambda: choose_version(next(opened), run, True)),
        _milliseconds(lambda: described_versions(settings, state.state_id, SNAP.lite, run=run)),
        _milliseconds(lambda: store.effect("58882").sentences()),
        _milliseconds(lambda: store.save(contents, author="someone", comments="c")),
    )


def main() -> None:
    """Measure and print the table."""
    columns = ("opening", "choosing", "listing", "telling", "saving")
    table = Table("versions", *(f"{name}, ms" for name in columns), title=f"Store, median of {TRIES}")
    for versions in [int(text) for text in sys.argv[1:]] or [0, 500, 5000, 20_000]:
        with tempfile.TemporaryDirectory() as root:
            figures = measure(versions, Path(root))
        table.add_row(str(versions), *(f"{figure:.1f}" for figure in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
