"""Which workspaces a session has made, followed through what the user does to them by hand.

A workspace that the user overwrites or deletes is no longer the session's: it is never read or removed as such again,
and `remarks` says what happened.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from snapcal_workbench.workspaces.protocol import Change, WorkspaceList


@dataclass(frozen=True)
class Standing:
    """What has become of the workspaces that were made for one owner.

    Attributes:
        made: Number that were made, or put back last.
        deleted: Names of those that the user deleted.
        overwritten: Names of those that the user put something else in place of.
        renamed: First and present name of those that the user renamed.
    """

    made: int = 0
    deleted: tuple[str, ...] = ()
    overwritten: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """In a few words."""
        if not self.made:
            return "not in the list"
        counts = ((self.deleted, "deleted"), (self.overwritten, "overwritten"), (self.renamed, "renamed"))
        parts = [f"{len(names)} {what}" for names, what in counts if names]
        return f"of {self.made}, {' and '.join(parts)} by hand" if parts else "all there"

    @property
    def details(self) -> str:
        """Every name, one a line."""
        lines = [
            *(f"{name} was deleted" for name in self.deleted),
            *(f"{name} was overwritten: it is yours now" for name in self.overwritten),
            *(f"{old} is now called {new}" for old, new in self.renamed),
        ]
        return "\n".join(lines) or self.text


class Ledger:
    """Current names of the session's workspaces, by (owner, role)."""

    def __init__(self, workspaces: WorkspaceList) -> None:
        self._workspaces = workspaces
        self._names: dict[tuple[str, str], str] = {}
        self._remarks: list[str] = []
        self._fates: dict[tuple[str, str], tuple[str, str]] = {}
        self._first_names: dict[tuple[str, str], str] = {}
        self._writing: Counter[int] = Counter()
        self._lock = threading.RLock()
        self._end = workspaces.subscribe(self._changed)

    def close(self) -> None:
        """Stop following the workspace list."""
        self._end()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While this is entered, changes of the workspace list by this thread are the session's own."""
        thread = threading.get_ident()
        with self._lock:
            self._writing[thread] += 1
        try:
            yield
        finally:
            with self._lock:
                self._writing[thread] -= 1

    def add(self, owner: str, names: dict[str, str]) -> None:
        """Remember workspaces of `owner` by role; names that do not exist are left out."""
        existing = set(self._workspaces.names())
        with self._lock:
            for role, name in names.items():
                self._forget(name)
                self._fates.pop((owner, role), None)
                self._first_names.pop((owner, role), None)
                if name in existing:
                    self._names[owner, role] = name

    def free(self, name: str, *, mine: str = "", taken: Collection[str] = ()) -> str:
        """`name`, or with a number behind it where someone else has, or has `taken`, that name; `mine` is free."""
        taken = (set(self._workspaces.names()) | set(taken)) - {mine}
        candidate, count = name, 1
        while candidate in taken:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def owners(self) -> list[str]:
        """Everyone who has a workspace."""
        with self._lock:
            return sorted({owner for owner, _ in self._names})

    def names(self, owner: str | None = None) -> dict[str, str]:
        """Names by role of one owner, or all names (role -> name is then unique only by "owner/role")."""
        with self._lock:
            if owner is None:
                return {f"{o}/{role}": name for (o, role), name in self._names.items()}
            return {role: name for (o, role), name in self._names.items() if o == owner}

    def rename(self, owner: str, wanted: dict[str, str]) -> None:
        """Rename the workspaces of `owner` to the wanted names, as far as those are free."""
        with self.writing():
            for role, name in self.names(owner).items():
                new_name = wanted.get(role, name)
                if new_name != name and new_name not in self._workspaces.names():
                    self._workspaces.rename(name, new_name)
                    with self._lock:
                        self._names[owner, role] = new_name
                        self._first_names.pop((owner, role), None)

    def delete(self, owner: str) -> None:
        """Delete the workspaces of `owner`, and only those."""
        with self.writing():
            # Only members: the user may have added some of their own to a group, which goes with its last member.
            for name in self.names(owner).values():
                if name in self._workspaces.names() and self._workspaces.kind(name) != "Group":
                    self._workspaces.delete(name)
        with self._lock:
            for known in (self._names, self._fates, self._first_names):
                for key in [key for key in known if key[0] == owner]:
                    del known[key]

    def remarks(self) -> list[str]:
        """What the user did to the session's workspaces since the last call."""
        with self._lock:
            remarks, self._remarks = self._remarks, []
        return remarks

    def standing(self, owner: str) -> Standing:
        """What has become of the workspaces of `owner`."""
        existing = set(self._workspaces.names())
        with self._lock:
            names = {key: name for key, name in self._names.items() if key[0] == owner}
            fates = {key: fate for key, fate in self._fates.items() if key[0] == owner}
            first = dict(self._first_names)
        gone = [name for name in names.values() if name not in existing]
        return Standing(
            len(names) + len(fates),
            (*(name for what, name in fates.values() if what == "deleted"), *gone),
            tuple(name for what, name in fates.values() if what == "overwritten"),
            tuple((first[key], name) for key, name in names.items() if key in first and name in existing),
        )

    def _forget(self, name: str, fate: str = "") -> bool:
        """No longer count a workspace as the session's own; `fate` says what the user did to it."""
        keys = [key for key, known in self._names.items() if known == name]
        for key in keys:
            del self._names[key]
            self._first_names.pop(key, None)
            if fate:
                self._fates[key] = (fate, name)
        return bool(keys)

    def _changed(self, change: Change) -> None:
        with self._lock:
            if self._writing[threading.get_ident()]:
                return
            if change.kind == "rename":
                self._renamed(change)
            elif change.kind == "clear":
                if self._names:
                    self._remarks.append("The workspace list was cleared; iterations can be restored from disk.")
                for name in list(self._names.values()):
                    self._forget(name, "deleted")
            elif change.kind == "delete" and self._forget(change.name, "deleted"):
                self._remarks.append(f"'{change.name}' was deleted by hand; it can be restored from disk.")
            elif change.kind in ("replace", "group") and self._forget(change.name, "overwritten"):
                self._remarks.append(f"'{change.name}' was overwritten by hand; it is yours now.")

    def _renamed(self, change: Change) -> None:
        self._forget(change.new_name, "overwritten")
        for key, name in list(self._names.items()):
            if name == change.name:
                self._names[key] = change.new_name
                if self._first_names.setdefault(key, name) == change.new_name:
                    del self._first_names[key]
                self._remarks.append(f"'{change.name}' is now called '{change.new_name}'.")
