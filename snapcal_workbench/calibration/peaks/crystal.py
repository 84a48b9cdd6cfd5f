"""Bragg reflections of a crystal, from the text of a CIF.

|F|^2 is of the conventional unit cell, in fm^2, with neutron bound coherent scattering lengths (Sears 1992, as in
gemmi's `Neutron92`), occupancies and isotropic displacements. A powder cannot tell hkl from -h-k-l, so the
multiplicity counts the equivalents in the Laue class. Reflections that coincide in d (cubic 333 and 511) are one entry.
"""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import FloatArray, IntArray, Reflections
from snapcal_workbench.errors import FileFormatError, InputError

COINCIDENT = 1e-6
"""Reflections whose d differ by less than this fraction are one."""
_BASE = 1 << 20
"""Indices lie within +-BASE/2."""
EXTINCT = 1e-9
"""A reflection with less than this fraction of the largest |F|^2 is extinct."""


def reflections_from_cif(text: str, *, d_min: float, d_max: float, source: str = "") -> Reflections:
    """Reflections with d_min <= d <= d_max (A), in ascending d.

    Args:
        text: Text of the CIF; its first block with a unit cell is used.
        d_min: Smallest d-spacing, A.
        d_max: Largest d-spacing, A.
        source: Where the text comes from, for messages.

    Raises:
        FileFormatError: If the CIF cannot be read or lacks cell, atoms or space group.
        InputError: If the range is empty or holds no reflection.
    """
    if not 0 < d_min < d_max:
        raise InputError(
            "The d-spacing range of the reflections must have 0 < smallest < largest.",
            found=f"{d_min:g} to {d_max:g} A",
            fix="Choose another range (crystal d min and d max).",
        )
    structure = _structure(text, source or "the CIF text")
    operations = structure.spacegroup.operations()
    hkl = _unique_hkl(structure, operations, d_min=d_min, d_max=d_max)
    f_squared = _f_squared(structure, hkl)
    visible = f_squared > EXTINCT * f_squared.max(initial=0.0)
    if not visible.any():
        raise InputError(
            "The crystal has no reflection in the d-spacing range.",
            found=f"{d_min:g} to {d_max:g} A, {source or 'CIF'}",
            fix="Widen the range (crystal d min and d max).",
        )
    hkl, f_squared = hkl[visible], f_squared[visible]
    d = structure.cell.calculate_d_array(hkl)
    return _merged(hkl, d, f_squared, _multiplicity(hkl, operations))


def _structure(text: str, source: str) -> gemmi.SmallStructure:
    """The crystal of the CIF's first block with a cell, symmetry set up, occupancies per site symmetry."""
    try:
        document = gemmi.cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        raise FileFormatError(
            f"Not a readable CIF: {source}.", found=str(error), fix="Check the file, or export it again."
        ) from error
    block = next((b for b in document if b.find_value("_cell_length_a")), None)
    if block is None:
        raise FileFormatError(
            f"The CIF has no unit cell: {source}.",
            found="no _cell_length_a",
            fix="Add _cell_length_a, _b, _c and _cell_angle_alpha, _beta, _gamma.",
        )
    structure = gemmi.make_small_structure_from_block(block)
    _check_atoms(structure, source)
    _set_symmetry(structure, source)
    _make_isotropic(structure)
    structure.change_occupancies_to_crystallographic()
    return structure


def _check_atoms(structure: gemmi.SmallStructure, source: str) -> None:
    if not structure.cell.is_crystal() or not np.isfinite(structure.cell.volume):
        raise FileFormatError(
            f"The CIF has no usable unit cell: {source}.",
            found=f"{structure.cell.parameters}",
            fix="Give the six cell parameters as numbers, in A and degrees.",
        )
    if not structure.sites:
        raise FileFormatError(
            f"The CIF has no atoms: {source}.",
            found="no _atom_site_ loop with fractional coordinates",
            fix="Add _atom_site_label, _atom_site_fract_x, _y and _z.",
        )
    unknown = [site.label for site in structure.sites if site.element.atomic_number == 0]
    if unknown:
        raise FileFormatError(
            f"The CIF names an atom that is no element: {source}.",
            found=", ".join(unknown),
            fix="Give the element of each atom as _atom_site_type_symbol.",
        )


def _set_symmetry(structure: gemmi.SmallStructure, source: str) -> None:
    """Fill the cell's symmetry images: of the listed operations, else of the Hall symbol, the name or the number."""
    if structure.spacegroup is None:
        raise FileFormatError(
            f"The CIF has no space group that is known: {source}.",
            found=f"name {structure.spacegroup_hm!r}, Hall symbol {structure.spacegroup_hall!r}, "
            f"number {structure.spacegroup_number}, {len(structure.symops)} symmetry operations",
            fix="Add _space_group_name_H-M_alt (for example 'F d -3 m:2') or list _space_group_symop_operation_xyz.",
        )
    structure.setup_cell_images()
    if not (structure.symops or structure.spacegroup_hall or ":" in structure.spacegroup_hm):
        _choose_origin(structure)


def _choose_origin(structure: gemmi.SmallStructure) -> None:
    """Where a name leaves two origins open, take the one that puts the atoms on the sites of higher symmetry.

    Silicon at 0 0 0 means origin 1 of "F d -3 m", at 1/8 1/8 1/8 origin 2; the wrong one doubles the atoms.
    """
    usual, name = structure.spacegroup, structure.spacegroup.hm
    if usual.ext not in "12":
        return
    fewest = len(structure.get_all_unit_cell_sites())
    other = gemmi.find_spacegroup_by_name(f"{name}:{'1' if usual.ext == '2' else '2'}")
    structure.spacegroup = other
    structure.setup_cell_images()
    if len(structure.get_all_unit_cell_sites()) >= fewest:
        structure.spacegroup = usual
        structure.setup_cell_images()


def _make_isotropic(structure: gemmi.SmallStructure) -> None:
    """Replace anisotropic displacements by the equivalent isotropic one, unless the CIF gives that itself."""
    for site in structure.sites:
        if site.u_iso == 0 and site.aniso.nonzero():
            site.u_iso = structure.cell.calculate_u_eq(site.aniso)
        site.aniso = gemmi.SMat33d(0, 0, 0, 0, 0, 0)


def _rotations(operations: gemmi.GroupOps) -> IntArray:
    """int32[operations, 3, 3]: hkl -> hkl @ rotation, Friedel's law included."""
    rotations = np.array([op.rot for op in operations.sym_ops], dtype=np.int32) // gemmi.Op.DEN
    return np.unique(np.concatenate([rotations, -rotations]), axis=0)


def _unique_hkl(structure: gemmi.SmallStructure, operations: gemmi.GroupOps, *, d_min: float, d_max: float) -> IntArray:
    """One hkl of each set of Laue equivalents (511, not 1-5-1), those that the space group extinguishes left out.

    The range is widened by a rounding error, so that a limit that equals a reflection's d includes it.
    """
    limits = d_min * (1 - COINCIDENT), d_max * (1 + COINCIDENT)
    hkl = np.asarray(gemmi.make_miller_array(structure.cell, gemmi.SpaceGroup("P 1"), *limits), np.int32)
    hkl = hkl[~operations.systematic_absences(hkl)]
    if len(hkl) == 0:
        return hkl
    return _hkl_of(np.unique(_equivalents(hkl, operations).max(axis=0)))


def _multiplicity(hkl: IntArray, operations: gemmi.GroupOps) -> IntArray:
    """int32[n]: number of different hkl among the equivalents of each."""
    keys = np.sort(_equivalents(hkl, operations), axis=0)
    return (1 + np.count_nonzero(np.diff(keys, axis=0), axis=0)).astype(np.int32)


def _equivalents(hkl: IntArray, operations: gemmi.GroupOps) -> NDArray[np.int64]:
    """int64[operations, n]: the equivalents of each hkl as one number each, ordered as (h, k, l)."""
    place = np.array([_BASE * _BASE, _BASE, 1])
    return np.array([(hkl @ rotation + _BASE // 2) @ place for rotation in _rotations(operations)])


def _hkl_of(keys: NDArray[np.int64]) -> IntArray:
    """int32[n, 3]: the hkl of such numbers."""
    digits = np.stack([keys // (_BASE * _BASE), keys // _BASE % _BASE, keys % _BASE], axis=1)
    return (digits - _BASE // 2).astype(np.int32)


def _f_squared(structure: gemmi.SmallStructure, hkl: IntArray) -> FloatArray:
    """float64[n]: |F|^2 in fm^2."""
    calculator = gemmi.StructureFactorCalculatorN(structure.cell)
    amplitudes = [calculator.calculate_sf_from_small_structure(structure, [int(i) for i in h]) for h in hkl]
    return np.abs(np.array(amplitudes, complex)) ** 2


def _merged(hkl: IntArray, d: FloatArray, f_squared: FloatArray, multiplicity: IntArray) -> Reflections:
    """Sum coincident reflections; the hkl that stays is the strongest."""
    order = np.argsort(d, kind="stable")
    hkl, d, f_squared, multiplicity = hkl[order], d[order], f_squared[order], multiplicity[order]
    starts = np.flatnonzero(np.diff(d, prepend=-np.inf) > COINCIDENT * d)
    total = np.add.reduceat(multiplicity, starts)
    intensity = np.add.reduceat(f_squared * multiplicity, starts)
    strongest = [
        start + int(np.argmax(part))
        for start, part in zip(starts, np.split(f_squared * multiplicity, starts[1:]), strict=True)
    ]
    return Reflections(hkl[strongest], d[starts], intensity / total, total.astype(np.int32))
