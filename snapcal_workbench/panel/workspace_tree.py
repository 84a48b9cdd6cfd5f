"""The workspace list beside the panel, in the window that has no Workbench around it."""

from __future__ import annotations

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QInputDialog, QMenu, QMessageBox, QTreeWidget, QTreeWidgetItem, QWidget

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.panel.changes import WorkspaceChanges
from snapcal_workbench.workspaces.protocol import Group, WorkspaceList

KINDS = {
    "Events": "run",
    "Spectra": "spectra",
    "DiffCalTable": "calibration table",
    "PixelMask": "mask",
    "PixelGrouping": "grouping",
    "PixelMap": "pixel map",
    "PixelResults": "pixel results",
    "FitTable": "peak fits",
    "Group": "group",
}


class WorkspaceTree(QTreeWidget):
    """Names and kinds of all workspaces; groups can be opened. The context menu renames and deletes."""

    def __init__(self, workspaces: WorkspaceList, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspaces = workspaces
        self._shown: list[str] = []
        self.setAccessibleName("Workspaces")
        self.setHeaderLabels(["Workspace", "Kind"])
        self.setColumnWidth(0, 250)
        self.setMinimumWidth(350)
        self.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self._changes = WorkspaceChanges(workspaces, self)
        self._changes.changed.connect(lambda _: self.refresh())
        self.refresh()

    def refresh(self) -> None:
        """Show the list as it is."""
        self.clear()
        kinds = {name: self._kind(name) for name in self._workspaces.names() if not name.startswith("__")}
        self._shown = list(kinds)
        members: dict[str, Group] = {
            name: self._workspaces.read(name, Group) for name, kind in kinds.items() if kind == "Group"
        }
        inside = {member for group in members.values() for member in group}
        for name, kind in kinds.items():
            if name not in inside:
                item = self._item(name, kind)
                item.addChildren([self._item(member, kinds.get(member, "")) for member in members.get(name, ())])
                self.addTopLevelItem(item)

    def shown_names(self) -> list[str]:
        """Names of all workspaces that are shown, sorted."""
        return sorted(self._shown)

    def selected_names(self) -> list[str]:
        """Names of the selected workspaces."""
        return [item.text(0) for item in self.selectedItems()]

    def _kind(self, name: str) -> str:
        try:
            return self._workspaces.kind(name)
        except SnapcalError:
            return ""  # deleted meanwhile

    @staticmethod
    def _item(name: str, kind: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem([name, KINDS.get(kind, kind)])
        item.setToolTip(0, name)
        return item

    def _menu(self, position: QPoint) -> None:
        names = self.selected_names()
        if not names:
            return
        menu = QMenu(self)
        menu.addAction("Rename …", lambda: self.rename(names[0]))
        menu.addAction("Delete", lambda: self.delete(names))
        menu.exec(self.mapToGlobal(position))

    def rename(self, name: str) -> None:
        """Ask for a new name."""
        text, accepted = QInputDialog.getText(self, "Rename", "New name:", text=name)
        if accepted:
            self._try(lambda: self._workspaces.rename(name, text.strip()))

    def delete(self, names: list[str]) -> None:
        """Delete workspaces."""
        for name in names:
            self._workspaces.delete(name)

    def _try(self, change: object) -> None:
        try:
            change()  # type: ignore[operator]
        except SnapcalError as error:
            QMessageBox.warning(self, "Workspaces", str(error))
