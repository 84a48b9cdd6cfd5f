"""The `WorkspaceList` over Mantid's AnalysisDataService.

Reading converts a workspace to a value, writing a value to a workspace; nothing is cached, so that what the user does
by hand counts. Hidden workspaces ("__…") can be used by name; `names` shows them where Workbench does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
from mantid.api import AnalysisDataService, AnalysisDataServiceObserver, Workspace, WorkspaceGroup
from mantid.kernel import logger

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
    Geometry,
    IntArray,
    PixelGrouping,
    PixelMap,
    PixelMask,
    PixelResults,
    Spectra,
)
from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.hosts import mantid_reading as reading
from snapcal_workbench.hosts import mantid_writing as writing
from snapcal_workbench.hosts.conversions import unrounded
from snapcal_workbench.hosts.mantid_execution import ONE_AT_A_TIME, is_passing, kept, run_on_list, start_framework
from snapcal_workbench.hosts.mantid_writing import Donor
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.names import check_name
from snapcal_workbench.workspaces.protocol import Change, ChangeKind, Group, Value

V = TypeVar("V")

_READERS: dict[str, Callable[[Any], Value]] = {
    "Events": reading.read_events,
    "Spectra": reading.read_spectra,
    "DiffCalTable": reading.read_table,
    "PixelMask": reading.read_mask,
    "PixelGrouping": reading.read_grouping,
    "PixelMap": reading.read_map,
    "PixelResults": reading.read_results,
    "FitTable": reading.read_fits,
    "Group": reading.read_group,
}
_ALSO_READ_AS = {("Events", "Spectra"), ("Spectra", "Events")}
"""(kind, kind it can be read as, too): a run as the histogram that it is binned to; spectra in TOF as a run."""


class MantidWorkspaces:
    """A `WorkspaceList` over the AnalysisDataService."""

    def __init__(self) -> None:
        start_framework()
        self._donors: dict[str, Geometry] = {}
        self._observers: list[_Observer] = []
        self._renamed_to = ""
        self._lock = threading.RLock()

    def names(self) -> list[str]:
        return sorted(name for name in AnalysisDataService.getObjectNames() if not is_passing(name))

    def kind(self, name: str) -> str:
        return reading.kind_of(self._existing(name))

    def id_of(self, name: str) -> str:
        """Mantid's own word for what a workspace is."""
        return self._existing(name).id()

    def read(self, name: str, kind: type[V]) -> V:
        workspace = self._existing(name)
        found = reading.kind_of(workspace)
        wanted = "Group" if kind is Group else getattr(kind, "__name__", str(kind))
        if found != wanted and (found, wanted) not in _ALSO_READ_AS:
            raise InputError(
                f"The workspace '{name}' must be of kind {wanted}.",
                found=f"{found} ({workspace.id()})",
                fix="Choose another workspace.",
            )
        with kept(workspace):
            value = _READERS[wanted](workspace)
        if isinstance(value, Events):
            value = replace(value, geometry=unrounded(value.geometry, self._donors.get(name)))
            self.remember(name, value.geometry)
        return cast(V, value)

    def write(self, name: str, value: Value) -> None:
        check_name(name)
        if isinstance(value, tuple):
            for member in value:
                self._existing(member)
            run_on_list("GroupWorkspaces", InputWorkspaces=",".join(value), OutputWorkspace=name)
            return
        if isinstance(value, Events):
            self.write_events(name, value, Progress())
            return
        AnalysisDataService.addOrReplace(name, self._workspace_of(value))

    def write_events(self, name: str, events: Events, progress: Progress) -> None:
        """As `write`, with progress; nothing is replaced when the user cancels."""
        check_name(name)
        AnalysisDataService.addOrReplace(name, writing.events_workspace(events, progress))
        self.remember(name, events.geometry)

    def rename(self, name: str, new_name: str) -> None:
        check_name(new_name)
        workspace = self._existing(name)
        if new_name == name:
            return
        if AnalysisDataService.doesExist(new_name):
            raise InputError(
                f"'{name}' cannot be renamed to '{new_name}'.",
                found="a workspace of that name exists",
                fix="Choose another name, or delete the other workspace first.",
            )
        if isinstance(workspace, WorkspaceGroup):
            self._rename_group(name, new_name, reading.read_group(workspace))
            return
        with ONE_AT_A_TIME, self._expecting(new_name):
            run_on_list("RenameWorkspace", InputWorkspace=name, OutputWorkspace=new_name)
        if name in self._donors:
            self._donors[new_name] = self._donors.pop(name)

    def _rename_group(self, name: str, new_name: str, members: Group) -> None:
        """Group the same members anew: RenameWorkspace would rename those that begin with the group's name, too."""
        run_on_list("UnGroupWorkspace", InputWorkspace=name)
        run_on_list("GroupWorkspaces", InputWorkspaces=",".join(members), OutputWorkspace=new_name)

    def delete(self, name: str) -> None:
        if not AnalysisDataService.doesExist(name):
            return
        workspace = AnalysisDataService.retrieve(name)
        if isinstance(workspace, WorkspaceGroup):
            for member in reading.read_group(workspace):
                self.delete(member)
        if AnalysisDataService.doesExist(name):
            AnalysisDataService.remove(name)

    def clear(self) -> None:
        AnalysisDataService.clear()

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        observer = _Observer(self, callback)
        with self._lock:
            self._observers.append(observer)

        def end() -> None:
            observer.observe(False)
            with self._lock:
                if observer in self._observers:
                    self._observers.remove(observer)

        return end

    def is_own_rename(self, name: str) -> bool:
        """Whether a workspace is just being stored under its new name, which Mantid tells as a replacement."""
        return name == self._renamed_to

    @contextmanager
    def _expecting(self, new_name: str) -> Iterator[None]:
        self._renamed_to = new_name
        try:
            yield
        finally:
            self._renamed_to = ""

    def _existing(self, name: str) -> Workspace:
        if not name or not AnalysisDataService.doesExist(name):
            raise NotFoundError(
                f"There is no workspace '{name}'.",
                found=", ".join(self.names()) or "an empty workspace list",
                fix="Choose a workspace from the list; it may have been renamed or deleted.",
            )
        return AnalysisDataService.retrieve(name)

    def _workspace_of(self, value: Value) -> Workspace:
        if isinstance(value, DiffCalTable):
            return writing.table_workspace(value)
        if isinstance(value, FitTable):
            return writing.fits_workspace(value)
        if isinstance(value, Spectra):
            return writing.spectra_workspace(value, self._run_of(value))
        makers: dict[type, Callable[[Any, Donor | None], Workspace]] = {
            PixelMask: writing.mask_workspace,
            PixelGrouping: writing.grouping_workspace,
            PixelMap: writing.map_workspace,
            PixelResults: writing.results_workspace,
        }
        assert isinstance(value, (PixelMask, PixelGrouping, PixelMap, PixelResults))
        return makers[type(value)](value, self._donor(value.detid))

    def remember(self, name: str, geometry: Geometry) -> None:
        """Take note of the pixels of a run in the list: what is made of them gets its instrument."""
        with self._lock:
            self._donors.pop(name, None)
            self._donors[name] = geometry

    def _donor(self, detid: IntArray) -> Donor | None:
        """The run whose pixels are exactly these, the last one used first."""
        for donor in self._runs():
            if np.array_equal(donor.geometry.detid, detid):
                return donor
        return None

    def _run_of(self, spectra: Spectra) -> Donor | None:
        """The run that focused spectra come from."""
        for donor in self._runs():
            if reading.read_run_info(donor.workspace).run_number == spectra.run.run_number != "":
                return donor
        return None

    def _runs(self) -> Iterator[Donor]:
        for name, geometry in reversed(list(self._donors.items())):
            if AnalysisDataService.doesExist(name) and self.kind(name) == "Events":
                yield Donor(AnalysisDataService.retrieve(name), geometry)


class _Observer(AnalysisDataServiceObserver):
    """Tells one subscriber of changes. Errors of the subscriber are logged: Mantid must not meet them."""

    def __init__(self, workspaces: MantidWorkspaces, callback: Callable[[Change], None]) -> None:
        super().__init__()
        self._workspaces, self._callback = workspaces, callback
        self.observe(True)

    def observe(self, on: bool) -> None:
        """Start or stop listening."""
        self.observeAdd(on)
        self.observeReplace(on)
        self.observeDelete(on)
        self.observeRename(on)
        self.observeClear(on)
        self.observeGroup(on)
        self.observeUnGroup(on)
        self.observeGroupUpdate(on)

    def _tell(self, kind: ChangeKind, name: str = "", new_name: str = "") -> None:
        if is_passing(name):
            return
        try:
            self._callback(Change(kind, name, new_name))
        except Exception as error:
            logger.error(f"SNAPCal: a change of the workspace list was not followed: {error}")

    def addHandle(self, name: str, workspace: object) -> None:
        self._tell("add", name)

    def replaceHandle(self, name: str, workspace: object) -> None:
        if not self._workspaces.is_own_rename(name):
            self._tell("replace", name)

    def deleteHandle(self, name: str, workspace: object) -> None:
        self._tell("delete", name)

    def renameHandle(self, name: str, new_name: str) -> None:
        self._tell("rename", name, new_name)

    def clearHandle(self) -> None:
        self._tell("clear")

    def groupHandle(self, name: str, *_: object) -> None:
        self._tell("group", name)

    def unGroupHandle(self, name: str, *_: object) -> None:
        self._tell("group", name)

    def groupUpdateHandle(self, name: str, *_: object) -> None:
        self._tell("group", name)

    makeGroupHandle = groupHandle  # the names of these two differ between versions of Mantid
    updateGroupHandle = groupUpdateHandle
