"""The crystal that a CIF describes, read as it was meant, or refused with the line that is in the way.

A *setting* is one of the ways to choose axes and origin of a space group. gemmi knows it by names such as "F d -3 m:2"
(origin choice 2) and "R -3 m:R" (rhombohedral axes). Files write it in other ways too, or leave it open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import gemmi
import numpy as np

from snapcal_workbench.errors import FileFormatError

CELL_TOLERANCE = 2e-5
"""Relative difference of cell lengths (and of cosines) that a rounded number can make; a DIFC would be as wrong. A file
that rounds to five digits writes equal lengths equally, so half as much would do as well; twice as much is 40 ppm."""

MOST_SITES = 2000
"""Sites of atoms that are read: more than any calibrant has, and few enough to find the atoms of a cell at once."""

_SETTINGS = {"S": "1", "Z": "2", "O1": "1", "O2": "2", "HR": "H", "HS": "H"}
"""How ICSD and others mark the first and the second origin, and hexagonal axes, at the end of a name."""

_ORIGIN = re.compile(r"[\s:({\[]+(?:origin)?\s*(?:choice)?\s*([12])[\s)}\]]*$", re.IGNORECASE)
_NAME_TAGS = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M", "_space_group.name_H-M_alt")
_NUMBER_TAGS = ("_space_group_IT_number", "_symmetry_Int_Tables_number", "_space_group.IT_number")


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal with its symmetry set up.

    Attributes:
        structure: Cell, space group and atoms; occupancies per site symmetry, displacements isotropic.
        notes: What was chosen where the CIF leaves it open, one sentence each.
    """

    structure: gemmi.SmallStructure
    notes: tuple[str, ...] = ()


def read_crystal(text: str, source: str) -> Crystal:
    """The crystal of a CIF's first block with a unit cell.

    Args:
        text: Text of the CIF; a byte-order mark is passed over.
        source: Where the text comes from, for messages.

    Raises:
        FileFormatError: It cannot be read, lacks cell, atoms or space group, or these contradict each other.
    """
    cif = _Cif(text.lstrip("\ufeff"), source)
    structure = cif.structure()
    notes = cif.set_space_group(structure)
    _make_isotropic(structure)
    structure.change_occupancies_to_crystallographic()
    return Crystal(structure, notes)


class _Cif:
    """The text of a CIF, for errors that name the line."""

    def __init__(self, text: str, source: str) -> None:
        self._lines, self._source = text.splitlines(), source
        try:
            document = gemmi.cif.read_string(text)
        except (ValueError, RuntimeError) as error:
            found = re.sub(r"^string:(\d+):\S*", r"line \1:", str(error))
            raise FileFormatError(
                f"Not a readable CIF: {source}.", found=found, fix="Check the file, or export it again."
            ) from error
        block = next((b for b in document if b.find_value("_cell_length_a")), None)
        if block is None:
            raise self.wrong(
                "has no unit cell",
                "no _cell_length_a",
                "Add _cell_length_a, _b, _c and _cell_angle_alpha, _beta, _gamma.",
            )
        self.block = block

    def wrong(self, what: str, found: str, fix: str, *tags: str) -> FileFormatError:
        """The error that the CIF `what`, with the first line that has one of the tags."""
        lines = (f"line {n}: {line.strip():.100}" for n, line in enumerate(self._lines, 1) if _has_tag(line, tags))
        where = next(lines, "")
        return FileFormatError(
            f"The CIF {what}: {self._source}.", found=f"{where}; {found}" if where else found, fix=fix
        )

    def structure(self) -> gemmi.SmallStructure:
        """Cell and atoms, checked; the space group is as gemmi reads it."""
        try:
            structure = gemmi.make_small_structure_from_block(self.block)
        except (ValueError, RuntimeError) as error:
            raise self._no_cell(str(error)) from error
        cell = structure.cell
        if not cell.is_crystal() or not np.isfinite(cell.volume) or not cell.volume > 0:
            raise self._no_cell(_cell_text(cell))
        self._check_sites(structure)
        return structure

    def _no_cell(self, found: str) -> FileFormatError:
        fix = "Give the six cell parameters as numbers, in A and degrees."
        return self.wrong("has no usable unit cell", found, fix, "_cell_length_a")

    def _check_sites(self, structure: gemmi.SmallStructure) -> None:
        sites = structure.sites
        if not 0 < len(sites) <= MOST_SITES:
            raise self.wrong(
                "has no atoms" if not sites else f"has more than {MOST_SITES} atoms",
                f"{len(sites)} sites with fractional coordinates",
                "Add _atom_site_label, _atom_site_fract_x, _y and _z, of the asymmetric unit.",
                "_atom_site_fract_x",
            )
        unknown = [site.label for site in sites if site.element.atomic_number == 0]
        if unknown:
            raise self.wrong(
                "names an atom that is no element",
                ", ".join(unknown)[:200],
                "Give the element of each atom as _atom_site_type_symbol.",
                *unknown[:1],
            )
        odd = next((site for site in sites if not _is_usable(site)), None)
        if odd is not None:
            place = f"x, y, z = {odd.fract.tolist()}, occupancy {odd.occ:g}, U {odd.u_iso:g}"
            fix = "Give coordinates and an occupancy from 0 to 1 as numbers."
            raise self.wrong(f"has no usable atom {odd.label}", place, fix, odd.label)

    def set_space_group(self, structure: gemmi.SmallStructure) -> tuple[str, ...]:
        """Fill in the images of the atoms: of the listed operations, else of the Hall symbol, the name or the number.

        Returns:
            What was chosen where the CIF leaves it open.
        """
        notes: tuple[str, ...] = ()
        name, number = structure.spacegroup_hm.strip(), structure.spacegroup_number
        if structure.spacegroup is None:
            structure.spacegroup = _group_of_name(name)
        if structure.spacegroup is None and not (name or structure.spacegroup_hall or structure.symops):
            structure.spacegroup = _standard_setting(number, structure.cell)
        group = structure.spacegroup
        if group is None:
            raise self.wrong(
                "has no space group that is known",
                f"name {name!r}, Hall symbol {structure.spacegroup_hall!r}, number {number}, "
                f"{len(structure.symops)} symmetry operations",
                "Add _space_group_name_H-M_alt (for example 'F d -3 m:2') or list _space_group_symop_operation_xyz.",
                *_NAME_TAGS,
                *_NUMBER_TAGS,
            )
        self._check_number(group, number)
        self._check_cell(structure.cell, group)
        structure.setup_cell_images()
        is_open = not (structure.symops or structure.spacegroup_hall or _states_setting(name))
        if is_open:
            _choose_origin(structure)
        if is_open and not name:
            notes = (f"{self._source} has the number {number} alone: read as {structure.spacegroup.xhm()}.",)
        return notes

    def _check_number(self, group: gemmi.SpaceGroup, number: int) -> None:
        if number and number != group.number:
            raise self.wrong(
                "states two space groups",
                f"{group.xhm()}, which is number {group.number}, and number {number}",
                "Correct name, operations or number.",
                *_NUMBER_TAGS,
            )

    def _check_cell(self, cell: gemmi.UnitCell, group: gemmi.SpaceGroup) -> None:
        if not _fits(cell, group):
            raise self.wrong(
                "has a cell that contradicts its space group",
                f"cell {_cell_text(cell)}; space group {group.xhm()} ({group.crystal_system_str()}: {_rule(group)})",
                "Correct the cell or the space group: one of them has a typing error.",
                "_cell_length_a",
            )


def _has_tag(line: str, tags: tuple[str, ...]) -> bool:
    words = line.split(maxsplit=1)
    return bool(words) and words[0].lower() in {tag.lower() for tag in tags}


def _is_usable(site: gemmi.SmallStructure.Site) -> bool:
    placed = np.all(np.abs(site.fract.tolist()) <= 100)  # NaN is not
    return bool(placed and 0 <= site.occ <= 1.001 and -1 < site.u_iso < 100)


def _cell_text(cell: gemmi.UnitCell) -> str:
    names = ("a", "b", "c", "alpha", "beta", "gamma")
    return ", ".join(f"{name} = {value:g}" for name, value in zip(names, cell.parameters, strict=True))


def _states_setting(name: str) -> bool:
    return ":" in name or _group_with_setting(name) is not None


def _group_of_name(name: str) -> gemmi.SpaceGroup | None:
    return gemmi.find_spacegroup_by_name(name) or _group_with_setting(name)


def _group_with_setting(name: str) -> gemmi.SpaceGroup | None:
    """The space group of a name that ends in ICSD's mark of the setting, or in words such as "(origin choice 2)"."""
    words = name.split()
    for mark, setting in _SETTINGS.items():
        if len(words) > 1 and words[-1].upper().strip(":()") == mark:
            return gemmi.find_spacegroup_by_name(f"{' '.join(words[:-1])}:{setting}")
    origin = _ORIGIN.search(name)
    if origin and ("origin" in name.lower() or ":" in name):
        return gemmi.find_spacegroup_by_name(f"{name[: origin.start()].strip()}:{origin[1]}")
    return None


def _standard_setting(number: int, cell: gemmi.UnitCell) -> gemmi.SpaceGroup | None:
    """The standard setting of a number; of a rhombohedral group the one that the cell has."""
    if not 1 <= number <= 230:
        return None
    standard = gemmi.get_spacegroup_reference_setting(number)
    other = gemmi.find_spacegroup_by_name(f"{standard.hm}:R") if standard.ext == "H" else None
    return other if other is not None and not _fits(cell, standard) and _fits(cell, other) else standard


def _fits(cell: gemmi.UnitCell, group: gemmi.SpaceGroup) -> bool:
    """Whether every rotation of the group turns the cell into itself: R^T G R = G for the metric tensor G."""
    metric = np.array(cell.metric_tensor().as_mat33().tolist())
    size = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    rotations = np.array([op.rot for op in group.operations().sym_ops]) / gemmi.Op.DEN
    turned = np.einsum("nki,kl,nlj->nij", rotations, metric, rotations)
    return bool(np.all(np.abs(turned - metric) <= 2 * CELL_TOLERANCE * size))


def _rule(group: gemmi.SpaceGroup) -> str:
    """What the space group asks of its cell."""
    if group.ext == "R":
        return "a = b = c, alpha = beta = gamma"
    rules = {
        "cubic": "a = b = c, all angles 90",
        "tetragonal": "a = b, all angles 90",
        "orthorhombic": "all angles 90",
        "monoclinic": "two angles 90",
        "hexagonal": "a = b, alpha = beta = 90, gamma = 120",
        "trigonal": "a = b, alpha = beta = 90, gamma = 120",
    }
    return rules.get(group.crystal_system_str(), "any cell")


def _choose_origin(structure: gemmi.SmallStructure) -> None:
    """Where a name leaves two origins open, take the one that puts the atoms on the sites of higher symmetry.

    Silicon at 0 0 0 means origin 1 of "F d -3 m", at 1/8 1/8 1/8 origin 2; the wrong one doubles the atoms.
    """
    usual, name = structure.spacegroup, structure.spacegroup.hm
    if usual.ext not in "12":
        return
    fewest = len(structure.get_all_unit_cell_sites())
    structure.spacegroup = gemmi.find_spacegroup_by_name(f"{name}:{'1' if usual.ext == '2' else '2'}")
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
