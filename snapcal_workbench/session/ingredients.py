"""What an iteration is made from, in the workspace list: the loaded run, its grouping, start table and masks."""

from __future__ import annotations

from dataclasses import dataclass

from snapcal_workbench.algorithms import calibrate as chain
from snapcal_workbench.algorithms import load_run
from snapcal_workbench.algorithms.ingredients import pixel_mode, state_of
from snapcal_workbench.calibration.types import DiffCalTable, Events, PixelMask
from snapcal_workbench.formats.masks import read_mask
from snapcal_workbench.instrument.groupings import locate_grouping, read_grouping_named
from snapcal_workbench.instrument.known import requested_mode
from snapcal_workbench.options import Request
from snapcal_workbench.paths import user_path
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.checks import identify
from snapcal_workbench.session.iterations.folders import IterationFolders
from snapcal_workbench.session.iterations.ledger import Ledger
from snapcal_workbench.session.iterations.trial import Trial
from snapcal_workbench.session.starting import starting_point
from snapcal_workbench.workspaces.names import grouping as grouping_name
from snapcal_workbench.workspaces.names import raw_run, run_token
from snapcal_workbench.workspaces.protocol import Host

RUN = "run"
"""Owner of these workspaces in the ledger."""


@dataclass(frozen=True)
class Loaded:
    """Names of the run's and the grouping's workspaces, and name and file of the grouping itself."""

    run: str
    grouping: str
    grouping_name: str
    grouping_definition: str


class Ingredients:
    """Puts the ingredients of a request into the workspace list; a run that is there already is not loaded again.

    Args:
        host: Where the workspaces are.
        ledger: Knows what was made.
        folders: Of the iterations that can be started from.
    """

    def __init__(self, host: Host, ledger: Ledger, folders: IterationFolders) -> None:
        self._host, self._ledger, self._folders = host, ledger, folders
        self._loaded: tuple[str, tuple[str, ...]] = ("", ())

    def load(self, request: Request, trial: Trial, progress: Progress) -> Loaded:
        """Load the run and its grouping unless they are there."""
        name = request.workspace or self._load_files(request, trial, progress)
        events = self._host.workspaces.read(name, Events)
        state_id = state_of(events.run, self._host).state_id
        mode = pixel_mode(events.geometry, self._host)
        found = read_grouping_named(self._host.settings, state_id, mode, request.grouping, events.geometry)
        wanted = grouping_name(found.name, events.run.run_number, mode)
        _, definition = locate_grouping(self._host.settings, state_id, mode, request.grouping)
        return Loaded(name, trial.write(RUN, wanted, wanted, found), found.name, str(definition))

    def _load_files(self, request: Request, trial: Trial, progress: Progress) -> str:
        mode = requested_mode(self._host.settings, request.lite)
        wanted = (*request.runs, mode.name)
        present = self._ledger.names(RUN).get("run", "")
        if present and self._loaded == (present, wanted):
            return present
        first = identify(request, self._host).run_number
        name = trial.name(RUN, "run", raw_run(first, mode))
        with self._ledger.writing():
            self._host.run(
                load_run.LOAD_CALIBRATION_RUN,
                load_run.Inputs(runs=request.runs, lite=request.lite, output_workspace=name),
                progress,
            )
        return name

    def kept(self, request: Request) -> None:
        """The run that was loaded last for a request is kept: it need not be loaded again."""
        if not request.workspace:
            mode = requested_mode(self._host.settings, request.lite)
            self._loaded = (self._ledger.names(RUN).get("run", ""), (*request.runs, mode.name))

    def chain_inputs(
        self, request: Request, loaded: Loaded, outputs: dict[str, str], trial: Trial, progress: Progress
    ) -> chain.Inputs:
        """Inputs of the whole chain, with the start table and the masks in the workspace list.

        Args:
            request: What is asked for.
            loaded: The run and its grouping.
            outputs: Output fields of the chain's inputs, and the names of the workspaces.
            trial: Makes the workspaces.
            progress: Told of a start that is of another state or mode.
        """
        events = self._host.workspaces.read(loaded.run, Events)
        start, inherited = starting_point(request, events, self._host, self._folders, progress)
        token = run_token(events.run.run_number)

        def made(name: str, value: DiffCalTable | PixelMask) -> str:
            return trial.write(RUN, name, name, value)

        masks = [made(f"mask_start_{token}", inherited)] if request.inherit_mask and inherited is not None else []
        for position, mask in enumerate(request.masks):
            if mask in self._host.workspaces.names():
                masks.append(mask)
            else:
                value = read_mask(user_path(mask), events.geometry.detid)
                masks.append(made(f"mask_{position + 1}_{token}", value))
        return chain.Inputs(
            input_workspace=loaded.run,
            grouping_workspace=loaded.grouping,
            previous_table=made(f"diffract_consts_start_{token}", start),
            mask_workspaces=tuple(masks),
            grouping_definition=loaded.grouping_definition,
            start=request.start_from.strip() or "default",
            calibrant=request.calibrant,
            excluded_peaks=request.excluded_peaks,
            pixels=request.options.pixels,
            groups=request.options.groups,
            peaks=request.options.peaks,
            delta_theta=request.options.delta_theta,
            **outputs,
        )
