"""A look at every run as it appears in a folder, for a beam time that nobody watches.

The folder is listed again and again: file systems that several machines share do not tell of new files. A file is taken
for *complete* when it has kept its size and its time for `settle` seconds and can be opened; one that cannot be opened
is tried again when it changes, and after each of a few longer pauses.

Every look at a run is a line of JSON in the history, which is flushed before the next look begins. Runs that are in it
with the size and time that they have now are not looked at again, so that a watch that was ended, or that died, goes on
where it was.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from snapcal_workbench.errors import Cancelled, InputError, NotFoundError, SnapcalError, StoreError
from snapcal_workbench.formats.nexus.run_info import read_run_info
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.options import Settings
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.journal import append_line, read_lines

HISTORY = "watch.jsonl"
EVERY = 10.0
"""Seconds between two lists of the folder: a run takes minutes. At half of it a file server with many watchers is busy;
at twice the first result comes later by as much."""
SETTLE = 20.0
"""Seconds that a file must stay the same: the facility copies a run in pieces, with pauses of a few seconds between.
At half of it a slow copy is opened too early, which costs a look; at twice every result comes later."""
PAUSES = (60.0, 300.0, 1800.0)
"""Seconds after which a file that cannot be read and does not change is tried again; after the last it is given up."""
_NAP = 0.2

Stamp = tuple[int, int]
"""Size and time (ns) of a file."""


class NotListedError(StoreError):
    """The folder cannot be listed, for now."""


class Finding(Protocol):
    """What a look at a run found."""

    @property
    def verdict(self) -> str:
        """In a word or two."""

    @property
    def text(self) -> str:
        """In a sentence."""


Check = Callable[[Path, Progress], Finding]
"""Looks at the run in a file; raises SnapcalError where that is not possible."""


@dataclass(frozen=True)
class Look:
    """One line of the history.

    Attributes:
        file: The run's file.
        size, changed: Bytes and time (ns) of the file that was looked at.
        time: Of the look, ISO 8601.
        verdict: Of the check; "failed" where it was not possible, "unreadable" where the file cannot be read.
        text: In a sentence.
        details: All that the check found.
    """

    file: str
    size: int
    changed: int
    time: str
    verdict: str
    text: str
    details: dict[str, object] = field(default_factory=dict)


@dataclass
class _Seen:
    """A file that was not looked at yet: what it was like, since when, and how often it could not be read."""

    stamp: Stamp
    since: float
    failures: int = 0
    try_at: float = 0.0


def runs_folder(where: str, settings: Settings) -> Path:
    """The folder of runs that a text names: a path, or a proposal as "IPTS-12345" or "12345".

    Raises:
        NotFoundError: There is no such folder.
    """
    number = re.fullmatch(r"(?:IPTS-)?(\d+)", where, re.IGNORECASE | re.ASCII)
    if number:
        pattern = instrument_of(settings).files.kinds["native"]
        proposal = settings.ipts_root / settings.beamline / f"IPTS-{number[1]}"
        folder = (proposal / pattern).parent
    else:
        folder = user_path(where).absolute()
    if not folder.is_dir():
        raise NotFoundError(
            "There is no such folder to watch.", found=str(folder), fix="Give the folder of the runs, or IPTS-NUMBER."
        )
    return folder


class Watch:
    """Looks at the runs of a folder.

    Args:
        folder: Of the runs.
        settings: Say what files of runs are called.
        history: Folder of the history.
        check: Looks at a run.
        settle: Seconds that a file must stay the same.
        existing: Whether runs that are there when a watch begins for the first time are looked at, too.
        now: Clock, s.

    Raises:
        StoreError: The history cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        history: Path,
        check: Check,
        *,
        settle: float = SETTLE,
        existing: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._check, self._settle, self._now = folder, check, settle, now
        self._pattern = _pattern(settings)
        self.history = history / HISTORY
        self._done: dict[str, Stamp] = {}
        self._seen: dict[str, _Seen] = {}
        self._begin(existing)

    def _begin(self, existing: bool) -> None:
        lines, problems = read_lines(self.history)
        self.problems = tuple(problems)
        for line in lines:
            if {"file", "size", "changed"} <= line.keys():
                self._done[Path(str(line["file"])).name] = (_whole(line["size"]), _whole(line["changed"]))
        if not lines and not existing:
            for name, stamp in self._listed().items():
                self._write(Look(str(self._folder / name), *stamp, _time(), "not checked", "It was there before."))
                self._done[name] = stamp

    def look(self, progress: Progress) -> Iterator[Look]:
        """List the folder once and look at every run that is complete and new, by ascending run number.

        Raises:
            Cancelled: The user cancelled; what was looked at is in the history.
            NotListedError: The folder cannot be listed.
            StoreError: The history cannot be written.
        """
        found = self._listed()
        self._seen = {name: seen for name, seen in self._seen.items() if name in found}
        for name in sorted(found, key=self._number):
            if self._done.get(name) != found[name] and self._is_due(name, found[name]):
                progress.check()
                look = self._looked(name, found[name], progress)
                if look is not None:
                    self._write(look)
                    self._done[name] = found[name]
                    yield look

    @property
    def waiting(self) -> list[str]:
        """Names of the files that are not complete yet, or could not be read so far."""
        return sorted(self._seen)

    def _number(self, name: str) -> int:
        match = self._pattern.fullmatch(name)
        return int(match[1]) if match else 0

    def _listed(self) -> dict[str, Stamp]:
        """Runs of the folder, with what tells a file from what it was before."""
        found = {}
        try:
            with os.scandir(self._folder) as items:
                for item in items:
                    if self._pattern.fullmatch(item.name):
                        try:
                            status = item.stat()
                        except FileNotFoundError:
                            continue  # gone meanwhile
                        found[item.name] = (status.st_size, status.st_mtime_ns)
        except OSError as error:
            raise NotListedError(
                f"The folder {self._folder} cannot be listed.",
                found=str(error),
                fix="Mount it again, or end the watch.",
            ) from error
        return found

    def _is_due(self, name: str, stamp: Stamp) -> bool:
        """Whether a file is complete, as far as its size and time tell, and its pause is over."""
        now, seen = self._now(), self._seen.get(name)
        if seen is None or seen.stamp != stamp:
            self._seen[name] = seen = _Seen(stamp, now)
        return now - seen.since >= self._settle and now >= seen.try_at

    def _looked(self, name: str, stamp: Stamp, progress: Progress) -> Look | None:
        """What a look at a run found; None where the file cannot be read and is tried again."""
        path, seen = self._folder / name, self._seen[name]
        try:
            read_run_info(path)
        except (SnapcalError, OSError) as error:
            if seen.failures < len(PAUSES):
                if not seen.failures:
                    progress.warn(f"{name} cannot be read yet, and is tried again: {_told(error)}")
                seen.try_at = self._now() + PAUSES[seen.failures]
                seen.failures += 1
                return None
            del self._seen[name]
            return Look(str(path), *stamp, _time(), "unreadable", _told(error))
        del self._seen[name]
        try:
            found = self._check(path, progress)
        except SnapcalError as error:
            return Look(str(path), *stamp, _time(), "failed", _told(error))
        details: dict[str, object] = asdict(found) if is_dataclass(found) and not isinstance(found, type) else {}
        return Look(str(path), *stamp, _time(), found.verdict, found.text, _finite(details))

    def _write(self, look: Look) -> None:
        try:
            self.history.parent.mkdir(parents=True, exist_ok=True)
            append_line(self.history, asdict(look))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"The history {self.history} cannot be written.",
                found=str(error),
                fix="Free space, or choose another place with --history.",
            ) from error


def watch(
    watched: Watch,
    on_look: Callable[[Look], None],
    progress: Progress,
    *,
    every: float = EVERY,
    once: bool = False,
) -> None:
    """Look at every run that appears, until the user cancels.

    A folder that cannot be listed for a while, such as one whose server is restarted, is told once and tried again.

    Args:
        watched: What to look at.
        on_look: Told of each look.
        progress: Lets the user cancel, which ends the watch and is no error.
        every: Seconds between two lists of the folder.
        once: List until nothing is left to wait for, and end.

    Raises:
        StoreError: The history cannot be written.
    """
    if not every > 0:
        raise InputError("A watch looks every so many seconds.", found=f"{every:g}", fix="Give a positive number.")
    trouble = ""
    try:
        while True:
            try:
                for look in watched.look(progress):
                    on_look(look)
                trouble = ""
            except NotListedError as error:
                if error.found != trouble:
                    progress.warn(f"{error.what} {error.found}")
                trouble = error.found
            if once and not trouble and not watched.waiting:
                return
            _rest(every, progress)
    except Cancelled:
        return


def _rest(seconds: float, progress: Progress) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        progress.check()
        time.sleep(min(_NAP, left))


def _pattern(settings: Settings) -> re.Pattern[str]:
    """Name of a run's file, of which the first group is the number."""
    names = (Path(kind).name.split("{run}") for kind in instrument_of(settings).files.kinds.values())
    before, after = next(names)  # the facility's present files; the older ones no longer appear
    return re.compile(rf"{re.escape(before)}(\d{{1,9}}){re.escape(after)}", re.ASCII)


def _time() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _told(error: Exception) -> str:
    if isinstance(error, SnapcalError):
        return " ".join(filter(None, [error.what, error.found and f"Found: {error.found}"]))
    return str(error)


def _finite(value: Mapping[str, object]) -> dict[str, object]:
    """Plain values for JSON, which knows no NaN."""
    found: dict[str, object] = json.loads(json.dumps(value, default=str), parse_constant=lambda text: None)
    return found


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1
