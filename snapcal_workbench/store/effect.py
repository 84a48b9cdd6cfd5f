"""What a new version would do to the runs of its state, told before it is saved: which it takes, from which versions.

The new version is the newest, so that it is chosen for every run that its condition accepts. What is chosen today is
constant between the ends of the conditions of the versions that there are, so that ranges of runs tell all of it.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.index import AppliesTo, IndexEntry

_SHOWN = 6
"""Ranges that are told one by one."""


@dataclass(frozen=True)
class Taken:
    """Runs from `first` to `last` (infinite for all later ones) that use version `version` today; None for none."""

    first: int
    last: float
    version: int | None


@dataclass(frozen=True)
class Effect:
    """What a new version would do.

    Attributes:
        applies_to: Its condition, as it is written.
        taken: All runs that it would take, in ascending order.
        known: The runs of the state that are known, each with the version that it uses today.
        takes: Those of them that it would take.
    """

    applies_to: str
    taken: tuple[Taken, ...]
    known: dict[int, int | None]
    takes: tuple[int, ...]

    def sentences(self) -> list[str]:
        """What is to be told before the version is saved."""
        told = [f"It applies to {self.applies_to}: {_runs(self.known, self.takes)}."]
        told += [f"It takes {_range(part)} from {_version(part.version)}." for part in self.taken[:_SHOWN]]
        if len(self.taken) > _SHOWN:
            told.append(f"It takes runs of {len(self.taken) - _SHOWN} more ranges.")
        left = [run for run in self.known if run not in self.takes]
        if left:
            told.append(f"It leaves run{'s' if len(left) > 1 else ''} {_listed(left)} as they are.")
        return told


def effect_of(entries: Sequence[IndexEntry], run: int, condition: AppliesTo, use_lite_mode: bool | None) -> Effect:
    """What a version with a condition would do, see `Effect`.

    Args:
        entries: Of the versions that there are.
        run: The run that the version was made from.
        condition: Of the new version.
        use_lite_mode: Mode of the version; None where all entries are of it.

    Raises:
        InputError: It would take none of the known runs: neither its own nor one of another version.
    """
    own = [entry for entry in entries if use_lite_mode in (None, entry.use_lite_mode)]
    numbers = {run, *(int(entry.run_number) for entry in own if entry.run_number.isdecimal())}
    choices = list(_choices(own))
    starts = [start for start, _ in choices]
    known = {number: choices[bisect_right(starts, number) - 1][1] for number in sorted(numbers) if number > 0}
    takes = tuple(number for number in known if condition.accepts(number))
    if not takes:
        raise InputError(
            "'Applies to' must take at least one run that is known: the calibrated one or that of another version.",
            found=f"{condition}, which takes none of {_listed(list(known))}",
            fix=f"Write for example '>={run}' or '{run}-{run + 100}'.",
        )
    return Effect(str(condition), tuple(_taken(choices, condition)), known, takes)


def _taken(choices: Sequence[tuple[int, int | None]], condition: AppliesTo) -> Iterator[Taken]:
    """The runs that a condition takes, cut where what they use today changes."""
    low, high = condition.interval
    first = int(max(low, 1))
    parts: list[Taken] = []
    for start, current in choices:
        if start > high:
            break
        begin = max(start, first)
        if parts and parts[-1].version == current:
            continue
        if parts:
            parts[-1] = Taken(parts[-1].first, begin - 1, parts[-1].version)
        parts.append(Taken(begin, high, current))
    yield from (part for part in parts if part.last >= part.first)


def _choices(entries: Sequence[IndexEntry]) -> Iterator[tuple[int, int | None]]:
    """From which run on which version is chosen, ascending: `formats.index.choose_version` for all runs."""
    begins = sorted((max(e.interval[0], 1), position) for position, e in enumerate(entries) if e.interval)
    ends = {e.interval[1] + 1 for e in entries if e.interval and e.interval[1] < math.inf}
    open_entries: list[tuple[bool, int, int]] = []
    following = iter(begins)
    following_begin = next(following, None)
    for start in sorted({1, *(begin for begin, _ in begins), *(end for end in ends if end > 1)}):
        while following_begin is not None and following_begin[0] <= start:
            position = following_begin[1]
            # the smallest is the best: versions before the default, the newest first, of equals the later in the list
            item = (entries[position].version == 0, -entries[position].time, -position)
            heapq.heappush(open_entries, item)
            following_begin = next(following, None)
        while open_entries and not entries[-open_entries[0][2]].accepts(int(start)):
            heapq.heappop(open_entries)
        yield int(start), entries[-open_entries[0][2]].version if open_entries else None


def _runs(known: dict[int, int | None], takes: Sequence[int]) -> str:
    word = "run" if len(takes) == 1 else "runs"
    if len(known) == 1:
        return f"it takes {word} {_listed(takes)}, the only one that is known"
    return f"of the {len(known)} runs that are known it takes {word} {_listed(takes)}"


def _listed(runs: Iterable[int]) -> str:
    numbers = list(runs)
    shown = ", ".join(str(run) for run in numbers[:_SHOWN])
    return shown if len(numbers) <= _SHOWN else f"{shown} and {len(numbers) - _SHOWN} more"


def _range(part: Taken) -> str:
    if part.last == math.inf:
        return f"all runs from {part.first} on"
    return f"run {part.first}" if part.first == part.last else f"runs {part.first} to {int(part.last)}"


def _version(version: int | None) -> str:
    if version is None:
        return "no version"
    return f"version {version}" if version else "the default"
