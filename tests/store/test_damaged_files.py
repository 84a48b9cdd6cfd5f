"""Mutated index and record files: every reader answers or raises one of our errors, and writes nothing."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.layout import AUDIT, INDEX, PARAMETERS, RECORD, RETIREMENTS
from snapcal_workbench.store.publish import publish
from snapcal_workbench.store.upkeep.repair import repair
from snapcal_workbench.store.upkeep.verify import verify_home

ODD_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    "",
    "../../../etc/passwd",
    "/etc/passwd",
    "v_0001",
    "\u0000",
    "\ud800",
    "<0",
    [],
    {},
    [[]],
    {"version": 1},
    float("nan"),
]
ODD_TEXTS = [
    b"",
    b"null",
    b"[",
    b"[]",
    b"{}",
    b"\xff\xfe\x00",
    b"[" * 5000,
    b"9" * 6000,
    b'"',
    b"[1e999]",
    b'{"a":' * 3000,
]

pytestmark = pytest.mark.usefixtures("small_instrument")


def mutated_bytes(data, generator):
    """Bytes changed, cut, doubled or replaced as a whole."""
    kind = generator.randrange(5)
    if kind == 0:
        return generator.choice(ODD_TEXTS)
    position = generator.randrange(len(data))
    if kind == 1:
        return data[:position]
    if kind == 2:
        return data[:position] + bytes([generator.randrange(256)]) + data[position + 1 :]
    if kind == 3:
        return data[:position] + data
    return data[:position] + data[position + generator.randrange(1, 40) :]


def mutated_json(data, generator):
    """One value somewhere in the JSON text replaced, removed or renamed."""
    values = [json.loads(line) for line in data.splitlines()] if data.count(b"\n{") else json.loads(data)
    places = list(containers(values))
    container = generator.choice(places)
    keys = list(container) if isinstance(container, dict) else list(range(len(container)))
    if not keys:
        return data
    key = generator.choice(keys)
    if generator.randrange(4) == 0:
        value = container.pop(key)
        if isinstance(container, dict):
            container[generator.choice(["x", "run_number", "snapcalWorkbench", "__class__"])] = value
    else:
        container[key] = generator.choice(ODD_VALUES)
    return json.dumps(values).encode()


def containers(value):
    """Every list and object in a JSON value."""
    if isinstance(value, (dict, list)) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


def read_everything(store, number, with_version):
    """All that reads a home, the slower readers in turn; our own errors are answers."""
    store.problems()
    store.choose(58882)
    if number % 4 == 0:
        repair(store.settings, store.state_id)
    if number % 8 == 0:
        verify_home(store.home, Progress())
    if not with_version and number % 4 != 1:
        return
    try:
        stored = store.read(1, verify=number % 4 != 1)
        json.dumps(stored.describe())
        if number % 8 == 1:
            _ = stored.spectra, stored.fits, stored.pixel_results
    except SnapcalError:
        return


def files_of(home):
    """Every file of a home with its bytes and its time."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.rglob("*") if path.is_file()}


def mutate_and_read(store, count):
    """Read after each of many mutations of one file; returns what was raised or written, with the mutation."""
    generator, wrong = random.Random(3), []
    files = [store.home / name for name in (INDEX, INDEX, AUDIT, RETIREMENTS)]
    files += [store.home / "v_0001" / name for name in (RECORD, RECORD, PARAMETERS)]
    originals = {path: path.read_bytes() for path in files}
    for number in range(count):
        path = generator.choice(files)
        mutate = generator.choice((mutated_bytes, mutated_json))
        path.write_bytes(mutate(originals[path], generator))
        before = files_of(store.home)
        try:
            read_everything(store, number, path.parent.name == "v_0001")
        except Exception as error:
            wrong.append(f"mutation {number} of {path.name}: {error!r:.200}\n{path.read_bytes()[:300]!r}")
        if files_of(store.home) != before:
            wrong.append(f"mutation {number} of {path.name}: something was written")
        path.write_bytes(originals[path])
    return wrong


@pytest.fixture
def rich_store(fresh_store, few_pixels, tiny_draft):
    """A store with a whole version, a small one, and a retired one."""
    store = fresh_store()
    store.save(few_pixels, author="tester", comments="c")
    for _ in range(2):
        publish(store.home, store.settings, tiny_draft, Progress())
    store.retire(3, "r", "a")
    return store


def test_hundreds_of_mutated_files(rich_store):
    """No exception but our own, and no write."""
    assert mutate_and_read(rich_store, 250) == []


@pytest.mark.long
def test_ten_thousand_mutated_files(rich_store):
    """The long form."""
    assert mutate_and_read(rich_store, 10_000) == []


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_save_into_a_home_with_a_damaged_index(rich_store, tiny_draft, text):
    """The index becomes whole again, with every version."""
    (rich_store.home / INDEX).write_bytes(text)
    assert publish(rich_store.home, rich_store.settings, tiny_draft, Progress()).version == 4
    items = json.loads((rich_store.home / INDEX).read_text(), parse_constant=pytest.fail)
    assert [item["version"] for item in items if item is not None] == [0, 1, 2, 3, 4]
    assert rich_store.retirements().keys() == {3}
