"""Making Mantid load the plugin: one folder in the user's own Mantid.user.properties, and nothing else.

The *key* `user.python.plugins.directories` lists folders, separated by ";", of which Mantid runs every Python file at
its start. Our folder lies in the installed package and holds one thin file. A line ends in a backslash where it goes
on in the next; the last line with the key counts.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from snapcal_workbench.errors import InputError, NotFoundError, PermissionDeniedError, StoreError
from snapcal_workbench.formats.disk.writing import replace_file

KEY = "user.python.plugins.directories"
_KEY_LINE = re.compile(rb"\s*" + re.escape(KEY.encode()) + rb"\s*[=:]")
_OURS = "snapcal_workbench/workbench"
"""How the folder of any installation of this plugin ends."""


@dataclass(frozen=True)
class Change:
    """A change of a properties file, which is made by `apply`.

    Attributes:
        path: The file.
        before: Its bytes now; None when there is no file.
        after: Its bytes then.
        folder: Our folder.
    """

    path: Path
    before: bytes | None
    after: bytes
    folder: Path

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return (self.before or b"") != self.after

    def difference(self) -> tuple[list[str], list[str]]:
        """The lines that go and those that come."""
        old, new = ((data or b"").decode("utf-8", "replace").splitlines() for data in (self.before, self.after))
        return [line for line in old if line not in new], [line for line in new if line not in old]

    def apply(self) -> Path | None:
        """Write the file, whole or not at all; returns the backup of what was there.

        Raises:
            PermissionDeniedError: We may not write there.
            StoreError: It cannot be written.
        """
        target = Path(os.path.realpath(self.path))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            backup = _backup(target) if self.before is not None else None
            replace_file(target, self.after, "Mantid's properties", keep_mode=True)
        except PermissionError as error:
            raise PermissionDeniedError(
                "The user's Mantid properties cannot be written.",
                found=str(error),
                fix="Give yourself write permission.",
            ) from error
        except OSError as error:
            raise StoreError(
                "The user's Mantid properties cannot be written.", found=str(error), fix="Free the disk, and repeat."
            ) from error
        return backup


def user_properties() -> Path:
    """The user's properties file of Mantid."""
    return Path.home() / ".mantid" / "Mantid.user.properties"


def plugin_folder() -> Path:
    """The folder that Mantid has to know.

    Raises:
        NotFoundError: The installation has it not.
        InputError: Its path has a character that separates paths.
    """
    folder = Path(str(files("snapcal_workbench"))) / "workbench"
    if not (folder / "snapcal_plugin.py").is_file():
        raise NotFoundError(
            "The installation is incomplete.",
            found=f"no snapcal_plugin.py in {folder}",
            fix="Install the plugin again.",
        )
    if ";" in str(folder):
        raise InputError(
            "Mantid cannot use a folder with ';' in its path.",
            found=str(folder),
            fix="Install the plugin elsewhere.",
        )
    return folder


def plan_install(properties: Path) -> Change:
    """What makes Mantid load this installation; entries of other installations of the plugin are taken out.

    Raises:
        PermissionDeniedError: The file may not be read.
    """
    folder = plugin_folder()
    before = _read(properties)
    lines = _without(_logical_lines(before or b""), keep=folder.as_posix())
    if folder.as_posix() not in _entries(lines):
        lines = _with(lines, folder.as_posix())
    return Change(properties, before, b"".join(lines), folder)


def plan_uninstall(properties: Path) -> Change:
    """What makes Mantid load no installation of this plugin."""
    before = _read(properties)
    return Change(properties, before, b"".join(_without(_logical_lines(before or b""), keep="")), plugin_folder())


def configured_folders(properties: Path) -> list[str]:
    """All folders that the properties file names."""
    return _entries(_logical_lines(_read(properties) or b""))


def is_ours(entry: str) -> bool:
    """Whether an entry is the folder of an installation of this plugin."""
    return entry.replace("\\", "/").rstrip("/").endswith(_OURS)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PermissionDeniedError(
            "The user's Mantid properties cannot be read.", found=str(error), fix="Give yourself read permission."
        ) from error


def _logical_lines(data: bytes) -> list[bytes]:
    """The lines with their ends; one that goes on in the next is one with it."""
    lines: list[bytes] = []
    goes_on = False
    for line in data.splitlines(keepends=True):
        if goes_on:
            lines[-1] += line
        else:
            lines.append(line)
        goes_on = _goes_on(lines[-1])
    return lines


def _goes_on(line: bytes) -> bool:
    """Whether a logical line goes on in the next one; a comment does not."""
    return line.splitlines()[-1].endswith(b"\\") and not line.lstrip().startswith((b"#", b"!"))


def _key_positions(lines: list[bytes]) -> list[int]:
    return [i for i, line in enumerate(lines) if _KEY_LINE.match(line)]


def _split(line: bytes) -> tuple[bytes, list[bytes], bytes]:
    """A line with the key as what stands before the value, the raw pieces of the value, and the line's end."""
    text = line.rstrip(b"\r\n")
    found = _KEY_LINE.match(text)
    start = found.end() if found else 0
    return text[:start], text[start:].split(b";"), line[len(text) :]


def _entry(piece: bytes) -> str:
    """A raw piece of a value, which may go over several lines, as the path that it names."""
    return re.sub(rb"\\\r?(\n|$)\s*", b"", piece).decode("utf-8", "surrogateescape").strip()


def _entries(lines: list[bytes]) -> list[str]:
    places = _key_positions(lines)
    pieces = _split(lines[places[-1]])[1] if places else []
    return [entry for entry in map(_entry, pieces) if entry]


def _without(lines: list[bytes], *, keep: str) -> list[bytes]:
    """The lines without our entries, but for `keep`; a line with the key that had no others is gone."""
    kept = list(lines)
    for place in reversed(_key_positions(lines)):
        head, pieces, end = _split(lines[place])
        others = [piece for piece in pieces if _entry(piece) == keep or not is_ours(_entry(piece))]
        if len(others) == len(pieces):
            continue
        if others and others[0] is not pieces[0]:
            others[0] = _blank(pieces[0]) + others[0]
        value = b";".join(others)
        kept[place : place + 1] = [head + value + end] if value.strip() else []
    return kept


def _blank(piece: bytes) -> bytes:
    return piece[: len(piece) - len(piece.lstrip(b" \t"))]


def _with(lines: list[bytes], folder: str) -> list[bytes]:
    """The lines with `folder` put first into the last line that has the key, or into a new one."""
    entry = folder.encode("utf-8", "surrogateescape")
    places = _key_positions(lines)
    if places:
        head, pieces, end = _split(lines[places[-1]])
        blank, rest = _blank(pieces[0]), b";".join(pieces)
        value = blank + entry + (b";" + rest[len(blank) :] if rest.strip() else b"")
        return [*lines[: places[-1]], head + value + end, *lines[places[-1] + 1 :]]
    end = b"\r\n" if lines and lines[-1].endswith(b"\r\n") else b"\n"
    last = [] if not lines or lines[-1].endswith((b"\n", b"\r")) else [end]
    if lines and _goes_on(lines[-1]):
        last.append(end)  # an empty line ends it; else it would swallow ours
    return [*lines, *last, KEY.encode() + b" = " + entry + end]


def _backup(target: Path) -> Path:
    """A copy of the file beside it, under a name that was free."""
    for candidate in _backup_names(target):
        if not candidate.exists():
            shutil.copy2(target, candidate)
            return candidate
    raise StoreError(
        "There are too many backups of the Mantid properties.", found=str(target.parent), fix="Remove old ones."
    )


def _backup_names(target: Path) -> Iterator[Path]:
    for number in range(1, 1000):
        yield target.with_name(f"{target.name}.snapcal-backup{number}")
