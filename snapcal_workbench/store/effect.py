"""What a new version would do to the runs of its state, told before it is saved: which it takes, from which versions.

The new version is the newest, so that it is chosen for every run that its condition accepts; where the settings refuse
versions of other cycles, only for those of its own cycle, or of none that is known. What is chosen today is constant
between the ends of cycles and of the conditions of the versions that there are, so that ranges of runs tell all of it.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.index import AppliesTo, IndexEntry
from snapcal_workbench.instrument.cycles import Span, cycle_of, spans_of
from snapcal_workbench.options import BeamCycle

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
        only: Name of the cycle beyond which its condition reaches, but it does not count; "" where nothing is cut off.
    """

    applies_to: str
    taken: tuple[Taken, ...]
    known: dict[int, int | None]
    takes: tuple[int, ...]
    only: str = ""

    def sentences(self) -> list[str]:
        """What is to be told before the version is saved."""
        told = [f"It applies to {self.applies_to}: {_runs(self.known, self.takes)}."]
        told += [f"It takes {_range(part)} from {version_text(part.version)}." for part in self.taken[:_SHOWN]]
        if len(self.taken) > _SHOWN:
            told.append(f"It takes runs of {len(self.taken) - _SHOWN} more ranges.")
        if self.only:
            told.append(f"It does not count beyond its own cycle, {self.only}: the setting beyond_cycle says so.")
        left = [run for run in self.known if run not in self.takes]
        if left:
            which, are = ("runs", "they are") if len(left) > 1 else ("run", "it is")
            told.append(f"It leaves {which} {_listed(left)} as {are}.")
        return told


def effect_of(
    entries: Sequence[IndexEntry],
    run: int,
    condition: AppliesTo,
    use_lite_mode: bool | None,
    cycles: Sequence[BeamCycle] = (),
) -> Effect:
    """What a version with a condition would do, see `Effect`.

    Args:
        entries: Of the versions that there are.
        run: The run that the version was made from.
        condition: Of the new version.
        use_lite_mode: Mode of the version; None where all entries are of it.
        cycles: By first run: those beyond which no version counts (`instrument.cycles.refusing_cycles`).

    Raises:
        InputError: It would take none of the known runs: neither its own nor one of another version.
    """
    own = [entry for entry in entries if use_lite_mode in (None, entry.use_lite_mode)]
    numbers = {run, *(int(entry.run_number) for entry in own if entry.run_number.isdecimal())}
    spans, cycle, (low, high) = spans_of(cycles), cycle_of(cycles, run), condition.interval
    choices = [choice for span in spans for choice in _choices_in(span, own, cycles)]
    starts = [start for start, _ in choices]
    known = {number: choices[bisect_right(starts, number) - 1][1] for number in sorted(numbers) if number > 0}
    counting = [span for span in spans if _counts(cycle, span)]
    takes = tuple(run for run in known if condition.accepts(run) and any(run in span for span in counting))
    cut = any(span.first <= high and span.last >= low for span in spans if span not in counting)
    only = cycle.name if cycle and cut else ""
    if not takes:
        raise _takes_none(condition, run, list(known), only)
    parts = (_taken(choices, max(low, span.first), min(high, span.last)) for span in _joined(counting))
    return Effect(str(condition), tuple(chain.from_iterable(parts)), known, takes, only)


@dataclass(frozen=True)
class Reassigned:
    """Runs from `first` to `last` (infinite for all later ones) that used version `before`, and use `after` now."""

    first: int
    last: float
    before: int | None
    after: int | None


def reassigned(
    before: Sequence[IndexEntry],
    after: Sequence[IndexEntry],
    use_lite_mode: bool | None,
    cycles: Sequence[BeamCycle] = (),
) -> list[Reassigned]:
    """The runs for which another version is chosen after a change of the index, in ascending order.

    Args:
        before: The entries; after: those of now.
        use_lite_mode: Mode of the runs; None where all entries are of it.
        cycles: As for `effect_of`.
    """
    spans = spans_of(cycles)
    choices = []
    for entries in (before, after):
        own = [entry for entry in entries if use_lite_mode in (None, entry.use_lite_mode)]
        choices.append([choice for span in spans for choice in _choices_in(span, own, cycles)])
    starts = sorted({start for found in choices for start, _ in found})
    parts: list[Reassigned] = []
    for start, following in zip(starts, [*starts[1:], math.inf], strict=True):
        old, new = (found[bisect_right(found, start, key=lambda choice: choice[0]) - 1][1] for found in choices)
        if old == new:
            continue
        joins = parts and parts[-1].last + 1 == start and (parts[-1].before, parts[-1].after) == (old, new)
        first = parts.pop().first if joins else start
        parts.append(Reassigned(first, following - 1, old, new))
    return parts


def told_of_reassigned(parts: Sequence[Reassigned], version: int) -> list[str]:
    """What became of the runs that a version was taken from, or that it took, one sentence for each range."""
    told = []
    for part in parts:
        use = "uses" if part.last == part.first else "use"
        instead = f"{use} {version_text(part.after)} now, instead of {version_text(part.before)}"
        if version in (part.before, part.after):
            told.append(f"{_range(part)} {instead}.".capitalize())
    if len(told) > _SHOWN:
        told = [*told[:_SHOWN], f"So do {len(told) - _SHOWN} more ranges of runs with their own."]
    return told or ["It changes for no run which version it uses."]


def _takes_none(condition: AppliesTo, run: int, known: Sequence[int], only: str) -> InputError:
    within = f" in cycle {only}, and counts in no other (setting beyond_cycle)" if only else ""
    return InputError(
        "'Applies to' must take at least one run that is known: the calibrated one or that of another version.",
        found=f"{condition}, which takes none of {_listed(known)}{within}",
        fix=f"Write for example '>={run}' or '{run}-{run + 100}'.",
    )


def _counts(made: BeamCycle | None, span: Span) -> bool:
    """Whether a version that was made in a cycle counts for runs of a span."""
    return made is None or span.cycle is None or made == span.cycle


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Spans that follow on each other in one."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].last + 1 == span.first:
            joined[-1] = Span(joined[-1].first, span.last, None)
        else:
            joined.append(span)
    return joined


def _taken(choices: Sequence[tuple[int, int | None]], low: float, high: float) -> Iterator[Taken]:
    """The runs from `low` to `high`, cut where what they use today changes."""
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


def _choices_in(
    span: Span, entries: Sequence[IndexEntry], cycles: Sequence[BeamCycle]
) -> Iterator[tuple[int, int | None]]:
    """As `_choices`, within a span, among the versions that count there."""
    counting = [e for e in entries if e.version == 0 or _counts(_cycle_of_version(e, cycles), span)]
    choices = list(_choices(counting))
    first = bisect_right([start for start, _ in choices], span.first) - 1
    yield span.first, choices[first][1]
    yield from (choice for choice in choices[first + 1 :] if choice[0] <= span.last)


def _cycle_of_version(entry: IndexEntry, cycles: Sequence[BeamCycle]) -> BeamCycle | None:
    return cycle_of(cycles, int(entry.run_number)) if entry.run_number.isdecimal() else None


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


def _range(part: Taken | Reassigned) -> str:
    if part.last == math.inf:
        return f"all runs from {part.first} on"
    return f"run {part.first}" if part.first == part.last else f"runs {part.first} to {int(part.last)}"


def version_text(version: int | None) -> str:
    """A version in a sentence; None for none, 0 for the default."""
    if version is None:
        return "no version"
    return f"version {version}" if version else "the default"
