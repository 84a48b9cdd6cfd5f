"""Which of the facility's calibrants a run is of, and whether its title says the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snapcal_workbench.algorithms.ingredients import pixel_mode, state_of
from snapcal_workbench.calibration.focus import focus
from snapcal_workbench.calibration.peaks.expected import group_parameters
from snapcal_workbench.calibration.phases.identify import Identification, identify
from snapcal_workbench.calibration.phases.pattern import Pattern, patterns_of
from snapcal_workbench.calibration.pixels.modules import cells_of
from snapcal_workbench.calibration.types import DiffCalTable, Events, PixelGrouping, PixelMask
from snapcal_workbench.instrument.candidates import candidate_reflections
from snapcal_workbench.instrument.identifying import run_request
from snapcal_workbench.options import PeakOptions, Request
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.protocol import Host

SCRATCH = "_snapcal_identify"
"""Workspace that holds a run while it is looked at."""
BINS_PER_WIDTH = 6
"""Of the focused spectra: twice what the patterns have."""


@dataclass(frozen=True)
class CalibrantFinding:
    """What the data and the title say of a run's calibrant.

    Attributes:
        run_number: Of the run; title: its title.
        identification: The calibrants by how well they fit, by the stems of their files.
        named: The calibrant that the title names; "" if it names none, or several.
        unreadable: (file, why) of the calibrants that could not be tried.
    """

    run_number: str
    title: str
    identification: Identification
    named: str = ""
    unreadable: tuple[tuple[str, str], ...] = ()

    @property
    def disagreement(self) -> str:
        """A warning where title and data do not agree; "" where they do, or one says nothing."""
        best = self.identification.best
        if best is None or not self.named or self.named == best.name:
            return ""
        named = next((c for c in self.identification.ranking if c.name == self.named), None)
        why = f" {named.text}." if named is not None else ""
        return f"The title {self.title!r} names {self.named}, but the data are of {best.name}.{why}"


def identify_calibrant(request: Request, host: Host, progress: Progress) -> CalibrantFinding:
    """Rank all calibrants of the samples folder by the spectra of a request's run.

    The run is loaded for it, unless the request names a workspace; no calibrant and no calibration is needed.

    Raises:
        SnapcalError: The run cannot be found or read.
        Cancelled: The user cancelled.
    """
    if request.workspace:
        events = host.workspaces.read(request.workspace, Events)
        return identify_events(events, host, progress)
    host.load_run(host.resolve(run_request(request, host.settings)), SCRATCH, progress.part(0.0, 0.5))
    try:
        events = host.workspaces.read(SCRATCH, Events)
    finally:
        host.workspaces.delete(SCRATCH)
    return identify_events(events, host, progress.part(0.5, 1.0))


def identify_events(events: Events, host: Host, progress: Progress) -> CalibrantFinding:
    """The same for a run that is loaded: its modules are focused with the DIFC that the geometry says."""
    patterns = _module_patterns(events, host, progress.part(0.0, 0.4))
    candidates, unreadable = candidate_reflections(host.settings, patterns)
    found = identify(patterns, candidates, progress=progress.part(0.4, 1.0))
    named = title_names(events.run.title, list(candidates))
    return CalibrantFinding(events.run.run_number, events.run.title, found, named, unreadable)


def _module_patterns(events: Events, host: Host, progress: Progress) -> list[Pattern]:
    geometry = events.geometry
    everything = PixelGrouping(geometry.detid, np.ones(len(geometry), np.int32))
    cells, mask = cells_of(geometry, everything), PixelMask.none(geometry.detid)
    state = state_of(events.run, host)
    resolution = state.resolution(pixel_mode(geometry, host), delta_theta=3.2e-3)
    options = PeakOptions()
    parameters = group_parameters(geometry, cells, mask, resolution=resolution, bounds=state.bounds, options=options)
    table = DiffCalTable.from_geometry(geometry)
    spectra = focus(events, table, cells, mask, parameters, bins_per_delta_d=BINS_PER_WIDTH, progress=progress)
    return patterns_of(spectra, parameters)


def title_names(title: str, calibrants: Sequence[str]) -> str:
    """The calibrant that a title names by the first word of its file's stem; "" for none or several."""
    words = {word.lower() for word in re.findall(r"[A-Za-z][A-Za-z0-9]+", title)}
    named = [stem for stem in calibrants if re.split(r"[_\W]", stem)[0].lower() in words]
    return named[0] if len(named) == 1 else ""
