"""How an iteration is made: the chain is run over the workspace list, and what it has put there is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from snapcal_workbench.algorithms import calibrate as chain
from snapcal_workbench.calibration.types import (
    Account,
    Calibration,
    DiffCalTable,
    Events,
    FitTable,
    Geometry,
    PixelGrouping,
    PixelMask,
    PixelResults,
    Spectra,
)
from snapcal_workbench.calibration.types.calibration import with_account
from snapcal_workbench.options import Request
from snapcal_workbench.progress import Progress
from snapcal_workbench.session.checks import overruled
from snapcal_workbench.session.ingredients import Ingredients
from snapcal_workbench.session.iteration_workspaces import IterationWorkspaces, owner_of
from snapcal_workbench.session.iterations.iteration import Iteration
from snapcal_workbench.session.iterations.ledger import Ledger
from snapcal_workbench.session.iterations.trial import trial
from snapcal_workbench.workspaces.names import OutputNames
from snapcal_workbench.workspaces.protocol import Host


def calibrated(
    number: int,
    request: Request,
    host: Host,
    ledger: Ledger,
    ingredients: Ingredients,
    workspaces: IterationWorkspaces,
    progress: Progress,
) -> tuple[Iteration, Calibration, Geometry]:
    """A new iteration, all that came out, and where its pixels are; if it fails, the list is as before.

    Args:
        number: That was claimed for it.
        request: What is asked for.
        host: Where the chain runs.
        ledger: Is told of the workspaces that are made.
        ingredients: Loads what the chain is given.
        workspaces: Those of earlier iterations, which give up the plain names.
        progress: Where to report to.
    """
    started, clock, before = datetime.now().astimezone(), time.monotonic(), len(host.history())
    warnings = [problem.message for problem in overruled(request, host)]
    progress = progress.remembering(warnings)
    with trial(host.workspaces, ledger) as work:
        loaded = ingredients.load(request, work, progress.part(0.0, 0.17))
        events = host.workspaces.read(loaded.run, Events)
        names = OutputNames(events.run.run_number, loaded.grouping_name)
        outputs = chain.output_names_as_inputs(names, skip_pixels=request.options.pixels.skip)
        roles = {field: role for role, field in chain.OUTPUT_FIELDS.items()}
        made = {field: name and work.name(owner_of(number), roles[field], name) for field, name in outputs.items()}
        inputs = ingredients.chain_inputs(request, loaded, made, work, progress.part(0.17, 0.2))
        with ledger.writing():
            outcome = host.run(chain.CALIBRATE_DIFFRACTION, inputs, progress.part(0.2, 1.0))
        calibration = _outcome(inputs, outcome.account, warnings, host)
        workspaces.suffix_all()
    ingredients.kept(request)
    iteration = Iteration(
        number=number,
        request=request,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 2),
        account=calibration.account,
        history=list(host.history()[before:]),
    )
    return iteration, calibration, events.geometry


def _outcome(inputs: chain.Inputs, account: str, warnings: Sequence[str], host: Host) -> Calibration:
    """What the chain has put into the list; `warnings` are what was said while it was made ready, too."""
    read = host.workspaces.read
    stated = Account.from_json(account)
    return Calibration(
        account=replace(stated, warnings=tuple(dict.fromkeys([*stated.warnings, *warnings]))),
        start=read(inputs.previous_table, DiffCalTable),
        grouping=read(inputs.grouping_workspace, PixelGrouping),
        table=read(inputs.output_table, DiffCalTable),
        mask=replace(read(inputs.output_mask, PixelMask), account=""),
        results=read(inputs.output_results, PixelResults) if inputs.output_results else None,
        spectra=with_account(read(inputs.output_workspace, Spectra), None),
        fits=read(inputs.output_fits, FitTable),
        fitted=read(inputs.output_fitted, Spectra),
    )
