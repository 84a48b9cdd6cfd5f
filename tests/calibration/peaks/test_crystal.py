"""Reflections against NCrystal's, against closed forms, and what happens to CIFs that lack something."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.errors import FileFormatError, InputError

CELL = """data_test
_cell_length_a {a}
_cell_length_b {b}
_cell_length_c {c}
_cell_angle_alpha {alpha}
_cell_angle_beta {beta}
_cell_angle_gamma {gamma}
"""
ATOMS = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
"""
SILICON_CELL = {"a": 5.43123, "b": 5.43123, "c": 5.43123, "alpha": 90, "beta": 90, "gamma": 90}
BARN = 100.0  # fm^2


def silicon_cif(
    *, position: str = "0.125 0.125 0.125", symmetry: str = "_space_group_name_H-M_alt 'F d -3 m:2'"
) -> str:
    return CELL.format(**SILICON_CELL) + symmetry + "\n" + ATOMS + f"Si1 Si {position} 0.006\n"


def asymmetric_unit(positions: list[tuple[float, float, float]], group: gemmi.SpaceGroup) -> list[gemmi.Fractional]:
    """One position of each orbit."""
    kept: list[gemmi.Fractional] = []
    for position in positions:
        images = [np.array(op.apply_to_xyz(list(position))) for op in group.operations()]
        known = [np.array(other.tolist()) for other in kept]
        if not any(np.abs((i - o + 0.5) % 1 - 0.5).max() < 1e-4 for i in images for o in known):
            kept.append(gemmi.Fractional(*position))
    return kept


def ncrystal_cif(name: str, space_group: str) -> tuple[str, list[tuple[float, float]]]:
    """A CIF of one of NCrystal's crystals, and NCrystal's own (d, sum of |F|^2 in fm^2) of it."""
    ncrystal = pytest.importorskip("NCrystal")
    info = ncrystal.createInfo(f"{name};dcutoff=0.5")
    cell = info.structure_info
    rows = [
        f"{atom.atomData.displayLabel()}{i} {atom.atomData.displayLabel()} {p.x} {p.y} {p.z} {atom.msd}"
        for atom in info.atominfos
        for i, p in enumerate(asymmetric_unit(list(atom.positions), gemmi.SpaceGroup(space_group)))
    ]
    text = CELL.format(**{k: cell[k] for k in SILICON_CELL}) + f"_space_group_name_H-M_alt '{space_group}'\n" + ATOMS
    expected = [(d, multiplicity * f2 * BARN) for *_, multiplicity, d, f2 in info.hklList()]
    return text + "\n".join(rows) + "\n", expected


@pytest.mark.parametrize(
    ("name", "space_group"),
    [
        ("Si_sg227.ncmat", "F d -3 m:1"),
        ("C_sg227_Diamond.ncmat", "F d -3 m:1"),
        ("Al2O3_sg167_Corundum.ncmat", "R -3 c:H"),
        ("ZnO_sg186_ZincOxide.ncmat", "P 63 m c"),
        ("SiC-beta_sg216_BetaSiliconCarbide.ncmat", "F -4 3 m"),
        ("ZrO2_sg14_Zirconia.ncmat", "P 1 21/c 1"),
    ],
)
def test_agrees_with_ncrystal(name: str, space_group: str) -> None:
    """d and |F|^2 multiplicity of every reflection above a thousandth of the strongest, cubic to monoclinic."""
    text, expected = ncrystal_cif(name, space_group)
    ours = reflections_from_cif(text, d_min=0.55, d_max=100.0, source=name)
    strength = ours.f_squared * ours.multiplicity
    d, theirs = np.array(expected).T
    for d_i, strength_i in zip(ours.d, strength, strict=True):
        same = np.abs(d / d_i - 1) < 1e-6
        if strength_i > 1e-3 * strength.max():
            assert theirs[same].sum() == pytest.approx(strength_i, rel=5e-3), d_i
    in_range = (d > 0.56) & (theirs > 1e-3 * theirs.max())
    assert all(np.abs(ours.d / d_i - 1).min() < 1e-6 for d_i in d[in_range])
    assert theirs[d > 0.56].sum() == pytest.approx(strength[ours.d > 0.56].sum(), rel=2e-3)


def test_silicon_has_the_closed_form() -> None:
    """d = a / sqrt(h2 + k2 + l2), |F|^2 = 64 or 32 b^2 exp(-4 pi^2 U / d^2), multiplicities of m-3m."""
    silicon = reflections_from_cif(silicon_cif(), d_min=0.9, d_max=100.0)
    expected = {(1, 1, 1): (32, 8), (2, 2, 0): (64, 12), (3, 1, 1): (32, 24), (4, 0, 0): (64, 6), (3, 3, 1): (32, 24)}
    found = {tuple(h): i for i, h in enumerate(silicon.hkl.tolist())}
    b = 4.1491
    for hkl, (factor, multiplicity) in expected.items():
        i = found[hkl]
        d = 5.43123 / np.sqrt(np.sum(np.square(hkl)))
        assert silicon.d[i] == pytest.approx(d, rel=1e-12)
        assert silicon.f_squared[i] == pytest.approx(factor * b**2 * np.exp(-4 * np.pi**2 * 0.006 / d**2), rel=1e-6)
        assert silicon.multiplicity[i] == multiplicity
    assert (2, 0, 0) not in found
    assert (2, 2, 2) not in found


def test_triclinic_cell_against_the_direct_sum() -> None:
    """d from the metric tensor and F summed over the atoms, every hkl of the sphere counted by itself."""
    lengths, angles = np.array([4.1, 5.3, 6.2]), np.radians([98.0, 107.0, 81.0])
    cosines = np.cos(angles)
    metric = np.outer(lengths, lengths) * np.array(
        [[1, cosines[2], cosines[1]], [cosines[2], 1, cosines[0]], [cosines[1], cosines[0], 1]]
    )
    atoms = {"Al": ([0.11, 0.23, 0.37], 3.449, 0.01), "O": ([0.62, 0.81, 0.05], 5.803, 0.02)}
    cell = dict(zip(SILICON_CELL, [*lengths, *np.degrees(angles)], strict=True))
    rows = [f"{n}1 {n} {p[0]} {p[1]} {p[2]} {u}" for n, (p, _, u) in atoms.items()]
    text = CELL.format(**cell) + "_space_group_name_H-M_alt 'P -1'\n" + ATOMS + "\n".join(rows) + "\n"
    ours = reflections_from_cif(text, d_min=1.0, d_max=10.0)
    hkl = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), axis=-1).reshape(-1, 3)
    hkl = hkl[np.any(hkl != 0, axis=1)]
    d = 1 / np.sqrt(np.einsum("ni,ij,nj->n", hkl, np.linalg.inv(metric), hkl))
    hkl, d = hkl[d >= 1.0], d[d >= 1.0]
    amplitude = sum(
        2 * b * np.cos(2 * np.pi * hkl @ p) * np.exp(-2 * np.pi**2 * u / d**2) for p, b, u in atoms.values()
    )
    assert ours.multiplicity.sum() == len(d)
    for i, d_i in enumerate(ours.d):
        expected = np.sum(amplitude[np.abs(d / d_i - 1) < 1e-7] ** 2)
        assert ours.f_squared[i] * ours.multiplicity[i] == pytest.approx(expected, rel=1e-6, abs=1e-4)


def test_coincident_reflections_are_summed() -> None:
    """511 (24) and 333 (8) lie at one d: one entry with multiplicity 32."""
    silicon = reflections_from_cif(silicon_cif(), d_min=1.04, d_max=1.05)
    assert silicon.hkl.tolist() == [[5, 1, 1]]
    assert silicon.multiplicity.tolist() == [32]


def test_limits_are_included_and_d_ascends() -> None:
    silicon = reflections_from_cif(silicon_cif(), d_min=5.43123 / 4, d_max=5.43123 / np.sqrt(3))
    assert silicon.hkl.tolist() == [[4, 0, 0], [3, 1, 1], [2, 2, 0], [1, 1, 1]]


def test_origin_follows_the_atoms_where_the_name_leaves_it_open() -> None:
    """'F d -3 m' with silicon at the origin means origin 1; at 1/8 1/8 1/8 origin 2: the same crystal."""
    open_name = "_space_group_name_H-M_alt 'F d -3 m'"
    first = reflections_from_cif(silicon_cif(position="0 0 0", symmetry=open_name), d_min=0.8, d_max=10.0)
    second = reflections_from_cif(silicon_cif(symmetry=open_name), d_min=0.8, d_max=10.0)
    assert first.hkl.tolist() == second.hkl.tolist()
    np.testing.assert_allclose(first.f_squared, second.f_squared, rtol=1e-9)


def test_symmetry_operations_alone_are_enough() -> None:
    operations = [op.triplet() for op in gemmi.SpaceGroup("F d -3 m:1").operations()]
    loop = "loop_\n_space_group_symop_operation_xyz\n" + "\n".join(f"'{op}'" for op in operations)
    listed = reflections_from_cif(silicon_cif(position="0 0 0", symmetry=loop), d_min=0.8, d_max=10.0)
    named = reflections_from_cif(silicon_cif(), d_min=0.8, d_max=10.0)
    np.testing.assert_allclose(listed.f_squared, named.f_squared, rtol=1e-9)
    assert listed.multiplicity.tolist() == named.multiplicity.tolist()


def test_anisotropic_displacements_become_the_equivalent_isotropic_ones() -> None:
    aniso = """loop_
_atom_site_aniso_label
_atom_site_aniso_U_11
_atom_site_aniso_U_22
_atom_site_aniso_U_33
_atom_site_aniso_U_12
_atom_site_aniso_U_13
_atom_site_aniso_U_23
Si1 0.006 0.006 0.006 0 0 0
"""
    text = silicon_cif().replace(" 0.006\n", " ?\n") + aniso
    isotropic = reflections_from_cif(silicon_cif(), d_min=0.8, d_max=10.0)
    np.testing.assert_allclose(
        reflections_from_cif(text, d_min=0.8, d_max=10.0).f_squared, isotropic.f_squared, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (silicon_cif(symmetry=""), "space group"),
        (silicon_cif(symmetry="_space_group_name_H-M_alt 'Q 5'"), "space group"),
        (silicon_cif().replace("_cell_length_a", "_cell_length_x"), "unit cell"),
        (silicon_cif().replace("_cell_length_b 5.43123", "_cell_length_b ?"), "unit cell"),
        (silicon_cif().split("loop_")[0], "no atoms"),
        (silicon_cif().replace("Si1 Si", "Q1 Q"), "no element"),
        ("not a CIF at all", "readable"),
        ("", "unit cell"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(text: str, words: str) -> None:
    with pytest.raises(FileFormatError, match=words) as caught:
        reflections_from_cif(text, d_min=0.5, d_max=10.0, source="Si.cif")
    assert caught.value.fix


@pytest.mark.parametrize(("d_min", "d_max"), [(2.0, 1.0), (0.0, 1.0), (1.0, 1.0), (4.0, 9.0), (float("nan"), 2.0)])
def test_empty_range_is_an_input_error(d_min: float, d_max: float) -> None:
    with pytest.raises(InputError, match="d-spacing range"):
        reflections_from_cif(silicon_cif(), d_min=d_min, d_max=d_max)
