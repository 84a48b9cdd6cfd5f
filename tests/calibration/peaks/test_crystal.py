"""Reflections against NCrystal's, against closed forms, and what happens to CIFs that lack something."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.errors import FileFormatError, InputError
from snapcal_workbench.progress import Progress

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


@pytest.mark.parametrize(
    ("position", "name"),
    [
        ("0 0 0", "'F d -3 m S'"),
        ("0.125 0.125 0.125", "'F d -3 m Z'"),
        ("0 0 0", "'F D 3 M S'"),
        ("0.125 0.125 0.125", "'Fd-3m Z'"),
        ("0.125 0.125 0.125", "'F d -3 m (origin choice 2)'"),
        ("0 0 0", "'F d -3 m :1'"),
        ("0.125 0.125 0.125", "'F d -3 m'\n_space_group_IT_number 227"),
        ("0.125 0.125 0.125", "?\n_space_group_IT_number 227"),
        ("0 0 0", "?\n_symmetry_Int_Tables_number 227"),
    ],
)
def test_every_way_to_write_the_setting_means_the_same_silicon(position: str, name: str) -> None:
    """ICSD's S and Z are the first and the second origin; a number alone leaves the origin to the atoms."""
    text = silicon_cif(position=position, symmetry=f"_symmetry_space_group_name_H-M {name}")
    found = reflections_from_cif(text, d_min=0.8, d_max=10.0)
    expected = reflections_from_cif(silicon_cif(), d_min=0.8, d_max=10.0)
    assert found.hkl.tolist() == expected.hkl.tolist()
    np.testing.assert_allclose(found.f_squared, expected.f_squared, rtol=1e-9)


@pytest.mark.parametrize(("position", "setting"), [("0.125 0.125 0.125", "F d -3 m:2"), ("0 0 0", "F d -3 m:1")])
def test_the_setting_of_a_number_alone_is_said(position: str, setting: str) -> None:
    said: list[str] = []
    progress = Progress(on_message=lambda _, message: said.append(message))
    text = silicon_cif(position=position, symmetry="_space_group_IT_number 227")
    reflections_from_cif(text, d_min=0.8, d_max=10.0, source="Si.cif", progress=progress)
    assert said == [f"Si.cif has the number 227 alone: read as {setting}."]


def test_rhombohedral_axes_follow_the_cell_of_a_number_alone() -> None:
    """Calcite's group 167 in both settings: the rhombohedral cell has a third of the hexagonal one's volume."""
    hexagonal = {"a": 4.9896, "b": 4.9896, "c": 17.061, "alpha": 90, "beta": 90, "gamma": 120}
    edge = np.sqrt(4.9896**2 / 3 + 17.061**2 / 9)
    angle = float(np.degrees(2 * np.arcsin(4.9896 / 2 / edge)))
    rhombohedral = dict(zip(SILICON_CELL, [edge] * 3 + [angle] * 3, strict=True))
    found = [
        reflections_from_cif(
            CELL.format(**cell) + "_space_group_IT_number 167\n" + ATOMS + "Ca Ca 0 0 0 0.006\n", d_min=1.0, d_max=10.0
        )
        for cell in (hexagonal, rhombohedral)
    ]
    np.testing.assert_allclose(found[0].d, found[1].d, rtol=1e-9)
    assert found[0].multiplicity.tolist() == found[1].multiplicity.tolist()
    np.testing.assert_allclose(found[0].f_squared, 9 * found[1].f_squared, rtol=1e-6)


def test_a_byte_order_mark_and_sites_without_a_loop_are_read() -> None:
    """One atom needs no loop: each of its items stands by itself."""
    items = {"label": "Si1", "type_symbol": "Si", "fract_x": 0.125, "fract_y": 0.125, "fract_z": 0.125}
    sites = "".join(f"_atom_site_{name} {value}\n" for name, value in {**items, "U_iso_or_equiv": 0.006}.items())
    text = "\ufeff" + silicon_cif().split("loop_")[0] + sites
    found, expected = (reflections_from_cif(t, d_min=0.8, d_max=10.0) for t in (text, silicon_cif()))
    np.testing.assert_allclose(found.f_squared, expected.f_squared, rtol=1e-9)


@pytest.mark.parametrize(
    ("group", "change", "rule"),
    [
        ("F d -3 m:2", {"b": 5.34123}, "cubic: a = b = c"),
        ("F d -3 m:2", {"b": 5.43143}, "cubic: a = b = c"),
        ("F d -3 m:2", {"gamma": 90.01}, "all angles 90"),
        ("P 4/m m m", {"a": 5.4}, "tetragonal: a = b"),
        ("P m m m", {"alpha": 91}, "orthorhombic"),
        ("P 63/m m c", {}, "gamma = 120"),
        ("R -3 c:H", {"gamma": 120, "b": 5.43}, "trigonal"),
        ("R -3 c:R", {"c": 5.44}, "a = b = c, alpha = beta = gamma"),
        ("P 1 21/c 1", {"gamma": 91}, "monoclinic"),
    ],
)
def test_a_cell_that_contradicts_its_space_group_is_refused(group: str, change: dict[str, float], rule: str) -> None:
    """A typing error of b would move DIFC by 0.4 %: cell and group are both named, and the line."""
    text = CELL.format(**{**SILICON_CELL, **change}) + f"_space_group_name_H-M_alt '{group}'\n" + ATOMS
    with pytest.raises(FileFormatError, match="contradicts its space group") as caught:
        reflections_from_cif(text + "Si1 Si 0 0 0 0.006\n", d_min=0.8, d_max=10.0, source="Si.cif")
    for words in ("line 2: _cell_length_a", group, rule):
        assert words in caught.value.found


@pytest.mark.parametrize(
    ("group", "change"),
    [
        ("P 4/m m m", {"c": 3.0}),
        ("P m m m", {"b": 4.0, "c": 3.0}),
        ("P 63/m m c", {"gamma": 120, "c": 4.0}),
        ("P 1 21/c 1", {"b": 4.0, "beta": 99.2}),
        ("P 1 1 21/b", {"b": 4.0, "gamma": 99.2}),
        ("R -3 c:R", {"alpha": 55.3, "beta": 55.3, "gamma": 55.3}),
        ("P -1", {"b": 4.0, "alpha": 80, "gamma": 99.2}),
    ],
)
def test_a_cell_that_suits_its_space_group_is_read(group: str, change: dict[str, float]) -> None:
    text = CELL.format(**{**SILICON_CELL, **change}) + f"_space_group_name_H-M_alt '{group}'\n" + ATOMS
    assert len(reflections_from_cif(text + "Si1 Si 0 0 0 0.006\n", d_min=0.8, d_max=10.0)) > 0


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("_space_group_name_H-M_alt 'F d -3 m:2'", "_space_group_name_H-M_alt 'F d -3 m Q'", "line 8: _space_group"),
        (
            "_space_group_name_H-M_alt 'F d -3 m:2'",
            "_space_group_name_H-M_alt 'F d -3 m:2'\n_space_group_IT_number 225",
            "line 9: _space_group_IT_number 225",
        ),
        ("_cell_angle_alpha 90", "_cell_angle_alpha 0", "line 2: _cell_length_a"),
        ("_cell_angle_alpha 90", "_cell_angle_alpha 180", "line 2: _cell_length_a"),
        ("_cell_length_b 5.43123", "_cell_length_b -5.43123", "line 2: _cell_length_a"),
        ("Si1 Si", "Q1 Q", "line 16: Q1 Q"),
        ("0.125 0.006", "? 0.006", "line 16: Si1 Si"),
        ("0.125 0.006", "1e308 0.006", "line 16: Si1 Si"),
        ("data_test", "data_test\nloop_\n_a\n_b\n1 2 3", "line 2: Wrong number of values"),
    ],
)
def test_the_line_of_a_mistake_is_told(old: str, new: str, found: str) -> None:
    """The line of the item that is wrong, or of the first of the items that are."""
    text = silicon_cif()
    assert old in text
    with pytest.raises(FileFormatError) as caught:
        reflections_from_cif(text.replace(old, new), d_min=0.8, d_max=10.0, source="Si.cif")
    assert found in caught.value.found
    assert "Si.cif" in caught.value.what


@pytest.mark.parametrize(
    ("edge", "d_min", "number"), [(500.0, 0.4, "4,0"), (5.43123, 0.02, "41,9"), (5.43123, 1e-300, "inf")]
)
def test_endless_reflections_are_refused_with_their_number(edge: float, d_min: float, number: str) -> None:
    """Before any is made: 4e9 and 4e7 of them, by the volume of the sphere in reciprocal space."""
    text = silicon_cif().replace("5.43123", str(edge))
    with pytest.raises(InputError, match="300,000 reflections") as caught:
        reflections_from_cif(text, d_min=d_min, d_max=10.0)
    assert caught.value.found.startswith(number)


def test_endless_atoms_are_refused_with_their_number() -> None:
    text = silicon_cif() + "".join(f"Si{i} Si 0.1 0.2 {i / 1e4} 0.006\n" for i in range(5000))
    with pytest.raises(FileFormatError, match=r"more than 2000 atoms(.|\n)*5001"):
        reflections_from_cif(text, d_min=0.8, d_max=10.0)
