"""The embedded host: the workspace list is in this process, and algorithms are called directly.

Values are never changed after they are made, so the list hands out the values themselves. The list can be used from
several threads; subscribers are called on the thread that made the change, outside the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.hosts.history import History
from snapcal_workbench.instrument.loading import load_events
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.names import check_name
from snapcal_workbench.workspaces.protocol import (
    Algorithm,
    Change,
    ChangeKind,
    Group,
    I,
    LoadedRun,
    O,
    RunRequest,
    Value,
)

V = TypeVar("V")


class EmbeddedWorkspaces:
    """A `WorkspaceList` in memory."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._subscribers: list[Callable[[Change], None]] = []
        self._lock = threading.RLock()

    def names(self) -> list[str]:
        with self._lock:
            return sorted(self._values)

    def kind(self, name: str) -> str:
        with self._lock:
            return _kind_of(self._existing(name))

    def read(self, name: str, kind: type[V]) -> V:
        with self._lock:
            value = self._existing(name)
        wanted = tuple if kind is Group else kind
        if not isinstance(value, wanted):
            raise InputError(
                f"The workspace '{name}' must be of kind {getattr(kind, '__name__', 'Group')}.",
                found=_kind_of(value),
                fix="Choose another workspace.",
            )
        return cast(V, value)

    def write(self, name: str, value: Value) -> None:
        check_name(name)
        with self._lock:
            if isinstance(value, tuple):
                for member in value:
                    self._existing(member)
                if name in value:
                    raise InputError(
                        f"The group '{name}' cannot be its own member.", fix="Choose another name for the group."
                    )
            kind: ChangeKind = "group" if isinstance(value, tuple) else ("replace" if name in self._values else "add")
            self._values[name] = value
        self._tell(Change(kind, name))

    def rename(self, name: str, new_name: str) -> None:
        check_name(new_name)
        with self._lock:
            self._existing(name)
            if new_name == name:
                return
            if new_name in self._values:
                raise InputError(
                    f"'{name}' cannot be renamed to '{new_name}'.",
                    found="a workspace of that name exists",
                    fix="Choose another name, or delete the other workspace first.",
                )
            self._values = {new_name if key == name else key: value for key, value in self._values.items()}
            self._replace_in_groups(name, new_name)
        self._tell(Change("rename", name, new_name))

    def delete(self, name: str) -> None:
        with self._lock:
            gone = self._take_out(name)
        for key in gone:
            self._tell(Change("delete", key))

    def _take_out(self, name: str) -> list[str]:
        """Remove a workspace, the members that it has, and the groups that this leaves empty; returns their names."""
        value = self._values.pop(name, None)
        gone = [] if value is None else [name]
        for member in value if isinstance(value, tuple) else ():
            gone += self._take_out(member)
        for group in self._replace_in_groups(name, None):
            gone += self._take_out(group)
        return gone

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
        self._tell(Change("clear"))

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        with self._lock:
            self._subscribers.append(callback)

        def end() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return end

    def _existing(self, name: str) -> Value:
        if name not in self._values:
            raise NotFoundError(
                f"There is no workspace '{name}'.",
                found=", ".join(self.names()) or "an empty workspace list",
                fix="Choose a workspace from the list; it may have been renamed or deleted.",
            )
        return self._values[name]

    def _replace_in_groups(self, name: str, new_name: str | None) -> list[str]:
        """Rename a member of groups, or take it out; returns the groups that this left empty."""
        emptied = []
        for key, value in list(self._values.items()):
            if isinstance(value, tuple) and name in value:
                members = (new_name if member == name else member for member in value)
                self._values[key] = tuple(member for member in members if member is not None)
                if not self._values[key]:
                    emptied.append(key)
        return emptied

    def _tell(self, change: Change) -> None:
        with self._lock:
            subscribers = list(self._subscribers)
        for callback in subscribers:
            callback(change)


def _kind_of(value: Value) -> str:
    return "Group" if isinstance(value, tuple) else type(value).__name__


class EmbeddedHost:
    """The `Host` where there is no Mantid."""

    name = "embedded"

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings if settings is not None else Settings.load()
        self._workspaces = EmbeddedWorkspaces()
        self._history = History()

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def workspaces(self) -> EmbeddedWorkspaces:
        return self._workspaces

    def load_run(self, request: RunRequest, output: str, progress: Progress) -> LoadedRun:
        events = load_events(request, self._settings, progress)
        self._workspaces.write(output, events)
        return LoadedRun(events.run, events.geometry, len(events.tof))

    def resolve(self, request: RunRequest) -> RunRequest:
        return request

    def run(self, algorithm: Algorithm[I, O], inputs: I, progress: Progress) -> O:
        return self._history.record(algorithm, inputs, lambda: algorithm.run(inputs, self, progress))

    def history(self) -> Sequence[dict[str, object]]:
        return self._history.entries()
