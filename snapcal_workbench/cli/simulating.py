"""What the texts of `snapcal simulate` say of the sample and the modules."""

from __future__ import annotations

from collections.abc import Sequence

from snapcal_workbench.calibration.phases.known import known_phases
from snapcal_workbench.errors import InputError
from snapcal_workbench.simulation.run import SMALLEST_D
from snapcal_workbench.simulation.sample import ForeignPhase, SampleState

LARGEST_D = 20.0
"""Reflections of foreign phases up to this d-spacing, A."""


def sample_of(foreign: Sequence[str], *, texture: float, strain: float, seed: int) -> SampleState:
    """The sample that `--foreign PHASE:AMOUNT`, `--texture` and `--strain` describe."""
    return SampleState(tuple(_phase(text) for text in foreign), texture, strain, seed=seed)


def _phase(text: str) -> ForeignPhase:
    name, _, amount = text.rpartition(":")
    found = [phase for phase in known_phases() if name.strip().lower() in (phase.name, phase.formula.lower())]
    if not found:
        raise InputError(
            "A foreign phase is given as PHASE:AMOUNT, with one of the known phases.",
            found=text,
            fix=f"Known are: {', '.join(phase.name for phase in known_phases())}.",
        )
    return ForeignPhase(found[0].reflections(SMALLEST_D, LARGEST_D), _number(amount, text))


def moved_modules(texts: Sequence[str], modules: int) -> dict[int, float]:
    """Modules (from 0) and the change of ln(DIFC) of each, from MODULE:CHANGE with modules from 1 to `modules`."""
    parts = [(text, *text.partition(":")[::2]) for text in texts]
    return {module_index(module, modules): _number(change, text) for text, module, change in parts}


def module_index(text: str, modules: int) -> int:
    """Index from 0 of a module that is counted from 1."""
    if not text.strip().isdigit() or not 1 <= int(text) <= modules:
        raise InputError(f"Modules are counted from 1 to {modules}.", found=text, fix="Correct the number.")
    return int(text) - 1


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(
            "A number is needed after the colon.", found=whole, fix="For example: lead:0.4, or 4:0.04"
        ) from None
