"""Files changed at random in their own structure: JSON values, lines of TOML, words of CIFs, members of HDF5 trees."""

from __future__ import annotations

import copy
import json
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MOST_VALUES = 100_000

Mutate = Callable[[Path, random.Random], None]

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    10**400,
    1e308,
    -1e308,
    1e-320,
    float("nan"),
    float("inf"),
    "",
    "~nosuchuser/x",
    "../../../etc/passwd",
    "/dev/zero",
    "a\0b",
    "\ud800",
    "7" * 5000,
    "[bold]",
    [],
    {},
    [[]],
    [[[1]]],
    {"a": 1},
    [1, "a", None],
)
ODD_WORDS = (*"?.;'\"0Q\0é", "-1", "180", "1e308", "nan", "loop_", "data_", "_x", "9" * 400)
ODD_ARRAYS: tuple[Any, ...] = (
    3.5,
    "text",
    np.empty(0),
    np.ones((3, 4)),
    np.ones((2, 2, 2)),
    np.full(40, np.nan),
    np.full(40, np.inf),
    np.full(40, -1),
    np.full(40, 2**62),
    np.full(40, 1e308),
    np.full(40, 1j),
    np.array([b"abc"]),
    np.array([b"\xff\xfe"]),
    np.array([b"7" * 5000]),
    np.zeros(40, dtype=[("a", "f8"), ("b", "i4")]),
    h5py.Empty("f8"),
)


def mutate_json(path: Path, rng: random.Random) -> None:
    """Change, remove or rename a few values, or nest one deeply."""
    value = json.loads(path.read_text())
    for _ in range(rng.randint(1, 3)):
        container = rng.choice(list(_containers(value)) or [value])
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        if not keys:
            break
        key = rng.choice(keys)
        kind = rng.randrange(6)
        if kind == 0:
            moved = container.pop(key)
            if isinstance(container, dict):
                container[rng.choice(("x", "__class__", "version", "items"))] = moved
        elif kind == 1:
            container[key] = _nested(rng.choice((10, 50, 301)))
        else:
            container[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    path.write_text(json.dumps(value))


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if depth % 2 else [value]
    return value


def mutate_lines(path: Path, rng: random.Random) -> None:
    """Change, remove, double or swap a few lines and words of a text, or cut it off."""
    lines = path.read_text().split("\n")
    for _ in range(rng.randint(1, 4)):
        place, kind = rng.randrange(len(lines)), rng.randrange(7)
        words = lines[place].split(" ")
        if kind == 0:
            del lines[place]
        elif kind == 1:
            lines.insert(place, lines[rng.randrange(len(lines))])
        elif kind == 2:
            lines = lines[:place]
        else:
            words[rng.randrange(len(words))] = rng.choice(ODD_WORDS)
            lines[place] = " ".join(words)
        lines = lines or [""]
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))


def mutate_toml(path: Path, rng: random.Random) -> None:
    """Give settings odd values and names, nest tables, or change lines as in any text."""
    if rng.randrange(3) == 0:
        mutate_lines(path, rng)
        return
    lines = path.read_text().split("\n")
    odd = (
        "nan",
        "1e308",
        "-1",
        "[]",
        "{}",
        "''",
        "'~nosuchuser/x'",
        "1979-05-27",
        "true",
        "9" * 5000,
        "[" * 2000 + "]" * 2000,
        '"\\u0000"',
    )
    places = [i for i, line in enumerate(lines) if "=" in line]
    place = rng.choice(places)
    name = lines[place].split("=")[0].strip()
    lines[place] = f"{rng.choice((name, name + '.a', 'x', 'a.' * 200 + 'b'))} = {rng.choice(odd)}"
    path.write_text("\n".join(lines))


def mutate_hdf5(path: Path, rng: random.Random) -> None:
    """Change a few members of the tree: values, types, sizes, links, attributes, places."""
    with h5py.File(path, "r+") as file:
        for _ in range(rng.randint(1, 3)):
            names: list[str] = []
            file.visit(names.append)
            with suppress(KeyError, ValueError, TypeError, OSError, RuntimeError):  # what an earlier change broke
                rng.choice(_CHANGES)(file, rng.choice(names or ["none"]), rng)


def _remove(file: h5py.File, name: str, rng: random.Random) -> None:
    del file[name]


def _replace(file: h5py.File, name: str, rng: random.Random) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = rng.choice(ODD_ARRAYS)
    if rng.randrange(2):
        file[name].attrs.update(attributes)


def _one_value(file: h5py.File, name: str, rng: random.Random) -> None:
    """One value of an array, so that the rest looks right."""
    node = file[name]
    if isinstance(node, h5py.Dataset) and 0 < (node.size or 0) < MOST_VALUES and node.dtype.kind in "iuf":
        values = node[()]
        limit = np.iinfo(node.dtype).max if node.dtype.kind in "iu" else 1e30
        odd = rng.choice((0, 1, limit, *(() if node.dtype.kind == "u" else (-1, -limit))))
        odd = rng.choice((odd, np.nan, np.inf)) if node.dtype.kind == "f" else odd
        values.reshape(-1)[rng.randrange(values.size)] = odd
        node[...] = values


def _other_length(file: h5py.File, name: str, rng: random.Random) -> None:
    node = file[name]
    if isinstance(node, h5py.Dataset) and node.ndim and 0 < node.size < MOST_VALUES and not node.dtype.hasobject:
        values, attributes = node[()], dict(node.attrs)
        del file[name]
        file[name] = rng.choice((values[:-1], np.concatenate([values, values]), values[:1], values[..., np.newaxis]))
        file[name].attrs.update(attributes)


def _huge(file: h5py.File, name: str, rng: random.Random) -> None:
    """A shape that nobody stored, or a chunk that inflates to more than it should."""
    del file[name]
    length = rng.choice((1000, 2**22, 2**33, 2**50))
    kind = rng.choice(("f8", "i4", "u4", "f4"))
    made = file.create_dataset(name, shape=(length,), dtype=kind, chunks=(1000,), compression="gzip")
    if rng.randrange(2):
        made.id.write_direct_chunk((0,), zlib.compress(bytes(rng.choice((10, 100_000, 50_000_000)))))


def _link(file: h5py.File, name: str, rng: random.Random) -> None:
    del file[name]
    soft = [h5py.SoftLink(target) for target in ("/", "/nowhere", name, "..")]
    file[name] = rng.choice([*soft, h5py.ExternalLink("other.h5", "/"), h5py.ExternalLink("/dev/zero", "/")])


def _attribute(file: h5py.File, name: str, rng: random.Random) -> None:
    node = file[name]
    odd = (7, "", "furlong", np.arange(3.0), h5py.Empty("S1"), np.bytes_(b"\xff\xfe"), "x" * 3000)
    for attribute in [rng.choice(list(node.attrs) or ["units"]), rng.choice(("NX_class", "units", "start", "kind"))]:
        node.attrs[attribute] = rng.choice(odd)


def _moved(file: h5py.File, name: str, rng: random.Random) -> None:
    parent = rng.choice(["", *(f"{n}/" for n in _groups(file) if not n.startswith(name))])
    target = f"{parent}moved_events"
    if target not in file:
        rng.choice((file.move, file.copy))(name, target)


def _groups(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Group) else None)
    return found


_CHANGES = (_remove, _replace, _replace, _one_value, _one_value, _other_length, _huge, _link, _attribute, _moved)
