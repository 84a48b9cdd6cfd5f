"""Workspaces that are made on trial: they take their names when the work has come to a good end, or vanish.

Until then nothing that was in the list before is renamed, replaced or deleted, so that a calibration that fails or is
cancelled leaves the list as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from snapcal_workbench.session.iterations.ledger import Ledger
from snapcal_workbench.workspaces.protocol import Value, WorkspaceList


@dataclass(frozen=True)
class _Made:
    owner: str
    role: str
    wanted: str
    name: str


@dataclass(eq=False)
class Trial:
    """The workspaces of one piece of work.

    Attributes:
        workspaces: The list.
        ledger: Is told of them when they are kept.
    """

    workspaces: WorkspaceList
    ledger: Ledger
    _made: list[_Made] = field(default_factory=list)

    def name(self, owner: str, role: str, wanted: str) -> str:
        """A free name under which a workspace is to be made; it is called `wanted` when it is kept, if that is free."""
        taken = {made.name for made in self._made}
        made = _Made(owner, role, wanted, self.ledger.free(wanted, taken=taken))
        self._made.append(made)
        return made.name

    def write(self, owner: str, role: str, wanted: str, value: Value) -> str:
        """Make a workspace; returns its name until it is kept."""
        name = self.name(owner, role, wanted)
        with self.ledger.writing():
            self.workspaces.write(name, value)
        return name

    def role_of(self, name: str) -> str:
        """The role of a workspace that is made here; "" for any other."""
        return next((made.role for made in self._made if made.name == name), "")

    def keep(self) -> None:
        """Give the workspaces their names, in the place of what their owner had in the same role before."""
        for made in self._made:
            before = self.ledger.names(made.owner).get(made.role, "")
            self.ledger.add(made.owner, {made.role: made.name})
            if before and before != made.name:
                self._delete(before)
        for owner in {made.owner: None for made in self._made}:
            self.ledger.rename(owner, {made.role: made.wanted for made in self._made if made.owner == owner})
        self._made.clear()

    def discard(self) -> None:
        """Delete what was made; a group goes with its last member."""
        for made in self._made:
            if made.name in self.workspaces.names() and self.workspaces.kind(made.name) != "Group":
                self._delete(made.name)
        self._made.clear()

    def _delete(self, name: str) -> None:
        with self.ledger.writing():
            self.workspaces.delete(name)


@contextmanager
def trial(workspaces: WorkspaceList, ledger: Ledger) -> Iterator[Trial]:
    """A trial whose workspaces are kept when the block ends well, and discarded when it does not."""
    work = Trial(workspaces, ledger)
    try:
        yield work
    except BaseException:
        work.discard()
        raise
    work.keep()
