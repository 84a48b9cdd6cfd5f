"""Before a version is saved it is told which runs it takes, and from which versions: against the rule, run by run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.index import AppliesTo, IndexEntry, choose_version, format_timestamp
from snapcal_workbench.instrument.cycles import beyond_cycle
from snapcal_workbench.options import BeamCycle, Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.effect import effect_of, reassigned, told_of_reassigned

pytestmark = pytest.mark.usefixtures("small_instrument")

CYCLES = (
    BeamCycle(name="A", first_run=3, last_run=5),
    BeamCycle(name="B", first_run=6),
    BeamCycle(name="C", first_run=9, last_run=11),
)
REFUSING = Settings(cycles=CYCLES, beyond_cycle="refuse")

conditions = st.lists(
    st.tuples(st.sampled_from([">=", "<=", ">", "<", ""]), st.integers(0, 12)), min_size=1, max_size=2
)


def entry(version, applies_to, seconds, run="5"):
    """An entry of an index."""
    return IndexEntry(
        version=version,
        run_number=run,
        use_lite_mode=True,
        applies_to=applies_to,
        timestamp=format_timestamp(10**18 + seconds * 10**9),
    )


@given(st.lists(st.tuples(conditions, st.integers(0, 3)), max_size=5), conditions)
def test_the_effect_is_what_the_rule_gives_for_each_run(versions, condition):
    """Every run to beyond the last end: the version that is chosen with the new one, and without it."""
    entries = [
        entry(number, ",".join(f"{operator}{run}" for operator, run in terms), seconds)
        for number, (terms, seconds) in enumerate(versions)
    ]
    wanted = AppliesTo(tuple(condition))
    new = entry(99, str(wanted), 10)
    taken = {run: choose_version(entries, run, True) for run in range(1, 20) if wanted.accepts(run)}
    assert all(choose_version([*entries, new], run, True) == new for run in taken)
    try:
        effect = effect_of(entries, 5, wanted, True)
    except InputError:
        assert not wanted.accepts(5)
        return
    told = {run: part.version for part in effect.taken for run in range(1, 20) if part.first <= run <= part.last}
    known = {run: told.get(run) for run in effect.takes}
    assert {run: effect.known[run] for run in effect.takes} == known
    assert told == {run: chosen.version if chosen else None for run, chosen in taken.items()}
    assert all(one.last + 1 == two.first for one, two in zip(effect.taken, effect.taken[1:], strict=False))


@given(
    st.lists(st.tuples(conditions, st.integers(0, 3), st.integers(1, 14)), max_size=5), conditions, st.integers(1, 14)
)
def test_where_other_cycles_are_refused_the_effect_is_what_the_rule_gives_for_each_run(versions, condition, made):
    """As above; a version but for the default is chosen only among those that do not count beyond their cycle."""
    entries = [
        entry(number, ",".join(f"{operator}{run}" for operator, run in terms), seconds, str(run))
        for number, (terms, seconds, run) in enumerate(versions)
    ]
    wanted = AppliesTo(tuple(condition))
    new = entry(99, str(wanted), 10, str(made))

    def chosen(run, among):
        counting = [e for e in among if e.version == 0 or not beyond_cycle(REFUSING, e.run_number, run)]
        found = choose_version(counting, run, True)
        return found.version if found else None

    taken = {run: chosen(run, entries) for run in range(1, 20) if chosen(run, [*entries, new]) == 99}
    try:
        effect = effect_of(entries, made, wanted, True, CYCLES)
    except InputError:
        assert made not in taken
        return
    told = {run: part.version for part in effect.taken for run in range(1, 20) if part.first <= run <= part.last}
    assert told == taken
    assert {run for run in effect.known if run in taken} == set(effect.takes)
    assert {run: chosen(run, entries) for run in effect.known} == effect.known
    refused = [run for run in range(1, 20) if wanted.accepts(run) and run not in taken]
    assert bool(effect.only) == bool(refused)


@given(st.lists(st.tuples(conditions, st.integers(0, 3), st.integers(1, 14)), min_size=1, max_size=5), st.data())
def test_what_a_retired_version_leaves_is_what_the_rule_gives_for_each_run(versions, data):
    """The versions that are chosen with it and without it, run by run, where other cycles are refused."""
    entries = [
        entry(number, ",".join(f"{operator}{run}" for operator, run in terms), seconds, str(run))
        for number, (terms, seconds, run) in enumerate(versions)
    ]
    gone = data.draw(st.sampled_from(entries)).version
    left = [e.retired() if e.version == gone else e for e in entries]

    def chosen(run, among):
        counting = [e for e in among if e.version == 0 or not beyond_cycle(REFUSING, e.run_number, run)]
        found = choose_version(counting, run, True)
        return found.version if found else None

    parts = reassigned(entries, left, True, CYCLES)
    told = {run: (p.before, p.after) for p in parts for run in range(1, 20) if p.first <= run <= p.last}
    rule = {run: (chosen(run, entries), chosen(run, left)) for run in range(1, 20)}
    assert told == {run: pair for run, pair in rule.items() if pair[0] != pair[1]}
    assert {before for before, _ in told.values()} <= {gone}


def test_what_a_retired_version_leaves_in_words():
    entries = [entry(0, ">=0", 0), entry(1, ">=100,<=200", 1), entry(2, ">=150", 2), entry(3, "<=20", 3)]
    without = [e.retired() if e.version == 2 else e for e in entries]
    assert told_of_reassigned(reassigned(entries, without, True), 2) == [
        "Runs 150 to 200 use version 1 now, instead of version 2.",
        "All runs from 201 on use the default now, instead of version 2.",
    ]
    assert told_of_reassigned(reassigned(without, entries, True), 2) == [
        "Runs 150 to 200 use version 2 now, instead of version 1.",
        "All runs from 201 on use version 2 now, instead of the default.",
    ]
    assert told_of_reassigned([], 2) == ["It changes for no run which version it uses."]


def test_the_effect_in_words():
    """Which known runs, from which versions, and which it leaves."""
    entries = [
        entry(0, ">=0", 0, "58810"),
        entry(1, ">=58882,<=59000", 1, "58882"),
        entry(2, ">=59000", 2, "59000"),
    ]
    told = effect_of(entries, 58890, AppliesTo.from_text("58890-59500"), True).sentences()
    assert told == [
        "It applies to >=58890,<=59500: of the 4 runs that are known it takes runs 58890, 59000.",
        "It takes runs 58890 to 58999 from version 1.",
        "It takes runs 59000 to 59500 from version 2.",
        "It leaves runs 58810, 58882 as they are.",
    ]


def test_a_cycle_that_limits_the_effect_is_told_and_only_where_it_does():
    """The version of the next cycle stays in use, and a range within the cycle is not said to be cut."""
    entries = [entry(0, ">=0", 0, "4"), entry(1, ">=8", 1, "8")]
    told = effect_of(entries, 7, AppliesTo.from_text(">=7"), True, CYCLES).sentences()
    assert told == [
        "It applies to >=7: of the 3 runs that are known it takes runs 7, 8.",
        "It takes run 7 from the default.",
        "It takes run 8 from version 1.",
        "It takes all runs from 12 on from version 1.",
        "It does not count beyond its own cycle, B: the setting beyond_cycle says so.",
        "It leaves run 4 as it is.",
    ]
    assert not any(
        "cycle" in text for text in effect_of(entries, 7, AppliesTo.from_text("7-8"), True, CYCLES).sentences()
    )
    with pytest.raises(InputError, match=r"none of 4, 7, 8 in cycle B"):
        effect_of(entries, 7, AppliesTo.from_text("4"), True, CYCLES)


def test_entries_of_the_other_mode_do_not_count():
    """In a tree without the mode level."""
    native = IndexEntry(version=1, run_number="7", use_lite_mode=False, applies_to=">=0")
    assert effect_of([native], 5, AppliesTo.from_run(5), True).known == {5: None}


@pytest.mark.parametrize("text", ["<58000", "60000-60010"])
def test_a_condition_that_takes_no_known_run_is_refused(fresh_store, few_pixels, text):
    """Before anything is written, with the runs that are known."""
    store = fresh_store()
    with pytest.raises(InputError, match="none of 58882"):
        store.save(few_pixels, author="a", comments="c", applies_to=text)
    assert [found.version for found in store.entries()] == [0]


def test_a_save_tells_what_it_will_do(fresh_store, few_pixels):
    """Before the version is there."""
    store, told = fresh_store(), []
    progress = Progress(on_message=lambda level, message: told.append((message, len(store.entries()))))
    store.save(few_pixels, author="a", comments="c", progress=progress)
    assert ("It takes all runs from 58882 on from the default.", 1) in told
    assert {entries for _, entries in told} == {1}


def test_many_versions_are_swept_fast():
    """Five thousand versions, each with ends of its own: seconds would be noticed, hours would be certain."""
    entries = [entry(n, f">={n},<={n + 20_000}", n, str(n)) for n in range(5_000)]
    effect = effect_of(entries, 3_000, AppliesTo.from_text(">=1"), True)
    assert len(effect.taken) == 5_000
    assert len(effect.sentences()) < 10
