"""What the numbers of the search for moved modules do: its decisions with each at half, at, and at twice its value.

Run: python -m tests.benchmarks.module_numbers [NAME ...]

SNAP's 18 modules are simulated with few and with many counts: some of them moved, some beyond the search, beside a
second phase, of another crystal, and without peaks. The table has the modules that were moved to a wrong place, those
that are off and were left as they are, those that are on the pattern and were called lost, and those of another crystal
that were called nothing.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snapcal_workbench.calibration.phases.pattern import Pattern
from snapcal_workbench.calibration.pixels import modules
from snapcal_workbench.simulation.sample import SampleState
from tests.benchmarks.tuned_numbers import changed
from tests.synthetic_modules import foreign, module_patterns, reflections

FACTORS = {"CLEARLY": (0.9, 1.0, 1.25)}
"""Instead of half, one and twice: 1 is the least that this number can be."""
NAMES = ("SEARCH", "CHANCE", "CLEARLY", "RIVALS", "RIVAL", "LEAST_EXPLAINED", "PEAKS", "CLEAR_PEAK")
MISALIGNMENT = 0.009
"""A module found further than this from its place is moved to a wrong one."""
COUNTS = (600.0, 3e3, 1e5)
LEAD = SampleState(foreign=(foreign("lead", 1.0),))


@dataclass(frozen=True, eq=False)
class Case:
    """The patterns of a run's modules, and what is true of them."""

    patterns: list[Pattern]
    moved: Mapping[int, float] = field(default_factory=dict)
    is_calibrant: bool = True
    has_peaks: bool = True


def cases() -> list[Case]:
    """All runs."""
    found = []
    for seed, counts in enumerate(COUNTS):
        for moved in ({3: 0.08, 10: -0.08, 17: 0.04}, {2: -0.04, 9: 0.03, 16: -0.06}, {5: 0.16, 11: -0.15}):
            found.append(Case(module_patterns(counts, seed, moved=moved), moved))
            found.append(Case(module_patterns(counts, seed + 10, moved=moved, sample=LEAD), moved))
        found.append(Case(module_patterns(counts, seed + 20, calibrant="diamond"), is_calibrant=False))
        found.append(Case(module_patterns(counts, seed + 30, background=1.0), has_peaks=False))
    return found


def judged(case: Case) -> Counter[str]:
    """The wrong decisions of a run."""
    wrong: Counter[str] = Counter()
    number = np.arange(len(case.patterns), dtype=np.int32)
    for cell in modules.find_cells(case.patterns, number, reflections("silicon"), max_shift=0.02)[0]:
        true, on = case.moved.get(cell.cell, 0.0), case.is_calibrant and case.has_peaks
        off = cell.finding == "moved" and not (on and abs(cell.shift - true) < MISALIGNMENT)
        within = on and abs(true) <= modules.SEARCH
        wrong["wrongly moved"] += off
        wrong["left"] += within and true != 0.0 and cell.finding not in ("moved", "lost")
        wrong["wrongly lost"] += cell.finding == "lost" and (within or not case.has_peaks)
        wrong["not lost"] += not case.is_calibrant and cell.finding != "lost"
    return wrong


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="numbers to look at; all by default")
    names = parser.parse_args().names or NAMES
    runs = cases()
    kinds = ("wrongly moved", "left", "wrongly lost", "not lost")
    print(f"{'number':16s} {'value':>6s} {''.join(f'{kind:>15s}' for kind in kinds)}")
    for name in names:
        for factor in FACTORS.get(name, (0.5, 1.0, 2.0)):
            with changed(modules, name, factor) as value:
                total = sum((judged(case) for case in runs), Counter[str]())
            print(f"{name:16s} {value:>6s} {''.join(f'{total[kind]:15d}' for kind in kinds)}", flush=True)


if __name__ == "__main__":
    main()
