"""Phases that may be in the beam beside the calibrant.

Those that users meet are in `known_phases.json` (cells with their sources); others are calibrants that a facility has.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.calibration.types import FloatArray, Reflections

COMPRESSION = (-0.05, 0.015)
"""Range of ln(a / a0) in which a phase is looked for: lead (the softest metal here) at 10 GPa has -0.05, hot aluminium
+0.015. With half of it a marker under load is not found, with twice copper and austenitic steel are any fcc metal."""


@dataclass(frozen=True)
class KnownPhase:
    """A phase that may be in the beam.

    Attributes:
        name: In words; formula: chemical.
        space_group: Hermann-Mauguin symbol.
        cell: a, b, c in A and alpha, beta, gamma in degrees.
        atoms: (element, x, y, z, occupancy).
        u_iso: A^2.
        coherent: False where the nuclei's coherent scattering cancels, so that there are no peaks.
        met_as: What it is used for.
        source: Of the cell.
    """

    name: str
    formula: str
    space_group: str
    cell: tuple[float, float, float, float, float, float]
    atoms: tuple[tuple[str, float, float, float, float], ...]
    u_iso: float
    coherent: bool
    met_as: str
    source: str

    @property
    def cif(self) -> str:
        """Text of a CIF of the phase."""
        names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
        lines = ["data_phase", *(f"_cell_{name} {value}" for name, value in zip(names, self.cell, strict=True))]
        lines += [f"_space_group_name_H-M_alt '{self.space_group}'", "loop_"]
        lines += [f"_atom_site_{name}" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z")]
        lines += ["_atom_site_occupancy", "_atom_site_U_iso_or_equiv"]
        for number, (element, x, y, z, occupancy) in enumerate(self.atoms):
            lines.append(f"{element}{number} {element} {x} {y} {z} {occupancy} {self.u_iso}")
        return "\n".join(lines) + "\n"

    def reflections(self, d_min: float, d_max: float) -> Reflections:
        """Its reflections at room conditions with d_min <= d <= d_max (A)."""
        return reflections_from_cif(self.cif, d_min=d_min, d_max=d_max, source=self.name)


@dataclass(frozen=True)
class FacilityPhase:
    """A calibrant that the facility has, in the beam beside another.

    Attributes:
        name: Of the calibrant.
        cif: Text of its CIF.
    """

    name: str
    cif: str
    formula = ""
    coherent = True

    def reflections(self, d_min: float, d_max: float) -> Reflections:
        """Its reflections with d_min <= d <= d_max (A)."""
        return reflections_from_cif(self.cif, d_min=d_min, d_max=d_max, source=self.name)


AnyPhase = KnownPhase | FacilityPhase
"""Whatever may be in the beam beside the calibrant."""


def strengths(reflections: Reflections) -> FloatArray:
    """float64[n]: |F|^2 multiplicity d^4, a peak's integrated intensity for a flat incident spectrum, largest 1."""
    value = reflections.f_squared * reflections.multiplicity * reflections.d**4
    return value / value.max()


@lru_cache
def known_phases() -> tuple[KnownPhase, ...]:
    """All of them."""
    text = (resources.files("snapcal_workbench.calibration.phases") / "known_phases.json").read_text(encoding="utf-8")
    return tuple(_phase(entry) for entry in json.loads(text)["phases"])


def _phase(entry: dict) -> KnownPhase:
    cell = entry["cell"]
    a, b, c, alpha, beta, gamma = cell if len(cell) == 6 else (cell[0], cell[0], cell[0], 90.0, 90.0, 90.0)
    return KnownPhase(
        name=entry["name"],
        formula=entry["formula"],
        space_group=entry["space_group"],
        cell=(a, b, c, alpha, beta, gamma),
        atoms=tuple((element, x, y, z, occupancy) for element, x, y, z, occupancy in entry["atoms"]),
        u_iso=entry["u_iso"],
        coherent=entry.get("coherent", True),
        met_as=entry["met_as"],
        source=entry["source"],
    )
