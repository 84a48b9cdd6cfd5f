"""Changes of the workspace list, delivered on the GUI thread."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from snapcal_workbench.workspaces.protocol import Change, WorkspaceList


class WorkspaceChanges(QObject):
    """Follows a workspace list; `changed` is emitted from the event loop of the thread that made this object.

    Whoever changes the list may be any thread, and the program may hold locks meanwhile, so nothing happens there but
    that the change is put into the queue.

    Signals:
        changed: A `Change`.
    """

    changed = Signal(object)
    _heard = Signal(object)

    def __init__(self, workspaces: WorkspaceList, parent: QObject | None = None) -> None:
        super().__init__(parent)
        heard: Any = self._heard  # PyQt's annotations do not know the kind of connection
        heard.connect(self._pass_on, Qt.ConnectionType.QueuedConnection)
        self._end = workspaces.subscribe(self._heard.emit)
        self._closed = False

    def close(self) -> None:
        """Stop following; changes that are in the queue already are dropped."""
        self._closed = True
        self._end()

    def _pass_on(self, change: Change) -> None:
        if not self._closed:
            self.changed.emit(change)
