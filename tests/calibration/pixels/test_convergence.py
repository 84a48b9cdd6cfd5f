"""The loop with toy steps whose increments are known."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.pixels.convergence import Increments, converge
from snapcal_workbench.errors import Cancelled
from snapcal_workbench.progress import Progress

LABEL = np.array([1, 1, 1, 2, 2, 2], np.int32)
IN_USE = np.ones(6, bool)


def steps(*sizes, pattern=(1, -1, 1, -1, 1, -1)):
    """A step whose pass k changes every item by size k times the pattern; the state counts the passes."""

    def step(state, number, progress):
        assert state == number - 1
        return number, Increments(sizes[number - 1] * np.array(pattern, float), IN_USE, LABEL)

    return step


def run(step, **options):
    return converge(0, step, **{"threshold": 0.5, "max_passes": 5, "progress": Progress(), **options})


def test_stops_as_soon_as_the_increments_are_below_the_threshold():
    result = run(steps(4.0, 1.0, 0.2, 0.1))
    assert result.stop == "converged"
    assert [p.measure for p in result.passes] == [4.0, 1.0, 0.2]
    assert result.kept.state == 3


def test_a_symmetric_spread_does_not_converge_at_once():
    """The median of signed increments is 0 here, which is what SNAPRed's criterion would see."""
    result = run(steps(4.0, 0.1, pattern=(1, -1, 1, -1, 1, -1)))
    assert len(result.passes) == 2


def test_a_bad_part_keeps_the_loop_going_even_if_the_whole_is_small():
    result = run(steps(1.0, 0.1, pattern=(0, 0, 0, 0.2, 2, 2)))
    assert result.passes[0].measure < 0.5
    assert result.passes[0].part_measures == {1: 0.0, 2: 2.0}
    assert (result.stop, len(result.passes)) == ("converged", 2)


def test_items_not_in_use_do_not_count():
    increments = Increments(np.array([9.0, 9.0, 1.0, 0.0]), np.array([False, False, True, True]), LABEL[:4])
    assert increments.measure == 0.5
    assert increments.part_measures == {1: 1.0, 2: 0.0}


def test_the_largest_number_of_passes_is_a_stated_reason_not_a_success():
    result = run(steps(4.0, 3.9, 3.8), max_passes=3)
    assert result.stop == "max iterations"
    assert "without converging" in result.message
    assert result.kept.number == 3


def test_growing_increments_stop_the_loop_and_the_best_pass_is_kept():
    result = run(steps(4.0, 2.0, 3.5, 9.0))
    assert result.stop == "diverging"
    assert len(result.passes) == 3
    assert result.kept.state == 2
    assert "pass 2" in result.message


def test_a_slight_growth_is_not_divergence_and_the_smallest_is_kept():
    result = run(steps(4.0, 1.0, 1.2, 1.1), max_passes=4)
    assert result.stop == "max iterations"
    assert result.kept.number == 2


def test_nothing_in_use_ends_as_diverging():
    def step(state, number, progress):
        in_use = IN_USE if number == 1 else ~IN_USE
        return number, Increments(np.full(6, 2.0), in_use, LABEL)

    result = run(step)
    assert result.stop == "diverging"
    assert result.kept.number == 1


@pytest.mark.parametrize("inside", [False, True])
def test_cancel_says_in_which_pass_and_keeps_nothing(inside):
    cancelled = []

    def step(state, number, progress):
        if number == 2 and inside:
            cancelled.append(True)
            progress.check()
        if number == 1 and not inside:
            cancelled.append(True)
        return number, Increments(np.full(6, 4.0 / number), IN_USE, LABEL)

    with pytest.raises(Cancelled, match="pass 2"):
        run(step, progress=Progress(is_cancelled=lambda: bool(cancelled)))


def test_progress_of_the_passes_follows_one_another():
    seen = []

    def step(state, number, progress):
        progress.report(1.0)
        return number, Increments(np.full(6, 4.0), IN_USE, LABEL)

    run(step, max_passes=4, progress=Progress(lambda fraction, _: seen.append(fraction)))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
