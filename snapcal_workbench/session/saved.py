"""What a session does with the saved versions of a run's state: list, check, load, retire."""

from __future__ import annotations

from pathlib import Path

from snapcal_workbench.algorithms import load_version
from snapcal_workbench.instrument.known import requested_mode
from snapcal_workbench.options import Request
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.checks import identified, identify
from snapcal_workbench.session.iterations.ledger import Ledger
from snapcal_workbench.session.versions import Described, checked_health, described_versions
from snapcal_workbench.store.references import locate, open_version
from snapcal_workbench.store.state_init import init_state
from snapcal_workbench.workspaces.names import OutputNames
from snapcal_workbench.workspaces.protocol import Host


class SavedVersions:
    """The saved versions, by references as "STATE/N" and "RUN:N".

    Args:
        host: Says where they are, and has the workspace list that they are loaded into.
        ledger: Is told of the workspaces that are made.
    """

    def __init__(self, host: Host, ledger: Ledger) -> None:
        self._host, self._ledger = host, ledger

    def of_run(self, request: Request) -> Described:
        """The versions of the state of a request's run, as `session.versions.described_versions` gives them."""
        summary = identify(request, self._host)
        return described_versions(
            self._host.settings,
            summary.state_id,
            requested_mode(self._host.settings, request.lite),
            run=int(summary.run_number.split("+")[0]),
        )

    def health(self, request: Request, progress: Progress) -> dict[str, str]:
        """What is wrong with each version of a request's state, by reference; "good" where nothing is."""
        references = [entry["reference"] for entry in self.of_run(request)["versions"]]
        return checked_health(self._host.settings, references, progress)

    def retire(self, reference: str, reason: str, author: str, progress: Progress) -> None:
        """Take a saved version out of the choice; it stays on disk."""
        store, version = locate(self._host.settings, reference)
        store.retire(version, reason, author, progress)

    def unretire(self, reference: str, reason: str, author: str, progress: Progress) -> None:
        """Bring a retired version back into the choice."""
        store, version = locate(self._host.settings, reference)
        store.unretire(version, reason, author, progress)

    def initialise_state(self, request: Request, name: str, author: str, progress: Progress) -> Path:
        """Initialise the instrument state of a request's run; returns its folder.

        Raises:
            InputError: It is initialised already.
            StoreError: It cannot be written; nothing is left behind.
        """
        info, state = identified(request, self._host)
        return init_state(
            self._host.settings, state, name=name, run_number=info.run_number, author=author, progress=progress
        )

    def load(self, reference: str, progress: Progress) -> list[str]:
        """Load a saved version's workspaces into the list; returns their names."""
        stored = open_version(self._host.settings, reference)
        entry = stored.entry
        grouping_name = stored.record.own.grouping_name if stored.record.own else ""
        names = OutputNames.of_version(entry.run_number, grouping_name, entry.version)
        wanted = {
            "output_table": names.table,
            "output_mask": names.mask,
            "output_spectra": names.output,
            "output_fits": names.fit_table,
            "output_results": names.results,
        }
        own = self._ledger.names(reference)
        outputs = {role: self._ledger.free(name, mine=own.get(role, "")) for role, name in wanted.items()}
        inputs = load_version.Inputs.model_validate({"version": reference, **outputs})
        with self._ledger.writing():
            found = self._host.run(load_version.LOAD_CALIBRATION_VERSION, inputs, progress)
        self._ledger.add(reference, {role: name for role, name in outputs.items() if name in found.loaded})
        return found.loaded
