"""The seam between the algorithms and the program they run in: `WorkspaceList`, `Host` and `Algorithm`.

An algorithm is a pydantic model in, a pydantic model out, and a function between them.

A workspace is a named value. Values are the types of `calibration.types`; a group is a tuple of names. Names that
start with "__" are hidden. Implementations are in `snapcal_workbench.hosts`: the embedded one keeps the values in
memory, the Mantid one converts to and from the workspaces of the AnalysisDataService.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    Events,
    FitTable,
    Geometry,
    PixelGrouping,
    PixelMap,
    PixelMask,
    PixelResults,
    RunInfo,
    Spectra,
)
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress

Group = tuple[str, ...]
"""A workspace group: the names of its members."""

Value = Events | Spectra | DiffCalTable | PixelMask | PixelGrouping | PixelMap | PixelResults | FitTable | Group
V = TypeVar("V")
I = TypeVar("I", bound=BaseModel)  # noqa: E741 - inputs
O = TypeVar("O", bound=BaseModel)  # noqa: E741 - outputs

ChangeKind = Literal["add", "replace", "delete", "rename", "clear", "group"]


@dataclass(frozen=True)
class Change:
    """One change of the workspace list; `new_name` is set for a rename."""

    kind: ChangeKind
    name: str = ""
    new_name: str = ""


@runtime_checkable
class WorkspaceList(Protocol):
    """Named workspaces of the program."""

    def names(self) -> list[str]:
        """Names of all workspaces and groups, sorted; hidden ones ("__…") may be left out, but can be used by name."""

    def kind(self, name: str) -> str:
        """What a workspace is: the class name of its value ("Events", …, "Group"), or "Other" for one we cannot read.

        Never reads the data. Raises NotFoundError when there is no such workspace.
        """

    def read(self, name: str, kind: type[V]) -> V:
        """The value of a workspace.

        Raises:
            NotFoundError: There is no such workspace.
            InputError: It is of another kind than `kind`.
        """

    def write(self, name: str, value: Value) -> None:
        """Make a workspace, or replace the one of that name. Writing a Group groups existing workspaces.

        Raises:
            InputError: The name is empty or has characters that a workspace name cannot have.
        """

    def rename(self, name: str, new_name: str) -> None:
        """Rename a workspace. Raises NotFoundError if `name` is absent, InputError if `new_name` exists."""

    def delete(self, name: str) -> None:
        """Remove a workspace (a group with its members). Not an error when it is absent already."""

    def clear(self) -> None:
        """Remove every workspace."""

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback` after each change, on the thread that made it; returns what ends the subscription.

        The callback only takes notice (sets an event, emits a queued signal): the program may hold locks meanwhile.
        """


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """What was loaded, so that nobody has to read it back: a workspace may be slow to read.

    Attributes:
        run: What the run says of itself.
        geometry: Of its pixels.
        n_events: Number of events within the TOF window.
    """

    run: RunInfo
    geometry: Geometry
    n_events: int


class Host(Protocol):
    """The program that the plugin runs in."""

    @property
    def name(self) -> str:
        """ "embedded" or "mantid"."""

    @property
    def settings(self) -> Settings:
        """Where things are, and the defaults."""

    @property
    def workspaces(self) -> WorkspaceList:
        """The workspace list."""

    def resolve(self, request: RunRequest) -> RunRequest:
        """The request with the paths of runs that only this program can find; others stay as they are.

        Raises:
            NotFoundError: A run is nowhere, where the program has looked for it already.
        """

    def load_run(self, request: RunRequest, output: str, progress: Progress) -> LoadedRun:
        """Load and crop a run, its pixels counted as asked, into the workspace `output` (Events)."""

    def run(self, algorithm: Algorithm[I, O], inputs: I, progress: Progress) -> O:
        """Run one of `snapcal_workbench.algorithms` with progress and cancel, and record it in the history.

        Args:
            algorithm: One of `algorithms.catalogue`.
            inputs: Its inputs.
            progress: Where to report to.

        Returns:
            Its outputs.
        """

    def history(self) -> Sequence[dict[str, object]]:
        """The algorithms that were run, oldest first: {"algorithm", "inputs", "started", "outcome", "seconds"}."""


@dataclass(frozen=True)
class Algorithm(Generic[I, O]):
    """One algorithm, in every host.

    Attributes:
        name: As in Mantid's algorithm list.
        summary: One sentence.
        inputs: Model of the inputs.
        outputs: Model of the outputs.
        run: Does the work; raises SnapcalError for what a user can mend, and Cancelled.
        see_also: Related algorithms.
    """

    name: str
    summary: str
    inputs: type[I]
    outputs: type[O]
    run: Callable[[I, Host, Progress], O]
    see_also: tuple[str, ...] = ()
