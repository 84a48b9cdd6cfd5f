"""The calibrants that the facility has: what a run may be of, and what may be in the beam beside its calibrant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.calibration.phases.identify import SCALE
from snapcal_workbench.calibration.phases.known import FacilityPhase
from snapcal_workbench.calibration.phases.pattern import Pattern
from snapcal_workbench.calibration.types import Reflections
from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.instrument.calibrants import Calibrant, find_calibrants, read_calibrant
from snapcal_workbench.options import Settings

USUAL_RANGE = (0.5, 5.0)
"""d-spacings (A) of patterns without counts."""


def company_of(sample: Calibrant, settings: Settings) -> tuple[FacilityPhase, ...]:
    """The facility's other calibrants; those that cannot be read are left out: they are not asked for."""
    found = []
    for path in find_calibrants(settings):
        try:
            other = read_calibrant(path, settings)
            phase = FacilityPhase(other.name, other.cif_text)
            phase.reflections(*USUAL_RANGE)
        except SnapcalError:
            continue
        if other.cif_text != sample.cif_text:
            found.append(phase)
    return tuple(found)


def candidate_reflections(
    settings: Settings, patterns: Sequence[Pattern]
) -> tuple[dict[str, Reflections], tuple[tuple[str, str], ...]]:
    """Reflections of every calibrant over the d range of patterns, by the stem of its file.

    Returns:
        The reflections, and (file, why) of the calibrants that cannot be read.
    """
    seen = [np.exp(np.array(pattern.range)) for pattern in patterns if pattern.total > 0]
    first, last = (min(low for low, _ in seen), max(high for _, high in seen)) if seen else USUAL_RANGE
    low, high = first * np.exp(-SCALE), last * np.exp(SCALE)
    found: dict[str, Reflections] = {}
    unreadable = []
    for path in find_calibrants(settings):
        try:
            cif = read_calibrant(path, settings)
            found[path.stem] = reflections_from_cif(cif.cif_text, d_min=low, d_max=high, source=str(cif.cif_path))
        except SnapcalError as error:
            unreadable.append((path.name, error.what))
    return found, tuple(unreadable)
