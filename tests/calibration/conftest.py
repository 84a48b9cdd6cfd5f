"""Silicon in six column groups: expected peaks, simulated focused spectra with a known truth, and measured ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from snapcal_workbench.calibration.peaks.expected import expected_peaks
from snapcal_workbench.calibration.types import ExpectedPeaks, FloatArray, GroupParameters, Reflections, Spectra
from snapcal_workbench.calibration.units import tof_from_d
from snapcal_workbench.formats.processed import read_processed
from snapcal_workbench.options import PeakOptions

LATTICE = 5.43123
WIDTHS = np.array([0.002772, 0.003235, 0.004015, 0.004310, 0.005408, 0.007549])
GROUPS = np.arange(1, 7, dtype=np.int32)


@pytest.fixture(scope="session")
def silicon() -> Reflections:
    """The reflections of silicon down to 0.6 A, by the rule of the diamond structure."""
    h = np.arange(10)
    hkl = np.array([(i, j, k) for i in h for j in h for k in h if i >= j >= k and i > 0])
    odd = np.all(hkl % 2 == 1, axis=1)
    even = np.all(hkl % 2 == 0, axis=1) & (hkl.sum(axis=1) % 4 == 0)
    hkl = hkl[odd | even]
    d = LATTICE / np.sqrt(np.sum(hkl**2, axis=1))
    signs = 2 ** np.count_nonzero(hkl, axis=1)
    permutations = np.array(
        [len({(a, b, c), (b, c, a), (c, a, b), (b, a, c), (a, c, b), (c, b, a)}) for a, b, c in hkl]
    )
    f_squared = np.where(np.all(hkl % 2 == 0, axis=1), 64.0, 32.0) * 4.1491**2 * np.exp(-4 * np.pi**2 * 0.006 / d**2)
    order = np.argsort(d)[::-1]
    _, first = np.unique(np.round(d[order], 6), return_index=True)
    keep = order[first]
    keep = keep[d[keep] > 0.6]
    return Reflections(
        hkl[keep].astype(np.int32), d[keep], f_squared[keep], (signs * permutations)[keep].astype(np.int32)
    )


@pytest.fixture(scope="session")
def parameters() -> GroupParameters:
    """Of the six column groups at the arcs of the measured run."""
    return GroupParameters(
        group=GROUPS,
        l2=np.array([0.5879, 0.572, 0.5879, 0.5899, 0.574, 0.5899]),
        two_theta=np.array([2.11184839, 1.8256144, 1.53763507, 1.44338729, 1.15889862, 0.87615528]),
        azimuth=np.zeros(6),
        d_min=np.array([0.63, 0.63, 0.63, 0.63, 0.66, 0.76]),
        d_max=np.array([2.0, 2.3, 2.6, 2.8, 3.6, 4.9]),
        delta_d=WIDTHS,
        l1=15.0,
        tof_min=2546.7,
        tof_max=14105.0,
    )


@pytest.fixture(scope="session")
def peaks(silicon: Reflections, parameters: GroupParameters) -> dict[int, ExpectedPeaks]:
    return expected_peaks(silicon, parameters, options=PeakOptions(), intensity_fraction=0.02)


@dataclass(frozen=True)
class Simulator:
    """Makes focused spectra whose peaks lie where a known DIFC, DIFA and TZERO put them."""

    peaks: Mapping[int, ExpectedPeaks]
    parameters: GroupParameters

    def seen(self, group: int, *, difc: float = 1.0, difa: float = 0.0, tzero: float = 0.0) -> FloatArray:
        """d at which the peaks are seen; `difc` relative to the arbitrary one."""
        arbitrary = self.parameters.difc[int(np.searchsorted(self.parameters.group, group))]
        return tof_from_d(self.peaks[group].d, difc=difc * arbitrary, difa=difa, tzero=tzero) / arbitrary

    def spectra(
        self,
        rng: np.random.Generator | None,
        *,
        neutrons: float = 2e5,
        background: float = 1.0,
        terms: Mapping[int, Mapping[str, float]] | None = None,
    ) -> Spectra:
        """Gaussian peaks of sigma delta_d d on a flat background; without a generator the mean itself.

        Args:
            rng: Of the Poisson noise.
            neutrons: In the peaks of each group.
            background: Counts of the background for each neutron in the peaks.
            terms: difc, difa and tzero by group, as in `seen`.
        """
        edges = np.exp(np.arange(np.log(0.6), np.log(5.2), 2.8e-4))
        y = np.zeros((len(self.parameters), len(edges) - 1))
        for row, group in enumerate(self.parameters.group):
            expected = self.peaks[int(group)]
            strength = expected.f_squared * expected.multiplicity * expected.d**4
            area = neutrons * strength / strength.sum()
            centres = self.seen(int(group), **(terms or {}).get(int(group), {}))
            for a, c in zip(area, centres, strict=True):
                y[row] += a * np.diff(norm.cdf(edges, c, self.parameters.delta_d[row] * c))
            inside = (edges[:-1] >= self.parameters.d_min[row]) & (edges[1:] <= self.parameters.d_max[row])
            y[row] += neutrons * background * np.diff(edges) / np.diff(edges)[inside].sum()
            y[row, ~inside] = 0.0
        y = y if rng is None else rng.poisson(y).astype(float)
        detids = [np.array([i], np.int32) for i in range(len(y))]
        return Spectra(edges, y, np.sqrt(y), "dSpacing", detids, self.parameters.group)


@pytest.fixture(scope="session")
def simulator(peaks: dict[int, ExpectedPeaks], parameters: GroupParameters) -> Simulator:
    return Simulator(peaks, parameters)


@dataclass(frozen=True)
class Measured:
    """SNAP run 58882, silicon, not group-calibrated, and what a real Mantid's PDCalibration made of it.

    `windows` are the expected peaks with Mantid's recipe: 5 sigma of the widest peak, cut at half the distance to the
    neighbour; only peaks that Mantid did not reject. `tof` are its fitted centres (us) in the same order.
    """

    spectra: Spectra
    windows: dict[int, ExpectedPeaks]
    tof: FloatArray
    difc: FloatArray


@pytest.fixture(scope="session")
def measured(reference_data: Path) -> Measured:
    (spectra,) = read_processed(reference_data / "snap_058882_column_dspacing_pixel_calibrated.nxs").values()
    assert isinstance(spectra, Spectra)
    groups = json.loads((reference_data / "mantid" / "pdcalibration_snap_058882.json").read_text())["groups"]
    windows, tof = {}, []
    for group, width in zip(groups, WIDTHS, strict=True):
        d = np.array([peak["d"] for peak in group["peaks"]])
        half = np.diff(d) / 2.0
        low = d - np.minimum(5.0 * width * d.max(), np.concatenate([half[:1], half]))
        high = d + np.minimum(5.0 * width * d.max(), np.concatenate([half, half[-1:]]))
        kept = [i for i, peak in enumerate(group["peaks"]) if peak["centre_tof"] is not None]
        hkl = np.array([group["peaks"][i]["hkl"] for i in kept], np.int32)
        ones = np.ones(len(kept))
        windows[group["group"]] = ExpectedPeaks(
            group["group"], hkl, d[kept], ones, ones.astype(np.int32), low[kept], high[kept]
        )
        tof += [group["peaks"][i]["centre_tof"] for i in kept]
    return Measured(spectra, windows, np.array(tof), np.array([group["difc"] for group in groups]))
