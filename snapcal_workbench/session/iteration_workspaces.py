"""The workspaces of iterations in the workspace list.

Those of the last iteration have the plain names of `workspaces.names`, those of earlier ones the suffix "_<nn>".
"""

from __future__ import annotations

from snapcal_workbench.calibration.types.calibration import with_account
from snapcal_workbench.session.ingredients import RUN
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.session.iterations.iteration import Iteration
from snapcal_workbench.session.iterations.ledger import Ledger, Standing
from snapcal_workbench.session.iterations.trial import trial
from snapcal_workbench.workspaces.names import OutputNames
from snapcal_workbench.workspaces.names import grouping as grouping_name
from snapcal_workbench.workspaces.protocol import WorkspaceList


class IterationWorkspaces:
    """Puts the workspaces of iterations into the list, renames and deletes them.

    Args:
        workspaces: The list.
        ledger: Follows what becomes of them.
        folders: Where their values are kept.
    """

    def __init__(self, workspaces: WorkspaceList, ledger: Ledger, folders: IterationFolders) -> None:
        self._workspaces, self._ledger, self._folders = workspaces, ledger, folders

    def restore(self, number: int) -> dict[str, str]:
        """Put back into the list what is missing there of an iteration's workspaces, named with its suffix.

        Returns:
            Names of its workspaces by role.
        """
        iteration, owner = self._folders.read(number), owner_of(number)
        present = self._ledger.names(owner)
        calibration = self._folders.calibration(number)
        values = calibration.workspaces()
        values["output"] = with_account(calibration.spectra, calibration.account)
        wanted = OutputNames.of_iteration(iteration.run_number, iteration.grouping_name, number).roles()
        missing = {role: name for role, name in wanted.items() if role in values and role not in present}
        made = {role: self._ledger.free(name) for role, name in missing.items()}
        with self._ledger.writing():
            for role, name in made.items():
                self._workspaces.write(name, values[role])
            if {"fit_table", "fitted"} <= set(made):
                made["diagnostic"] = self._ledger.free(wanted["diagnostic"])
                self._workspaces.write(made["diagnostic"], (made["fit_table"], made["fitted"]))
        self._ledger.add(owner, made)
        return self._ledger.names(owner)

    def put_grouping(self, iteration: Iteration) -> str:
        """Put an iteration's grouping into the list; returns its name."""
        wanted = grouping_name(iteration.grouping_name, iteration.run_number, iteration.mode)
        with trial(self._workspaces, self._ledger) as work:
            work.write(RUN, wanted, wanted, self._folders.values(iteration.number)["grouping"])
        return self._ledger.names(RUN)[wanted]

    def suffix_all(self) -> None:
        """Give the workspaces of all iterations their suffix, so that the plain names are free for a new one."""
        owners = self._ledger.owners()
        for iteration in self._folders.survey()[0]:
            if owner_of(iteration.number) in owners:
                names = OutputNames.of_iteration(iteration.run_number, iteration.grouping_name, iteration.number)
                self._ledger.rename(owner_of(iteration.number), names.roles())

    def delete(self, number: int) -> None:
        """Delete those of an iteration."""
        self._ledger.delete(owner_of(number))

    def standing(self, number: int) -> Standing:
        """What has become of those of an iteration."""
        return self._ledger.standing(owner_of(number))


def owner_of(number: int) -> str:
    """Owner of an iteration's workspaces in the ledger."""
    return f"iteration {number}"
