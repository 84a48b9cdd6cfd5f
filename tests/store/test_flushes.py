"""What is not flushed can be lost in a power cut: a save must survive every such loss.

The file-system calls of a save are recorded with the bytes they write, then replayed on a model of a disk. The model
keeps apart what was flushed and what is *pending*: contents of files until the file is flushed, names in a folder until
the folder is. At each moment of the save every pending item may or may not have reached the disk by itself, so that any
choice of them is a state to be survived. The same check fails when any one flush is taken out.
"""

from __future__ import annotations

import copy
import itertools
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snapcal_workbench.formats.disk import writing
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.strict_json import parse_json
from snapcal_workbench.store.journal import audited, read_lines
from snapcal_workbench.store.publish import publish
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.upkeep.verify import verify_home

ALL_CHOICES_UP_TO = 4

pytestmark = pytest.mark.usefixtures("small_instrument")


@dataclass
class Inode:
    """A file (`data`), a link (`target`) or a folder (`names`)."""

    data: bytes | None = None
    target: str | None = None
    names: dict[str, int] | None = None

    @property
    def entries(self) -> dict[str, int]:
        """The names in a folder."""
        assert self.names is not None
        return self.names


@dataclass
class Pending:
    """Something that has not reached the disk: contents of a file, or changes of the names in a folder."""

    inode: int
    data: bytes | None = None
    names: dict[str, int | None] = field(default_factory=dict)


class Disk:
    """A model of a disk: what was flushed, what is pending, and what the process sees."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.flushed: dict[int, Inode] = {}
        self.pending: list[Pending] = []
        self.seen: dict[int, Inode] = {}
        self._load(root)
        self.seen = copy.deepcopy(self.flushed)

    def _load(self, path: Path) -> int:
        number = len(self.flushed)
        inode = self.flushed[number] = Inode()
        if path.is_symlink():
            inode.target = str(path.readlink())
        elif path.is_dir():
            inode.names = {}
            inode.entries.update({child.name: self._load(child) for child in sorted(path.iterdir())})
        else:
            inode.data = path.read_bytes()
        return number

    def find(self, path: Path) -> int:
        number = 0
        for name in path.relative_to(self.root).parts:
            number = self.seen[number].entries[name]
        return number

    def _change_names(self, folder: Path, changes: dict[str, int | None]) -> None:
        number = self.find(folder)
        for name, target in changes.items():
            if target is None:
                self.seen[number].entries.pop(name, None)
            else:
                self.seen[number].entries[name] = target
        self.pending.append(Pending(number, names=changes))

    def make(self, path: Path, inode: Inode) -> None:
        number = len(self.seen)
        self.seen[number] = inode
        self.flushed[number] = Inode(
            data=None if inode.data is None else b"", target=inode.target, names=None if inode.names is None else {}
        )
        if inode.data is not None:
            self.pending.append(Pending(number, data=inode.data))
        self._change_names(path.parent, {path.name: number})

    def write(self, path: Path, data: bytes) -> None:
        number = self.find(path)
        self.seen[number].data = data
        self.pending.append(Pending(number, data=data))

    def rename(self, source: Path, target: Path) -> None:
        assert source.parent == target.parent
        self._change_names(source.parent, {source.name: None, target.name: self.find(source)})

    def remove(self, path: Path) -> None:
        if path.name in self.seen[self.find(path.parent)].entries:
            self._change_names(path.parent, {path.name: None})

    def sync(self, path: Path, kind: str) -> None:
        number = self.find(path)
        due = [item for item in self.pending if item.inode == number and (item.data is None) == (kind == "names")]
        self._reach(self.flushed, due)
        self.pending = [item for item in self.pending if not any(item is one for one in due)]

    @staticmethod
    def _reach(inodes: dict[int, Inode], items) -> None:
        for item in items:
            if item.data is not None:
                inodes[item.inode].data = item.data
            for name, target in item.names.items():
                if target is None:
                    inodes[item.inode].entries.pop(name, None)
                else:
                    inodes[item.inode].entries[name] = target

    def after_power_cut(self):
        """Every state that the disk can be in: {path: bytes, link or None for a folder}."""
        for kept in choices(self.pending):
            inodes = copy.deepcopy(self.flushed)
            self._reach(inodes, kept)
            yield dict(self._paths(inodes, 0, ""))

    def _paths(self, inodes, number, path):
        for name, child in sorted(inodes[number].names.items()):
            inode = inodes[child]
            if inode.names is not None:
                yield f"{path}{name}/", None
                yield from self._paths(inodes, child, f"{path}{name}/")
            else:
                yield path + name, inode.target if inode.data is None else inode.data


def choices(items):
    """Every choice of a few items; of many none, all, all but one, and one alone."""
    if len(items) <= ALL_CHOICES_UP_TO:
        for size in range(len(items) + 1):
            yield from itertools.combinations(items, size)
        return
    yield ()
    yield tuple(items)
    for index in range(len(items)):
        yield (items[index],)
        yield tuple(items[:index] + items[index + 1 :])


def record_save(store, draft, monkeypatch, root):
    """Save once; returns the calls as functions that do the same to a `Disk`, the flushes marked."""
    calls = []

    def recorded(name, replay):
        modules = [module for module in (writing, fs) if hasattr(module, name)]
        call = getattr(modules[0], name)

        def wrapper(*args):
            result = call(*args)
            calls.append((name, args[0], replay(*args)))
            return result

        for module in modules:
            monkeypatch.setattr(module, name, wrapper)

    def contents(path):
        return path.read_bytes()

    def made(path, *_):
        data = contents(path)
        return lambda disk: disk.make(path, Inode(data=data))

    def appended(path, _):
        data = contents(path)

        def replay(disk):
            known = path.name in disk.seen[disk.find(path.parent)].names
            disk.write(path, data) if known else disk.make(path, Inode(data=data))

        return replay

    recorded("write_new", made)
    recorded("append", appended)
    recorded("make_directory", lambda path: lambda disk: disk.make(path, Inode(names={})))
    recorded("make_link", lambda path, text: lambda disk: disk.make(path, Inode(target=text)))
    recorded("publish", lambda source, target: lambda disk: disk.rename(source, target))
    recorded("replace", lambda source, target: lambda disk: disk.rename(source, target))
    recorded("remove", lambda path: lambda disk: disk.remove(path))
    recorded("sync_file", lambda path: lambda disk: disk.sync(path, "data"))
    recorded("sync_directory", lambda path: lambda disk: disk.sync(path, "names"))
    before = Disk(root)
    publish(store.home, store.settings, draft, Progress())
    monkeypatch.undo()
    return before, calls


def complaints(store, finished):
    """What is wrong with a state after a power cut; `finished`: the save had returned."""
    wrong = []
    try:
        assert isinstance(parse_json(store.index_path.read_bytes()), list)
    except (OSError, ValueError, AssertionError) as error:
        wrong.append(f"the index does not parse: {error!r}")
    wrong += [
        problem for problem in store.problems() if "its folder is missing" in problem or "cannot be used" in problem
    ]
    findings = verify_home(store.home, Progress())
    wrong += [f"{found.path.name}: {found.message}" for found in findings if found.path.name.startswith("v_")]
    entries = store.entries()
    wrong += [f"no hash of record {entry.version}" for entry in entries if entry.version not in audited(store.home)]
    versions = [entry.version for entry in entries]
    if versions not in ([0], [0, 1]):
        wrong.append(f"versions {versions}")
    if finished:
        saved = [line["version"] for line in read_lines(store.home / "audit.jsonl")[0] if line["action"] == "save"]
        if versions != [0, 1] or saved != [0, 1] or store.problems():
            wrong.append(f"after the save: versions {versions}, audited {saved}, {store.problems()}")
    return wrong


def materialise(state, root):
    """Make the files of a state."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path, content in state.items():
        if content is None:
            (root / path).mkdir()
        elif isinstance(content, bytes):
            (root / path).write_bytes(content)
        else:
            (root / path).symlink_to(content)


def replay(before, calls, store, root, without=None):
    """Complaints about every state in which a power cut during the save can leave the disk.

    `without` is the number of a call that is left out: a flush.
    """
    disk, seen, wrong = copy.deepcopy(before), set(), []
    for number, (name, path, call) in enumerate(calls):
        if number != without:
            call(disk)
        finished = number == len(calls) - 1
        for state in disk.after_power_cut():
            key = (finished, frozenset(state.items()))
            if key in seen:
                continue
            seen.add(key)
            materialise(state, root)
            wrong += [f"after call {number} ({name} {path.name}): {problem}" for problem in complaints(store, finished)]
        if wrong and without is not None:
            break
    return wrong, len(seen)


@pytest.fixture
def recording(fresh_store, tiny_draft, monkeypatch):
    """A recorded save: the disk before it, its calls, the store, and the folder that is replayed into."""
    store = fresh_store()
    before, calls = record_save(store, tiny_draft, monkeypatch, store.home)
    monkeypatch.setattr(PixelMode, "n_pixels", 12)
    return before, calls, StateStore(store.settings, store.state_id, SNAP.lite), store.home


def test_power_cut_at_any_moment(recording):
    """Old state or new one, whole; after the save has returned, the new one."""
    wrong, states = replay(*recording)
    assert wrong == []
    assert states > 20


def test_next_save_succeeds_after_a_power_cut(recording, tiny_draft):
    """When nothing that was not flushed has reached the disk, and when all of it has."""
    before, calls, store, root = recording
    disk = copy.deepcopy(before)
    for _, _, call in calls:
        call(disk)
        states = list(disk.after_power_cut())
        for state in (states[0], states[-1]):
            materialise(state, root)
            publish(store.home, store.settings, tiny_draft, Progress())
            assert store.problems() == []


def test_every_flush_is_needed(recording):
    """Taking out any one flush, of whatever file or folder, is noticed."""
    before, calls, store, root = recording
    flushes = [number for number, (name, _, _) in enumerate(calls) if name.startswith("sync")]
    assert len(flushes) >= 9
    unnoticed = [calls[number][:2] for number in flushes if not replay(before, calls, store, root, without=number)[0]]
    assert unnoticed == []
