"""Which workspaces a session has made, followed through what the user does to them by hand.

A workspace that the user overwrites or deletes is no longer the session's: it is never read or removed as such again,
and `remarks` says what happened.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from snapcal_workbench.workspaces.protocol import Change, WorkspaceList


class Ledger:
    """Current names of the session's workspaces, by (owner, role)."""

    def __init__(self, workspaces: WorkspaceList) -> None:
        self._workspaces = workspaces
        self._names: dict[tuple[str, str], str] = {}
        self._remarks: list[str] = []
        self._writing = 0
        self._lock = threading.RLock()
        self._end = workspaces.subscribe(self._changed)

    def close(self) -> None:
        """Stop following the workspace list."""
        self._end()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While this is entered, changes of the workspace list are the session's own."""
        with self._lock:
            self._writing += 1
        try:
            yield
        finally:
            with self._lock:
                self._writing -= 1

    def add(self, owner: str, names: dict[str, str]) -> None:
        """Remember workspaces of `owner` by role; names that do not exist are left out."""
        existing = set(self._workspaces.names())
        with self._lock:
            for role, name in names.items():
                self._forget(name)
                if name in existing:
                    self._names[owner, role] = name

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

    def delete(self, owner: str) -> None:
        """Delete the workspaces of `owner`, and only those."""
        with self.writing():
            # Only members: the user may have added some of their own to a group, which goes with its last member.
            for name in self.names(owner).values():
                if name in self._workspaces.names() and self._workspaces.kind(name) != "Group":
                    self._workspaces.delete(name)
        with self._lock:
            for key in [key for key in self._names if key[0] == owner]:
                del self._names[key]

    def remarks(self) -> list[str]:
        """What the user did to the session's workspaces since the last call."""
        with self._lock:
            remarks, self._remarks = self._remarks, []
        return remarks

    def _forget(self, name: str) -> bool:
        keys = [key for key, known in self._names.items() if known == name]
        for key in keys:
            del self._names[key]
        return bool(keys)

    def _changed(self, change: Change) -> None:
        with self._lock:
            if self._writing:
                return
            if change.kind == "rename":
                self._renamed(change)
            elif change.kind == "clear":
                if self._names:
                    self._remarks.append("The workspace list was cleared; iterations can be restored from disk.")
                self._names.clear()
            elif change.kind == "delete" and self._forget(change.name):
                self._remarks.append(f"'{change.name}' was deleted by hand; it can be restored from disk.")
            elif change.kind in ("replace", "group") and self._forget(change.name):
                self._remarks.append(f"'{change.name}' was overwritten by hand and is no longer this session's.")

    def _renamed(self, change: Change) -> None:
        self._forget(change.new_name)
        for key, name in list(self._names.items()):
            if name == change.name:
                self._names[key] = change.new_name
                self._remarks.append(f"'{change.name}' is now called '{change.new_name}'.")
