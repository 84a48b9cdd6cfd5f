"""The workspace list beside the panel, in the window that has no Workbench around it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QPoint, Qt, Signal
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QHeaderView, QMenu, QTreeWidget, QTreeWidgetItem, QWidget

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.panel.changes import WorkspaceChanges
from snapcal_workbench.panel.widgets.questions import TextsDialog, show_error
from snapcal_workbench.panel.widgets.text import unmarked
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
    """Names and kinds of all workspaces; groups can be opened. Plots, renames and deletes what is selected.

    Signals:
        plot_asked: Names of workspaces and groups.
    """

    plot_asked = Signal(list)

    def __init__(self, workspaces: WorkspaceList, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspaces = workspaces
        self._shown: list[str] = []
        self.setAccessibleName("Workspaces")
        self.setToolTip("A double click plots a workspace; a right click offers more")
        self.setHeaderLabels(["Workspace", "Kind"])
        across = self.header()
        if across is not None:
            across.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.setMinimumWidth(180)
        self.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.setExpandsOnDoubleClick(False)
        self.itemDoubleClicked.connect(lambda item: self.plot_asked.emit([item.text(0)]))
        self.plot = self._action("&Plot", "Ctrl+P", self.ask_plot)
        self.rename = self._action("&Rename …", "F2", self.ask_name)
        self.remove = self._action("&Delete", "Del", self.delete_selected)
        self.itemSelectionChanged.connect(self._enable)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._show_menu)
        self._changes = WorkspaceChanges(workspaces, self)
        self._changes.changed.connect(lambda _: self.refresh())
        self.refresh()

    def _action(self, text: str, key: str, do: Callable[[], None]) -> QAction:
        action = QAction(text, self)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(lambda *_: do())
        self.addAction(action)
        return action

    def refresh(self) -> None:
        """Show the list as it is; what is open and selected stays so."""
        selected, opened = set(self.selected_names()), self._opened()
        self.blockSignals(True)
        self.clear()
        kinds = {name: self._kind(name) for name in self._workspaces.names() if not name.startswith("__")}
        self._shown = list(kinds)
        members = {name: self._members(name) for name, kind in kinds.items() if kind == "Group"}
        inside = {member for group in members.values() for member in group}
        for name, kind in kinds.items():
            if name not in inside:
                item = self._item(name, kind)
                item.addChildren([self._item(member, kinds.get(member, "")) for member in members.get(name, ())])
                self.addTopLevelItem(item)
                item.setExpanded(name in opened)
        for item in self._items():
            item.setSelected(item.text(0) in selected)
        self.blockSignals(False)
        self._enable()

    def _items(self) -> list[QTreeWidgetItem]:
        tops = [item for i in range(self.topLevelItemCount()) if (item := self.topLevelItem(i)) is not None]
        children = [child for top in tops for i in range(top.childCount()) if (child := top.child(i)) is not None]
        return tops + children

    def _opened(self) -> set[str]:
        return {item.text(0) for item in self._items() if item.isExpanded()}

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

    def _members(self, name: str) -> Group:
        try:
            return self._workspaces.read(name, tuple)
        except SnapcalError:
            return ()  # deleted meanwhile

    @staticmethod
    def _item(name: str, kind: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem([name, KINDS.get(kind, kind)])
        item.setToolTip(0, unmarked(f"{name}: {item.text(1)}"))
        return item

    def _enable(self) -> None:
        count = len(self.selected_names())
        self.plot.setEnabled(count > 0)
        self.rename.setEnabled(count == 1)
        self.remove.setEnabled(count > 0)

    def _show_menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions([self.plot, self.rename, self.remove])
        menu.popup(self.mapToGlobal(position))

    def ask_plot(self) -> None:
        """Ask for a plot of the selected workspaces."""
        self.plot_asked.emit(self.selected_names())

    def ask_name(self) -> None:
        """Ask for a new name of the selected workspace."""
        (name,) = self.selected_names()
        fields = [("&Name", "Shown in the workspace list", name)]
        TextsDialog(self, "Rename", f"New name of {name}:", fields, partial(self._rename, name)).open()

    def _rename(self, name: str, new_name: str) -> None:
        try:
            self._workspaces.rename(name, new_name)
        except SnapcalError as error:
            show_error(self, error)

    def delete_selected(self) -> None:
        """Delete the selected workspaces."""
        for name in self.selected_names():
            self._workspaces.delete(name)
