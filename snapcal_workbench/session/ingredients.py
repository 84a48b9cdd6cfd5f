"""What an iteration is made from, in the workspace list: the loaded run, its grouping, start table and masks."""

from __future__ import annotations

from snapcal_workbench.algorithms import calibrate as chain
from snapcal_workbench.algorithms import load_run
from snapcal_workbench.algorithms.ingredients import is_lite, state_of
from snapcal_workbench.calibration.types import DiffCalTable, Events, PixelGrouping, PixelMask
from snapcal_workbench.formats.masks import read_mask
from snapcal_workbench.instrument.snap.groupings import read_grouping_named
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.checks import identify
from snapcal_workbench.session.iteration import Iteration, IterationFolders
from snapcal_workbench.session.ledger import Ledger
from snapcal_workbench.session.request import Request
from snapcal_workbench.session.starting import starting_point
from snapcal_workbench.workspaces.names import OutputNames, raw_run, run_token
from snapcal_workbench.workspaces.names import grouping as grouping_name
from snapcal_workbench.workspaces.protocol import Host

_RUN = "run"
"""Owner of these workspaces in the ledger."""


class Ingredients:
    """Puts the ingredients of a request into the workspace list; a run that is there already is not loaded again.

    Args:
        host: Where the workspaces are.
        ledger: Is told what was made.
        folders: Of the iterations that can be started from.
    """

    def __init__(self, host: Host, ledger: Ledger, folders: IterationFolders) -> None:
        self._host, self._ledger, self._folders = host, ledger, folders
        self._loaded: tuple[str, ...] = ()
        self.grouping = ""
        """Name of the grouping workspace."""

    def forget(self) -> None:
        """Load the run anew next time: its workspace was deleted."""
        self._loaded = ()

    def load(self, request: Request, progress: Progress) -> tuple[str, str]:
        """Load the run and its grouping unless they are there; returns the run workspace and the grouping's name."""
        name = request.workspace or self._load_files(request, progress)
        events = self._host.workspaces.read(name, Events)
        state_id = state_of(events.run, self._host).state_id
        lite = is_lite(events.geometry)
        found = read_grouping_named(self._host.settings, state_id, lite, request.grouping, events.geometry)
        self._keep(grouping_name(found.name, events.run.run_number, lite=lite), found)
        return name, found.name

    def _keep(self, name: str, value: DiffCalTable | PixelMask | PixelGrouping) -> str:
        """Write an ingredient, in the place of an earlier one but never of somebody else's; returns its name."""
        made = self._ledger.free(name, mine=self._ledger.names(_RUN).get(name, ""))
        with self._ledger.writing():
            self._host.workspaces.write(made, value)
        self._ledger.add(_RUN, {name: made})
        if isinstance(value, PixelGrouping):
            self.grouping = made
        return made

    def _load_files(self, request: Request, progress: Progress) -> str:
        wanted = (*request.runs, "lite" if request.lite else "native")
        present = self._ledger.names(_RUN).get("run", "")
        if wanted == self._loaded and present:
            return present
        first = identify(request, self._host).run_number
        name = self._ledger.free(raw_run(first, lite=request.lite), mine=present)
        with self._ledger.writing():
            self._host.run(
                load_run.LOAD_CALIBRATION_RUN,
                load_run.Inputs(runs=request.runs, lite=request.lite, output_workspace=name),
                progress,
            )
            if present and present != name:
                self._host.workspaces.delete(present)
        self._ledger.add(_RUN, {"run": name})
        self._loaded = wanted
        return name

    def chain_inputs(self, request: Request, run_name: str, names: OutputNames, progress: Progress) -> chain.Inputs:
        """Inputs of the whole chain, with the start table and the masks in the workspace list."""
        events = self._host.workspaces.read(run_name, Events)
        start, inherited = starting_point(request, events, self._host, self._folders, progress)
        token = run_token(events.run.run_number)
        made: dict[str, DiffCalTable | PixelMask] = {f"diffract_consts_start_{token}": start}
        masks = []
        if request.inherit_mask and inherited is not None:
            made[f"mask_start_{token}"] = inherited
            masks.append(f"mask_start_{token}")
        for position, mask in enumerate(request.masks):
            if mask in self._host.workspaces.names():
                masks.append(mask)
            else:
                made[f"mask_{position + 1}_{token}"] = read_mask(user_path(mask), events.geometry.detid)
                masks.append(f"mask_{position + 1}_{token}")
        kept = {name: self._keep(name, value) for name, value in made.items()}
        outputs = chain.output_names_as_inputs(names, skip_pixels=request.options.pixels.skip)
        return chain.Inputs(
            input_workspace=run_name,
            grouping_workspace=self.grouping,
            previous_table=kept[f"diffract_consts_start_{token}"],
            mask_workspaces=tuple(kept.get(mask, mask) for mask in masks),
            calibrant=request.calibrant,
            excluded_peaks=request.excluded_peaks,
            pixels=request.options.pixels,
            groups=request.options.groups,
            peaks=request.options.peaks,
            delta_theta=request.options.delta_theta,
            **{role: name and self._ledger.free(name) for role, name in outputs.items()},
        )

    def keep_grouping(self, iteration: Iteration) -> str:
        """Put an iteration's grouping into the list; returns its name."""
        name = grouping_name(iteration.grouping_name, iteration.run_number, lite=iteration.lite)
        return self._keep(name, self._folders.values(iteration.number)["grouping"])
