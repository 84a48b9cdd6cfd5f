"""Index entries are read for what they mean, written as SNAPRed reads them, and chosen by SNAPRed's rule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.formats.index import (
    MAX_VERSION,
    UNKNOWN_TIME,
    AppliesTo,
    IndexEntry,
    choose_version,
    format_timestamp,
    next_version,
    parse_entry,
    parse_index,
    parse_timestamp,
)

HALF_PAST = 1_715_000_000_500_000_000  # 2024-05-06 12:53:20.5 UTC
MIDNIGHT = 1_714_953_600_000_000_000


def chosen(entries: Sequence[IndexEntry], run: int, lite: bool | None) -> IndexEntry:
    """The entry of the version that applies, of which there is one."""
    found = choose_version(entries, run, lite)
    assert found is not None
    return found


def parsed(item: Any) -> tuple[IndexEntry, list[str]]:
    """An entry that can be read, and what is odd about it."""
    found, problems = parse_entry(item)
    assert found is not None
    return found, problems


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-05-06T12:53:20.500000000+0000", HALF_PAST),
        ("2024-05-06T12:53:20.500000000+00:00", HALF_PAST),
        ("2024-05-06T12:53:20.500000000Z", HALF_PAST),
        ("2024-05-06T12:53:20.500000000", HALF_PAST),
        ("2024-05-06 12:53:20.500000000", HALF_PAST),
        ("2024-05-06T12:53:20.500000+0000", HALF_PAST),
        ("2024-05-06T12:53:20.500+0000", HALF_PAST),
        ("2024-05-06T07:53:20.5-0500", HALF_PAST),
        ("2024-05-06T18:23:20.5+05:30", HALF_PAST),
        ("2024-05-06T12:53:20+0000", HALF_PAST - 500_000_000),
        ("2024-05-06", MIDNIGHT),
        (1715000000500, HALF_PAST),
        (1715000000.5, HALF_PAST),
    ],
)
def test_timestamps_are_read_whatever_their_digits(value, expected):
    """The forms found in indices, those that SNAPRed takes for 1970 included, mean what they say."""
    assert parse_timestamp(value) == expected


@pytest.mark.parametrize(
    "value", ["", "yesterday", "2024-13-01", "2024-05-06T25:00:00", "1950-01-01", True, None, float("nan"), 1e300, -5]
)
def test_other_timestamps_are_refused(value):
    """What is no date between 1970 and 9999 is our error."""
    with pytest.raises(FileFormatError, match="timestamp"):
        parse_timestamp(value)


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_written_timestamps_have_nine_digits_and_mean_the_same(time):
    """A written time reads back exactly, by us and by the standard library (to its microseconds)."""
    text = format_timestamp(time)
    assert parse_timestamp(text) == time
    stamp, _, rest = text.partition(".")
    assert len(rest) == 14
    assert rest[:9].isdigit()
    by_library = datetime.strptime(f"{stamp}.{rest[:6]}{rest[9:]}", "%Y-%m-%dT%H:%M:%S.%f%z")
    since = by_library - datetime(1970, 1, 1, tzinfo=UTC)
    assert (since.days * 86400 + since.seconds) * 10**6 + since.microseconds == time // 1000


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        (">=5", [5, 6], [4]),
        ("<=5", [4, 5], [6]),
        (">5", [6], [5]),
        ("<5", [4], [5]),
        ("=>5", [6], [5]),
        ("5", [5], [4, 6]),
        (" >=5 , <7 ", [5, 6], [4, 7]),
        (">=58882,<60000", [58882, 59999], [58881, 60000]),
        ("<0", [], [0, 1, 10**6]),
        ("5,6", [], [5, 6]),
    ],
)
def test_applies_to_means_what_snapred_makes_of_it(text, yes, no):
    """Terms are joined by AND; a bare number is that run; "=>" is ">"."""
    condition = AppliesTo.parse(text)
    assert [run for run in yes + no if condition.accepts(run)] == yes
    assert AppliesTo.parse(str(condition)) == condition


@pytest.mark.parametrize("text", ["", ">=", "!=5", "5;6", "1-5", "five", ">=5,", "٥", "9" * 30])
def test_other_conditions_are_refused(text):
    """What SNAPRed refuses, we refuse."""
    with pytest.raises(InputError, match="Applies to"):
        AppliesTo.parse(text)


def entry(version, applies_to=">=0", second=0, lite=True, **more):
    """An entry made `second` seconds after some moment."""
    stamp = format_timestamp(HALF_PAST + second * 10**9)
    return IndexEntry(
        version=version, run_number="58882", use_lite_mode=lite, applies_to=applies_to, timestamp=stamp, **more
    )


def snapred_choice(entries, run):
    """SNAPRed's rule as it is documented, written down step by step."""

    def accepts(item):
        for term in item.applies_to.split(","):
            for symbol in (">=", "<=", ">", "<"):
                if term.startswith(symbol):
                    number = int(term[len(symbol) :])
                    good = {">=": run >= number, "<=": run <= number, ">": run > number, "<": run < number}[symbol]
                    break
            else:
                good = run == int(term)
            if not good:
                return False
        return True

    fitting = [item for item in sorted(entries, key=lambda item: item.timestamp) if accepts(item)]
    if len(fitting) > 1:
        fitting = [item for item in fitting if item.version != 0]
    return fitting[-1] if fitting else None


terms = st.builds(
    lambda symbol, number: f"{symbol}{number}", st.sampled_from([">=", "<=", ">", "<", ""]), st.integers(0, 9)
)
conditions = st.lists(terms, min_size=1, max_size=3).map(",".join)
indices = st.lists(st.tuples(conditions, st.integers(0, 5)), max_size=8).map(
    lambda rows: [entry(0), *(entry(n + 1, text, second) for n, (text, second) in enumerate(rows))]
)


@settings(max_examples=300)
@given(indices, st.integers(0, 10))
def test_choice_is_snapreds_on_well_formed_indices(entries, run):
    """One entry a version, conditions and timestamps as they should be: the same version, always."""
    assert choose_version(entries, run, None) == snapred_choice(entries, run)


def test_latest_timestamp_wins_and_then_the_later_in_the_file():
    """Neither a higher number nor the default's timestamp decides."""
    entries = [entry(0, second=9), entry(3, second=5), entry(7, second=2), entry(2, second=5)]
    assert chosen(entries, 1, True).version == 2


def test_default_is_chosen_only_when_alone():
    """Version 0 applies when no other does, even if it is the newest."""
    entries = [entry(0, second=9), entry(1, "<5")]
    assert chosen(entries, 4, True).version == 1
    assert chosen(entries, 5, True).version == 0


def test_choice_where_snapred_fails():
    """Null and odd conditions, and a default that does not apply beside two that do, are passed over."""
    entries = [entry(0, "<5"), entry(1), entry(2, second=1), entry(3, None, 9), entry(4, "often", 9)]
    assert chosen(entries, 9, True).version == 2


def test_entries_of_the_runs_mode_come_first():
    """With shared numbers the lite default is not a native run's, and a newer version of the other mode is not."""
    entries = [entry(0), entry(1, lite=False), entry(2, second=5)]
    assert chosen(entries, 9, True).version == 2
    assert chosen(entries, 9, False).version == 1
    assert choose_version(entries[:1], 9, False) is None


def test_unknown_timestamp_is_older_than_all_others():
    """An entry without a readable timestamp never hides one with."""
    unknown, _ = parsed({"version": 5, "runNumber": "1", "useLiteMode": True, "appliesTo": ">=0", "timestamp": "?"})
    assert chosen([entry(1), unknown], 9, True).version == 1
    assert chosen([entry(0), unknown], 9, True).version == 5


def test_timestamp_of_the_right_shape_that_is_no_date():
    """Nine digits do not make a date."""
    item = {"version": 1, "runNumber": "1", "useLiteMode": True, "appliesTo": "1"}
    found, problems = parsed({**item, "timestamp": "2024-13-99T12:53:20.500000000+0000"})
    assert (found.timestamp, found.time) == ("", UNKNOWN_TIME)
    assert len(problems) == 2


def test_entries_of_the_wrong_types_are_mended_and_reported():
    """What SNAPRed rejects is read where its meaning is plain, each oddity reported once."""
    item = {
        "version": 2.0,
        "runNumber": 58882,
        "useLiteMode": 1,
        "appliesTo": None,
        "timestamp": "2024-05-06T12:53:20.5Z",
    }
    found, problems = parsed(item)
    assert (found.version, found.run_number, found.use_lite_mode, found.time) == (2, "58882", True, HALF_PAST)
    assert [name for name in item if sum(name in problem for problem in problems) == 1] == list(item)


def test_written_entry_can_be_read_by_snapred():
    """No null condition, nine digits, and unknown fields kept."""
    found, _ = parsed({"version": 1, "runNumber": "1", "useLiteMode": True, "timestamp": "2024-05-06", "colour": [1]})
    written = found.to_json()
    assert written["appliesTo"] == "<0"
    assert written["colour"] == [1]
    assert parse_timestamp(str(written["timestamp"])) == MIDNIGHT
    assert len(str(written["timestamp"])) == len("2024-05-06T12:53:20.500000000+0000")


def test_repeated_versions_and_foreign_items_are_reported():
    """The last of two entries of one version counts; other items are handed back as they are."""
    items = [entry(1, "5").to_json(), 7, entry(1, "6").to_json(), {"version": -1}]
    parsed = parse_index(items)
    assert [(found.version, found.applies_to) for found in parsed.entries] == [(1, "6")]
    assert parsed.rejected == [7, {"version": -1}]
    assert len(parsed.problems) == 3


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["0", "<0", "2024"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(["version", "runNumber", "useLiteMode", "appliesTo", "comments", "author", "timestamp", "x"])


@settings(max_examples=300)
@given(st.lists(st.dictionaries(fields, values, max_size=8), max_size=3) | values)
@example([{"version": MAX_VERSION + 1, "runNumber": "1", "useLiteMode": True}])
def test_any_json_can_be_read_chosen_from_and_written(data):
    """Whatever the file holds, reading does not fail, and what is written is read without a problem."""
    parsed = parse_index(data)
    choose_version(parsed.entries, 5, True)
    written = json.loads(json.dumps([found.to_json() for found in parsed.entries]))
    again = parse_index(written)
    assert [found.to_json() for found in again.entries] == written
    assert not again.problems


def test_next_version_is_never_the_default():
    """Version 0 is the state's default, so the first calibration is 1."""
    assert next_version([]) == 1
    assert next_version([0, 7, 3]) == 8
