"""The verdict as a function of the evidence: which word, and that every reason is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.types import Verdict, as_dict, from_dict
from snapcal_workbench.calibration.types.sample import CalibrantIndex, CellShift, Foreign, ForeignPeak, FoundPhase
from snapcal_workbench.calibration.verdict import Evidence, GroupEvidence, judge

FINE = GroupEvidence(group=1, peaks=9, error_ppm=20.0, strain_ppm=5.0, spread_ppm=80.0, pixels=1000, masked=10)
SILICON = CalibrantIndex("silicon", True, 0.97, 0.0, 0.001, 12.0)
GOOD = Evidence(groups=(FINE, replace(FINE, group=2)), index=SILICON, foreign=Foreign(), course="Converged.")


def with_group(**changes: float) -> Evidence:
    return replace(GOOD, groups=(FINE, replace(FINE, group=2, **changes)))  # type: ignore[arg-type]


def test_a_good_calibration_has_no_reasons() -> None:
    found = judge(GOOD)
    assert (found.word, found.reasons) == ("good", ())
    assert [group.word for group in found.groups] == ["good", "good"]
    assert found.text == "Converged. Verdict: good."
    assert found.savable


@pytest.mark.parametrize(
    ("changes", "word", "said"),
    [
        ({"error_ppm": 49.0}, "good", ""),
        ({"error_ppm": 60.0}, "usable", "known to 120 ppm"),
        ({"error_ppm": 510.0}, "not to be used", "known to 1020 ppm"),
        ({"error_ppm": np.nan}, "usable", "not known"),
        ({"strain_ppm": -150.0}, "usable", "-150 ppm off"),
        ({"strain_ppm": 1200.0}, "not to be used", "+1200 ppm off"),
        ({"spread_ppm": 400.0}, "usable", "spread by 400 ppm"),
        ({"spread_ppm": 2000.0}, "not to be used", "spread by 2000 ppm"),
        ({"foreseen_ppm": 350.0}, "usable", "missed by 350 ppm"),
        ({"chi2": 100.0}, "not to be used", "chi-squared of 100"),
        ({"peaks": 3}, "usable", "only 3 usable peaks"),
        ({"peaks": 1}, "not to be used", "only 1 usable peaks"),
        ({"masked": 300}, "usable", "30% of its pixels"),
        ({"masked": 600}, "not to be used", "60% of its pixels"),
    ],
)
def test_a_group_is_judged_by_its_figures(changes: dict[str, float], word: str, said: str) -> None:
    """The whole is as good as its worst group in use."""
    found = judge(with_group(**changes))
    assert found.word == found.groups[1].word == word
    assert found.groups[0].word == "good"
    assert said in " ".join(found.reasons)
    assert all(reason.endswith(".") for reason in found.groups[1].reasons)


def test_a_group_without_peaks_is_masked_and_does_not_spoil_the_others() -> None:
    found = judge(with_group(peaks=0, masked=1000))
    assert (found.word, found.groups[1].word) == ("usable", "not to be used")
    assert judge(replace(GOOD, groups=(replace(FINE, peaks=0),))).word == "not to be used"


def test_another_crystal_is_not_to_be_used() -> None:
    found = judge(replace(GOOD, index=CalibrantIndex("diamond", False, 0.06, 0.0, 0.0, 2.0)))
    assert (found.word, found.savable) == ("not to be used", False)
    assert "diamond explains 6% of the counts" in found.reasons[0]
    assert judge(replace(GOOD, index=None)).word == "usable"
    empty = judge(replace(GOOD, index=CalibrantIndex("diamond", False, 1.0, 0.0, 0.0, 2.0, faint=True)))
    assert empty.word == "not to be used"
    assert empty.reasons[0].startswith("The run has no Bragg peaks")


def test_other_phases_are_told_with_their_part() -> None:
    lead = FoundPhase("lead", "Pb", 0.99, 0.25, 0.0)
    peaks = (ForeignPeak(2.83, 0.2, (1, 2), 1e-4, "lead"), ForeignPeak(1.43, 0.05, (1,), 1e-4, "lead"))
    found = judge(replace(GOOD, foreign=Foreign(peaks, (lead,))))
    assert found.word == "usable"
    assert "lead, cell -1.00 %" in found.reasons[0]
    unknown = replace(GOOD, foreign=Foreign((ForeignPeak(2.4, 0.2, (1, 2), 1e-4),)))
    assert judge(unknown).word == "not to be used"
    assert "d = 2.400 A" in judge(unknown).reasons[0]


@pytest.mark.parametrize(("scale", "cell"), [(0.99996, "0.00"), (1.00004, "0.00"), (0.9999, "-0.01"), (1.0, "0.00")])
def test_a_cell_that_rounds_to_no_change_has_no_sign(scale: float, cell: str) -> None:
    assert FoundPhase("lead", "Pb", scale, 0.25, 0.0).text == f"lead, cell {cell} %, 25% of the counts in peaks"


def test_modules_that_moved_or_were_lost_are_told() -> None:
    cells = (CellShift(4, "moved", 0.04, 12.0, 0.98), CellShift(7, "lost", 0.0, 2.0, 0.1))
    found = judge(replace(GOOD, cells=cells))
    assert found.word == "usable"
    assert "4 (+4.00 %)" in " ".join(found.reasons)
    assert "not on the calibrant's pattern: 7" in " ".join(found.reasons)


def test_the_gravest_reason_comes_first() -> None:
    other = replace(SILICON, fits=False)
    found = judge(replace(with_group(peaks=3), index=other, unconverged=("It may move further.",)))
    assert found.word == "not to be used"
    assert found.reasons[0].startswith("The data are not of the calibrant")
    assert "It may move further." in found.reasons


def test_reasons_of_groups_that_differ_in_numbers_only_are_told_in_one_sentence() -> None:
    groups = [replace(FINE, group=group, error_ppm=error) for group, error in ((1, 70.0), (2, 120.0), (3, 55.0))]
    found = judge(replace(GOOD, groups=(*groups, replace(FINE, group=4, peaks=3), replace(FINE, group=5))))
    assert len(found.reasons) == 4, "the record keeps them by group"
    allowed = "(two standard errors) (100 allowed in a good one)."
    assert found.told == (
        f"Groups 1, 2, 3: Its scale is known to 110 … 240 ppm {allowed}",
        "Group 4: It has only 3 usable peaks (4 or more are better).",
    )


def test_reasons_of_other_weight_or_direction_stay_apart_or_show_it() -> None:
    strained = [replace(FINE, group=group, strain_ppm=strain) for group, strain in ((1, -300.0), (2, 400.0), (3, 2e3))]
    first, second = judge(replace(GOOD, groups=tuple(strained))).told
    assert first.startswith("Group 3: Its peaks lie +2000 ppm off")
    assert second.startswith("Groups 1, 2: Its peaks lie -300 … +400 ppm off")


def test_a_verdict_goes_through_json() -> None:
    found = judge(with_group(peaks=3))
    assert from_dict(Verdict, as_dict(found)) == found


def test_a_group_in_use_without_a_peak_that_checks_it_spoils_the_whole() -> None:
    found = judge(with_group(peaks=0))
    assert found.word == "not to be used"
    assert "Group 2: It has no peaks that can be used." in found.reasons
