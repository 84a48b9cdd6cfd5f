"""Bragg reflections of a crystal, from the text of a CIF.

|F|^2 is of the conventional unit cell, in fm^2, with neutron bound coherent scattering lengths (Sears 1992, as in
gemmi's `Neutron92`), occupancies and isotropic displacements. A powder cannot tell hkl from -h-k-l, so the
multiplicity counts the equivalents in the Laue class. Reflections that coincide in d (cubic 333 and 511) are one entry.
"""

from __future__ import annotations

import math
from dataclasses import replace

import gemmi
import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.peaks.cif import read_crystal
from snapcal_workbench.calibration.types import FloatArray, IntArray, Reflections
from snapcal_workbench.errors import InputError
from snapcal_workbench.progress import Progress

COINCIDENT = 1e-6
"""Reflections whose d differ by less than this fraction are one."""
MOST_REFLECTIONS = 300_000
"""Points of half of the reciprocal lattice that are looked at: all of silicon's down to d = 0.1 A, in a second."""
MOST_TERMS = 20_000_000
"""Terms of all structure factors, atoms times reflections: half a minute's work."""
_BASE = 1 << 20
"""Indices lie within +-BASE/2."""
EXTINCT = 1e-9
"""A reflection with less than this fraction of the largest |F|^2 is extinct."""


def reflections_from_cif(
    text: str, *, d_min: float, d_max: float, source: str = "", progress: Progress | None = None
) -> Reflections:
    """Reflections with d_min <= d <= d_max (A), in ascending d.

    Args:
        text: Text of the CIF; its first block with a unit cell is used.
        d_min: Smallest d-spacing, A.
        d_max: Largest d-spacing, A.
        source: Where the text comes from, for messages.
        progress: Is warned of what was chosen where the CIF leaves it open.

    Raises:
        FileFormatError: If the CIF cannot be read, lacks cell, atoms or space group, or contradicts itself.
        InputError: If the range is empty, holds no reflection, or too many to work with.
    """
    if not 0 < d_min < d_max:
        raise InputError(
            "The d-spacing range of the reflections must have 0 < smallest < largest.",
            found=f"{d_min:g} to {d_max:g} A",
            fix="Choose another range (crystal d min and d max).",
        )
    crystal = read_crystal(text, source or "the CIF text")
    for note in crystal.notes:
        (progress or Progress()).warn(note)
    structure = crystal.structure
    operations = structure.spacegroup.operations()
    _check_number(structure, d_min, source)
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
    return replace(_merged(hkl, d, f_squared, _multiplicity(hkl, operations)), d_min=d_min, d_max=d_max)


def _check_number(structure: gemmi.SmallStructure, d_min: float, source: str) -> None:
    """Refuse what would take all memory: half of the points of the reciprocal lattice within 1 / d_min."""
    expected = 2 / 3 * math.pi * structure.cell.volume / d_min / d_min / d_min
    terms = expected / len(structure.spacegroup.operations().sym_ops) * len(structure.get_all_unit_cell_sites())
    if expected > MOST_REFLECTIONS or terms > MOST_TERMS:
        raise InputError(
            f"A range with more than {MOST_REFLECTIONS:,} reflections (before symmetry) cannot be calibrated with.",
            found=f"{expected:,.0f} for d from {d_min:g} A and a cell of {structure.cell.volume:.0f} A^3 ({source})",
            fix="Choose a larger crystal d min, or check the cell.",
        )


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
