"""Tables of the joint fit: which position models were tried, and what DIFC refers to."""

from __future__ import annotations

from snapcal_workbench.calibration.types.pattern import JointAccount
from snapcal_workbench.report.numbers import fixed, with_error
from snapcal_workbench.report.tables import Table

_CONVENTIONS = {
    "maximum": "DIFC is that of a peak's maximum, as in Mantid's peak fits. For T0, as GSAS-II takes it, subtract",
    "T0": "DIFC is that of T0, where a peak's exponentials meet, as GSAS-II takes it. For the maximum, as Mantid's "
    "peak fits take it, add",
}


def predictions_table(joint: JointAccount) -> Table:
    """One row a position model, in the order in which they were tried."""
    heads = ("Position model", "Terms", "Held-out peaks", "Foreseen within (ppm, rms)", "Better by", "Kept")
    rows = [
        (
            p.model,
            str(p.terms),
            str(p.peaks),
            fixed(p.rms_ppm, 0),
            with_error(p.gain, p.gain_error, 1) if i else "",
            "yes" if p.kept else "no",
        )
        for i, p in enumerate(joint.predictions)
    ]
    return Table(heads, rows, caption="Position models", words=frozenset({0, 5}))


def fit_text(joint: JointAccount) -> str:
    """What was fitted, how well it describes the patterns, and whose errors its figures have."""
    text = f"Joint fit with the position model {joint.model}, chi-squared {joint.chi2:.2f}."
    if joint.error_factor > 1.0:
        text += f" Errors are those of the counts times {joint.error_factor:.2f}, as held-out peaks ask for."
    return text


def convention_text(joint: JointAccount) -> str:
    """What DIFC refers to, and what the other convention takes."""
    return _CONVENTIONS[joint.convention]


def convention_table(joint: JointAccount) -> Table:
    """How much later than T0 a peak is highest: one row a group, one column a d-spacing, ppm of TOF."""
    d = sorted({item.d for item in joint.later})
    groups = sorted({item.group for item in joint.later})
    cell = {(item.group, item.d): item.ppm for item in joint.later}
    rows = [(str(g), *(fixed(cell[g, x], 0) if (g, x) in cell else "" for x in d)) for g in groups]
    heads = ("Group", *(f"d = {x:g} Å (ppm)" for x in d))
    return Table(heads, rows, caption="Maximum later than T0")
