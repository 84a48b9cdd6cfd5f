"""Index of versions: one JSON list with an entry a version, and the rule which version applies to a run. No files here.

Words that hold everywhere in this module:

- An *entry* says of a version: number, the run it was made from, mode, to which runs it applies, who and when.
- A *time* is an integer, nanoseconds since 1970-01-01 UTC. The time of an unreadable timestamp is `UNKNOWN_TIME`,
  which is older than every readable one.
- A *timestamp* is the text of a time: ISO 8601 with exactly nine fractional digits and a numeric offset without colon.
  SNAPRed misreads any other number of digits, so nine are written, whatever was read.
- *appliesTo* is a comma-separated list of conditions on the run number; all must hold. `NO_RUN` ("<0") fits no run: it
  marks a retired version, for SNAPWrap together with `INVALIDATED` before the comment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from snapcal_workbench.errors import FileFormatError, InputError

NO_RUN = "<0"
INVALIDATED = "(INVALIDATED)"
RECORD_HASH = "recordHash"
"""A key of entries that older releases wrote; read, but not written: SNAPWrap takes an index with it for damaged."""
UNKNOWN_TIME = -1
MAX_VERSION = 99_999_999
NANOSECONDS = 1_000_000_000

_LAST_TIME = 253_402_128_000 * NANOSECONDS  # 9999-12-30: any time zone can still write it
_TIMESTAMP = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<clock>\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d{1,18}))?\s?(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)
_CANONICAL = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{9}[+-]\d{4}", re.ASCII)
_RANGE = re.compile(r"\s*(?P<first>\d{1,18})\s*[-\u2013]\s*(?P<last>\d{1,18})\s*", re.ASCII)
_TYPED = re.compile(r"\s*(?P<operator>[<>=\u2264\u2265]{0,2})\s*(?P<number>\d{1,18})\s*")
_MEANT = {"": "=", "==": "=", "=>": ">=", "=<": "<=", "\u2265": ">=", "\u2264": "<="}
"""What people mean by operators that SNAPRed reads otherwise or not at all."""
_MARK = re.compile(rf"\s*{re.escape(INVALIDATED)}\s*")
_PRECISION = 1000
"""Two times that differ by no more, ns, are one: SNAPRed keeps seconds as a float64, which is good to some 250 ns."""
_TERM = re.compile(r"\s*(?P<operator>=?>|>=|<=|<|)\s*(?P<number>\d{1,18})\s*", re.ASCII)
_INTERVALS: dict[str, Callable[[int], tuple[float, float]]] = {
    ">=": lambda number: (number, math.inf),
    "<=": lambda number: (-math.inf, number),
    ">": lambda number: (number + 1, math.inf),
    "<": lambda number: (-math.inf, number - 1),
    "": lambda number: (number, number),
}


def parse_timestamp(value: str | int | float) -> int:
    """Time in ns of a timestamp as found in an index.

    Args:
        value: ISO 8601 text with any number of fractional digits (no offset means UTC), an integer (milliseconds, as
            old files have it) or a float (seconds).

    Raises:
        FileFormatError: It is none of these, or no date between 1970 and 9999.
    """
    time = _time(value)
    if time is None or not 0 <= time <= _LAST_TIME:
        raise FileFormatError(
            "A timestamp must be an ISO 8601 date and time between 1970 and 9999.",
            found=repr(value)[:80],
            fix="Write it like 2025-02-03T11:40:07.512345600-0500, or run `snapcal repair`.",
        )
    return time


def _time(value: object) -> int | None:
    if isinstance(value, str):
        return _time_of_text(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value * 1_000_000
    if isinstance(value, float) and abs(value) <= _LAST_TIME:
        return round(value * 1e6) * 1000
    return None


@lru_cache(maxsize=16384)
def _time_of_text(text: str) -> int | None:
    found = _TIMESTAMP.fullmatch(text)
    if not found:
        return None
    date, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock or '00:00:00'}") - _EPOCH
    except ValueError:
        return None
    seconds = moment.days * 86400 + moment.seconds - _offset(zone)
    return seconds * NANOSECONDS + int((fraction or "0")[:9].ljust(9, "0"))


_EPOCH = datetime(1970, 1, 1)


def _offset(zone: str | None) -> int:
    """Seconds east of Greenwich."""
    if not zone or zone == "Z":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    size = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -size if zone[0] == "-" else size


def format_timestamp(time: int) -> str:
    """Text of a time (ns): local time, nine fractional digits, numeric offset without colon.

    Raises:
        InputError: The time is before 1970 or after 9999.
    """
    if not 0 <= time <= _LAST_TIME:
        raise InputError(
            "Only times between 1970 and 9999 can be written.", found=str(time), fix="Check the clock of this computer."
        )
    seconds, fraction = divmod(time, NANOSECONDS)
    local = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=UTC).astimezone()
    return f"{local:%Y-%m-%dT%H:%M:%S}.{fraction:09d}{local.strftime('%z')[:5]}"


@dataclass(frozen=True)
class AppliesTo:
    """Condition on the run number: every (operator, number) of `terms` must hold."""

    terms: tuple[tuple[str, int], ...]

    @classmethod
    def parse(cls, text: str) -> AppliesTo:
        """The condition that a text states, such as ">=58882,<60000"; a bare number means that run alone.

        "=>5" is read as ">5", as SNAPRed does.

        Raises:
            InputError: It is not such a list.
        """
        return _parse_applies_to(text)

    @classmethod
    def from_text(cls, text: str) -> AppliesTo:
        """The condition that a person means, in the form that SNAPRed, SNAPWrap and we read alike.

        Besides what `parse` takes: ranges ("58882-58890"), "==", "=<" and "=>" for "at least". A run alone becomes
        ">=58882,<=58882": SNAPWrap knows no number without an operator, and SNAPRed no "==".

        Raises:
            InputError: It is no such list, or no run fits all of it.
        """
        found = cls(tuple(term for part in text.split(",") for term in _typed_terms(part, text)))
        low, high = found.interval
        if max(low, 1) > high:
            raise InputError(
                "'Applies to' must fit some run: all of its conditions hold together.",
                found=f"{text!r:.80}, which fits none",
                fix='Write one range, such as "58882-58890" or ">=58882"; save again for others.',
            )
        return found

    @classmethod
    def from_run(cls, run: int) -> AppliesTo:
        """The default condition: this run and all later ones."""
        return cls(((">=", run),))

    def accepts(self, run: int) -> bool:
        """Whether the condition holds for a run number."""
        low, high = self.interval
        return low <= run <= high

    @property
    def interval(self) -> tuple[float, float]:
        """First and last run number for which it holds; the first is larger than the last where none does."""
        intervals = [_INTERVALS[symbol](number) for symbol, number in self.terms]
        return max(low for low, _ in intervals), min(high for _, high in intervals)

    def __str__(self) -> str:
        return ",".join(f"{symbol}{number}" for symbol, number in self.terms)


def _typed_terms(part: str, text: str) -> tuple[tuple[str, int], ...]:
    if found := _RANGE.fullmatch(part):
        return (">=", int(found["first"])), ("<=", int(found["last"]))
    found = _TYPED.fullmatch(part)
    operator = _MEANT.get(found["operator"], found["operator"]) if found else ""
    if not found or operator not in (">=", "<=", ">", "<", "="):
        raise InputError(
            "'Applies to' must be run numbers with >=, <=, > or <, or ranges, separated by commas; all must hold.",
            found=repr(text)[:80],
            fix='Write for example ">=58882,<60000", "58882-58890" or "58882".',
        )
    number = int(found["number"])
    return ((">=", number), ("<=", number)) if operator == "=" else ((operator, number),)


def _parse_applies_to(text: str) -> AppliesTo:
    terms = [_TERM.fullmatch(part) for part in text.split(",")]
    if None in terms:
        raise InputError(
            "'Applies to' must be run numbers with >=, <=, > or <, separated by commas.",
            found=repr(text)[:80],
            fix='Write for example ">=58882,<60000" or "58882".',
        )
    return AppliesTo(tuple((term["operator"].replace("=>", ">"), int(term["number"])) for term in terms if term))


@lru_cache(maxsize=16384)
def interval_of(text: str | None) -> tuple[float, float] | None:
    """First and last run that fit a condition as a file has it; None where it cannot be understood."""
    try:
        return None if text is None else AppliesTo.parse(text).interval
    except InputError:
        return None


def _is_canonical(stamp: object) -> bool:
    """Whether a value is a timestamp as it is to be written."""
    return isinstance(stamp, str) and _is_canonical_text(stamp)


@lru_cache(maxsize=16384)
def _is_canonical_text(stamp: str) -> bool:
    time = _time_of_text(stamp) if _CANONICAL.fullmatch(stamp) else None
    return time is not None and 0 <= time <= _LAST_TIME


class IndexEntry(BaseModel):
    """One version in an index. Fields that are not known are kept.

    Attributes:
        version: Number of the version; 0 is the default of a state.
        run_number: Digits of the run that the version was made from.
        use_lite_mode: Whether it is of lite pixels.
        applies_to: Condition on the run number, see `AppliesTo`; None or odd text applies to no run.
        comments: What the author says of it.
        author: Who made it.
        timestamp: When; nine fractional digits; "" if unknown.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    version: int = Field(ge=0, le=MAX_VERSION, strict=True)
    run_number: str = Field(strict=True)
    use_lite_mode: bool = Field(strict=True)
    applies_to: str | None = None
    comments: str | None = None
    author: str | None = None
    timestamp: str = ""

    @field_validator("timestamp", mode="before")
    @classmethod
    def _nine_digits(cls, value: str | int | float) -> str | int | float:
        try:
            return value if _is_canonical(value) or value == "" else format_timestamp(parse_timestamp(value))
        except FileFormatError as error:
            raise ValueError(error.what) from None

    @cached_property
    def time(self) -> int:
        """When the version was made, ns; `UNKNOWN_TIME` without a timestamp."""
        time = _time_of_text(self.timestamp)
        return UNKNOWN_TIME if time is None else time

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """First and last run that it applies to; None where `applies_to` cannot be understood."""
        return interval_of(self.applies_to)

    def accepts(self, run: int) -> bool:
        """Whether the version applies to a run."""
        interval = self.interval
        return interval is not None and interval[0] <= run <= interval[1]

    @property
    def is_retired(self) -> bool:
        """Whether the entry says that the version is retired: it applies to no run by intent."""
        return self.applies_to is not None and self.applies_to.strip() == NO_RUN

    @property
    def is_marked(self) -> bool:
        """Whether the comment says that the version is retired, as SNAPWrap writes it."""
        return self.comments is not None and _MARK.match(self.comments) is not None

    def with_applies_to(self, applies_to: str | None) -> IndexEntry:
        """The same entry with another condition."""
        return self._changed(appliesTo=applies_to)

    def retired(self) -> IndexEntry:
        """The entry as that of a retired version, marked so that SNAPRed and SNAPWrap pass it over."""
        return self if self.is_retired and self.is_marked else self._changed(appliesTo=NO_RUN, comments=self._marked())

    def restored(self, applies_to: str | None) -> IndexEntry:
        """The entry of a version that is brought back."""
        return self._changed(appliesTo=applies_to, comments=unmarked(self.comments))

    def _marked(self) -> str:
        return f"{INVALIDATED} {unmarked(self.comments) or ''}".rstrip()

    def _changed(self, **changes: object) -> IndexEntry:
        return IndexEntry.model_validate({**self.model_dump(by_alias=True), **changes})

    def to_json(self) -> dict[str, object]:
        """The entry for an index file, such that SNAPRed can read it: no null condition and no empty timestamp.

        It has SNAPRed's keys, and those that others than we have put there.
        """
        return {
            "version": self.version,
            "runNumber": self.run_number,
            "useLiteMode": self.use_lite_mode,
            "appliesTo": self.applies_to if self.interval else NO_RUN,
            "comments": self.comments,
            "author": self.author,
            "timestamp": self.timestamp or format_timestamp(0),
            **{key: value for key, value in (self.model_extra or {}).items() if key != RECORD_HASH},
        }


def unmarked(comments: str | None) -> str | None:
    """A comment without SNAPWrap's mark of a retired version."""
    return comments if comments is None else _MARK.sub("", comments, count=1) if _MARK.match(comments) else comments


def same_time(one: int, other: int) -> bool:
    """Whether two times (ns) are one and the same, once SNAPRed has kept either."""
    return abs(one - other) <= _PRECISION


@dataclass(frozen=True)
class ParsedIndex:
    """What could be read of an index.

    Attributes:
        entries: One a version, in the order of the file; of repeated versions the last.
        problems: What is wrong with it, one sentence each.
        rejected: Items of the list that are no entries, as found.
    """

    entries: list[IndexEntry]
    problems: list[str] = field(default_factory=list)
    rejected: list[object] = field(default_factory=list)


def parse_index(data: object) -> ParsedIndex:
    """Read the JSON value of an index file, whatever it holds; never raises."""
    if not isinstance(data, list):
        return ParsedIndex([], [f"The index must be a list of entries, found {_kind(data)}."], [data])
    entries: dict[int, IndexEntry] = {}
    parsed = ParsedIndex([])
    for position, item in enumerate(data):
        entry, problems = parse_entry(item)
        where = f"Entry {position + 1}" if entry is None else f"Version {entry.version}"
        parsed.problems.extend(f"{where}: {problem}" for problem in problems)
        if entry is None:
            parsed.rejected.append(item)
            continue
        if entries.pop(entry.version, None) is not None:
            parsed.problems.append(f"Version {entry.version}: more than one entry; the last one counts.")
        entries[entry.version] = entry
    parsed.entries.extend(entries.values())
    return parsed


def parse_entry(item: object) -> tuple[IndexEntry | None, list[str]]:
    """The entry that a JSON value holds, mended where its meaning is plain, and what was wrong; never raises."""
    if not isinstance(item, dict):
        return None, [f"an entry must be an object, found {_kind(item)}."]
    mended, problems = _mended(item)
    try:
        entry = IndexEntry.model_validate(mended)
    except (ValidationError, RecursionError, ValueError) as error:
        return None, [*problems, f"not an entry: {_first_reason(error)}."]
    if entry.interval is None:
        problems.append(f"appliesTo {entry.applies_to!r} cannot be understood, so it applies to no run.")
    if entry.time == UNKNOWN_TIME:
        problems.append("no readable timestamp; it counts as older than all others.")
    return entry, problems


def _mended(item: dict) -> tuple[dict, list[str]]:
    """The entry's JSON, or a copy in which values of the wrong JSON type have the right one."""
    wrong = [key for key, (right, _) in _MENDABLE.items() if key in item and type(item[key]) not in right]
    stamp = item.get("timestamp", "")
    if not wrong and (stamp == "" or _is_canonical(stamp)):
        return item, []
    mended, problems = dict(item), []
    for key in wrong:
        try:
            mended[key] = _MENDABLE[key][1](item[key])
        except (TypeError, ValueError, OverflowError):
            continue
        problems.append(f"{key} is {_kind(item[key])}, read as {mended[key]!r}.")
    problems.extend(_mend_timestamp(mended))
    return mended, problems


def _mend_timestamp(mended: dict) -> list[str]:
    stamp = mended.get("timestamp", "")
    if stamp == "" or _is_canonical(stamp):
        return []
    try:
        mended["timestamp"] = format_timestamp(parse_timestamp(stamp))
    except FileFormatError:
        mended["timestamp"] = ""
        return [f"timestamp {stamp!r:.60} cannot be read."]
    exact = isinstance(stamp, str) and re.search(r"\.\d{9}(?!\d)", stamp)
    return [] if exact else [f"timestamp {stamp!r:.60} has not nine fractional digits."]


def _whole(value: object) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()) or len(str(value)) > 20:
        raise ValueError(value)
    return int(value if isinstance(value, (int, float)) else str(value))


def _digits(value: object) -> str:
    return str(_whole(value))


def _flag(value: object) -> bool:
    if value not in (0, 1):
        raise ValueError(value)
    return bool(value)


def _text(value: object) -> str | None:
    if isinstance(value, (dict, list)):
        raise ValueError(value)
    return None if value is None else str(value)


_MENDABLE: dict[str, tuple[tuple[type, ...], Callable[[object], object]]] = {
    "version": ((int,), _whole),
    "runNumber": ((str,), _digits),
    "useLiteMode": ((bool,), _flag),
    "appliesTo": ((str, type(None)), _text),
    "comments": ((str, type(None)), _text),
    "author": ((str, type(None)), _text),
}


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _first_reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return type(error).__name__


def choose_version(entries: Sequence[IndexEntry], run: int, use_lite_mode: bool | None) -> IndexEntry | None:
    """The version that applies to a run: the newest one that accepts it; the default (0) only if no other does.

    Entries of the run's mode are kept first. Newest is by timestamp, not by number; of equal timestamps the later in
    the list wins. This is SNAPRed's rule; where SNAPRed fails (conditions that are null or odd, a default that does not
    apply beside two that do) such an entry is passed over.

    Args:
        entries: In the order of the index.
        run: Run number.
        use_lite_mode: Mode of the run; None where entries have no mode (instrument parameters).
    """
    best: IndexEntry | None = None
    default: IndexEntry | None = None
    for entry in reversed(entries):
        if use_lite_mode is not None and entry.use_lite_mode != use_lite_mode:
            continue
        rival = best if entry.version else default
        if (rival is None or entry.time > rival.time) and entry.accepts(run):
            if entry.version:
                best = entry
            else:
                default = entry
    return best or default


def next_version(numbers: Iterable[int]) -> int:
    """The number of a new version: one more than the largest that is taken; at least 1, as 0 is the state's default.

    A number that no other can follow, such as that of a stray folder `v_99999999`, is passed over.
    """
    taken = {0, *numbers}
    return max(number + 1 for number in taken if number < MAX_VERSION and number + 1 not in taken)
