"""The common shift of a group's peaks against the injected one."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.peaks.comb import common_shift, follow_shift
from snapcal_workbench.calibration.types import ExpectedPeaks, GroupParameters


@pytest.mark.parametrize("shift", [-0.018, -0.008, 0.0, 0.001, 0.009, 0.0185])
@pytest.mark.parametrize("neutrons", [2e3, 1e6])
def test_finds_the_injected_shift(simulator, shift: float, neutrons: float) -> None:
    """To half the resolution where it exceeds it; 0 where the windows hold the peaks anyway."""
    terms = {int(g): {"difc": float(np.exp(shift))} for g in simulator.parameters.group}
    spectra = simulator.spectra(np.random.default_rng(6), neutrons=neutrons, background=3.0, terms=terms)
    for row, delta_d in enumerate(simulator.parameters.delta_d):
        found = common_shift(spectra.edges, spectra.y[row], spectra.e[row], simulator.peaks[row + 1].d, float(delta_d))
        if abs(shift) < 0.7 * delta_d:
            assert found == 0.0
        elif abs(shift) > 1.5 * delta_d:
            assert found == pytest.approx(shift, abs=0.5 * delta_d)


def test_windows_follow_with_a_warning(simulator, peaks: dict[int, ExpectedPeaks], parameters: GroupParameters) -> None:
    spectra = simulator.spectra(np.random.default_rng(6), terms={2: {"difc": 1.01}})
    warnings: list[str] = []
    followed = follow_shift(spectra, peaks, parameters, warn=warnings.append)
    assert len(warnings) == 1
    assert "Group 2" in warnings[0]
    np.testing.assert_allclose(followed[2].window_min / peaks[2].window_min, 1.01, atol=0.002)
    np.testing.assert_array_equal(followed[2].d, peaks[2].d)
    assert followed[1] is peaks[1]


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_spectrum_without_peaks_has_no_shift(simulator, value: float) -> None:
    edges = simulator.spectra(None).edges
    assert (
        common_shift(edges, np.full(len(edges) - 1, value), np.ones(len(edges) - 1), simulator.peaks[1].d, 0.003) == 0.0
    )


def test_noise_alone_is_not_followed(simulator) -> None:
    rng = np.random.default_rng(9)
    edges = simulator.spectra(None).edges
    for mean in (0.1, 5.0, 500.0):
        flat = rng.poisson(mean, (20, len(edges) - 1)).astype(float)
        assert [common_shift(edges, y, np.sqrt(y), simulator.peaks[1].d, 0.003) for y in flat] == [0.0] * 20
