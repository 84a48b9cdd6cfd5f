"""What is in the beam beside the calibrant: amounts, texture and strain as they were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.phases.known import known_phases
from snapcal_workbench.calibration.types import Reflections
from snapcal_workbench.errors import InputError
from snapcal_workbench.simulation.misalignment import Misalignment
from snapcal_workbench.simulation.model import NODES, Defects
from snapcal_workbench.simulation.run import model_of_run, visible_reflections
from snapcal_workbench.simulation.sample import ForeignPhase, Peaks, SampleState, sample_peaks
from snapcal_workbench.simulation.tree import sample_text

ANGLES = 400


def peaks_of(sample: SampleState, reflections: Reflections) -> Peaks:
    rng = np.random.default_rng(1)
    phases = (reflections, *(phase.reflections for phase in sample.foreign))
    rates = [rng.uniform(0.5, 2.0, (ANGLES, len(phase))) for phase in phases]
    return sample_peaks(reflections, sample, rates, np.ones(ANGLES))


@pytest.fixture(scope="module")
def lead() -> Reflections:
    return next(phase for phase in known_phases() if phase.name == "lead").reflections(0.3, 10.0)


def test_a_foreign_phase_has_its_share_of_the_bragg_events(silicon: Reflections, lead: Reflections) -> None:
    peaks = peaks_of(SampleState(foreign=(ForeignPhase(lead, 0.4, texture=0.5),)), silicon)
    own = (peaks.total @ peaks.share[:, : len(silicon)]).sum()
    other = (peaks.total @ peaks.share[:, len(silicon) :]).sum()
    assert other / own == pytest.approx(0.4)
    np.testing.assert_allclose(peaks.share.sum(1), 1.0)
    np.testing.assert_array_equal(peaks.d[len(silicon) :], lead.d)


def test_texture_and_strain_have_their_sizes(silicon: Reflections) -> None:
    plain, other = peaks_of(SampleState(), silicon), peaks_of(SampleState(texture=0.3, strain=5e-4), silicon)
    factors = np.log((other.share * other.total[:, None]) / (plain.share * plain.total[:, None]))
    assert np.sqrt(np.mean(factors**2)) == pytest.approx(0.3, rel=0.15)
    assert np.std(other.d / plain.d - 1) == pytest.approx(5e-4, rel=0.25)
    assert np.abs(np.diff(factors, axis=0)).max() < 0.02  # smooth in the angle


@pytest.mark.parametrize("size", [-0.1, np.inf, np.nan])
def test_sizes_that_mean_nothing_are_refused(size: float) -> None:
    with pytest.raises(InputError, match="from 0 up"):
        SampleState(texture=size)


def test_the_run_holds_what_was_asked_for(lead: Reflections) -> None:
    """Amount of the second phase, a moved and a dead module, in the model of a whole run."""
    silicon = visible_reflections(sample_text("Silicon_NIST_640d.cif"))
    model = model_of_run(
        reflections=silicon,
        n_events=1_000_000,
        sample=SampleState(foreign=(ForeignPhase(lead, 0.5),)),
        misalignment=Misalignment(moved={4: 0.04}),
        defects=Defects(dead_modules=(7,)),
    )
    module = model.nominal.layout.module  # type: ignore[union-attr] # SNAP has modules
    assert model.bragg.sum() + model.background.sum() == pytest.approx(600_000 * 1.5 + 400_000)
    lead_share = model.peaks.share[:, len(silicon) :].sum(1)[model.node]
    assert (model.bragg * lead_share).sum() == pytest.approx(300_000, rel=1e-6)
    assert model.peaks.share.shape == (NODES, len(silicon) + len(lead))
    change = np.log(model.instrument.difc / model.nominal.difc)
    assert np.median(change[module == 4]) == pytest.approx(0.0424, abs=0.005)
    assert np.median(change[module == 5]) == pytest.approx(0.0024, abs=0.006)
    assert not (model.bragg + model.background)[module == 7].any()
