"""The file of known phases against crystallography that does not come from it."""

from __future__ import annotations

import NCrystal
import numpy as np
import pytest

from snapcal_workbench.calibration.phases.known import known_phases, strengths

LIBRARY = {
    "lead": "Pb_sg225.ncmat",
    "aluminium": "Al_sg225.ncmat",
    "vanadium": "V_sg229.ncmat",
    "copper": "Cu_sg225.ncmat",
    "iron": "Fe_sg229_Iron-alpha.ncmat",
    "gold": "Au_sg225.ncmat",
    "platinum": "Pt_sg225.ncmat",
    "magnesium oxide": "MgO_sg225_Periclase.ncmat",
    "diamond": "C_sg227_Diamond.ncmat",
    "nickel": "Ni_sg225.ncmat",
    "silicon": "Si_sg227.ncmat",
    "corundum": "Al2O3_sg167_Corundum.ncmat",
}
"""The phases that NCrystal's own data library has, from other sources than ours."""


@pytest.mark.parametrize(("name", "file"), LIBRARY.items())
def test_reflections_agree_with_another_library(name: str, file: str) -> None:
    """Strong reflections: d to 0.3 % (cells of other authors), relative |F|^2 to a tenth."""
    phase = next(p for p in known_phases() if p.name == name)
    ours = phase.reflections(1.0, 5.0)
    theirs = [(plane.d, plane.f2 * plane.multiplicity) for plane in NCrystal.createInfo(f"stdlib::{file}").hklObjects()]
    d, strength = np.array(theirs).T
    for k in np.flatnonzero(strengths(ours) > 0.1):
        near = np.abs(d / ours.d[k] - 1) < 0.003
        assert near.any(), f"{name}: no reflection near {ours.d[k]:.4f} A"
        whole = np.abs(d / ours.d[0] - 1) < 0.003
        ratio = strength[near].sum() / strength[whole].sum()
        own = ours.f_squared * ours.multiplicity
        assert own[k] / own[np.abs(ours.d / ours.d[0] - 1) < 0.003].sum() == pytest.approx(ratio, rel=0.15)


def test_every_phase_has_a_source_and_peaks_unless_it_says_so() -> None:
    names = [phase.name for phase in known_phases()]
    assert len(set(names)) == len(names)
    for phase in known_phases():
        assert phase.source
        assert phase.met_as
        found = phase.reflections(0.6, 6.0)
        if phase.coherent:
            assert found.f_squared.max() > 0.3


def test_the_null_alloy_has_no_coherent_peaks() -> None:
    """Mean scattering length 0.676 Ti (-3.438 fm) + 0.324 Zr (7.16 fm), Sears 1992: 0 within 0.01 fm."""
    alloy = next(phase for phase in known_phases() if not phase.coherent)
    assert alloy.reflections(1.0, 4.0).f_squared.max() < 4 * 0.01
    assert pytest.approx(0.0, abs=0.01) == 0.676 * -3.438 + 0.324 * 7.16
