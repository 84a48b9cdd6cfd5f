"""The ranking against strain of known size, drawn from distributions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from snapcal_workbench.batch.ranking import scores
from snapcal_workbench.batch.results import Peak, Result

PEAKS = tuple((group, h, k, 1) for group in range(1, 7) for h in range(1, 4) for k in range(1, 5))


def result(strain: Mapping[Peak, float], *, run: str = "58882", grouping: str = "Column", terms: int = 0) -> Result:
    return Result(
        iteration=1,
        run_number=run,
        state_id="0" * 16,
        mode="lite",
        grouping=grouping,
        calibrant="silicon",
        word="good",
        verdict="",
        reasons=(),
        warnings=(),
        masked=0,
        n_pixels=1,
        pixel_error_ppm=100.0,
        terms=terms,
        strain=strain,
        seconds=1.0,
    )


def drawn(ppm: float, seed: int, peaks: tuple[Peak, ...] = PEAKS) -> dict[Peak, float]:
    values = np.random.default_rng(seed).normal(0.0, 1e-6 * ppm, len(peaks))
    return dict(zip(peaks, values.tolist(), strict=True))


def test_the_error_is_that_of_the_distribution_within_its_error_bar() -> None:
    pulls = []
    for seed in range(200):
        score = scores({"a": result(drawn(80.0, seed))})["a"]
        pulls.append((score.error_ppm - 80.0) / score.uncertainty_ppm)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
    assert abs(np.mean(pulls)) < 0.3


def test_a_larger_error_is_told_and_an_equal_one_is_not() -> None:
    told = 0
    for seed in range(200):
        found = scores({"a": result(drawn(80.0, seed)), "b": result(drawn(80.0, 1000 + seed))})
        assert sum(score.best for score in found.values()) == 1
        told += not all(score.as_good for score in found.values())
    assert told / 200 < 0.1, "chance alone tells one in twenty"
    far = scores({"a": result(drawn(80.0, 1)), "b": result(drawn(160.0, 2))})
    assert (far["a"].best, far["b"].as_good) == (True, False)


def test_what_is_common_to_all_peaks_cancels() -> None:
    common = drawn(300.0, 1)
    worse = {peak: np.sign(value) * np.hypot(value, 1.5e-4) for peak, value in common.items()}
    found = scores({"a": result(common), "b": result(worse)})
    assert found["a"].best
    assert not found["b"].as_good
    assert found["b"].error_ppm - found["a"].error_ppm < found["a"].uncertainty_ppm + found["b"].uncertainty_ppm


def test_leaving_out_the_worst_peaks_makes_nothing_better() -> None:
    strain = drawn(80.0, 3)
    kept = dict(sorted(strain.items(), key=lambda item: abs(item[1]))[: len(strain) * 3 // 4])
    found = scores({"all": result(strain), "some": result(kept)})
    assert found["all"].error_ppm == pytest.approx(found["some"].error_ppm)
    assert found["all"].peaks == len(kept)


def test_terms_that_fit_the_noise_are_not_rewarded() -> None:
    """Each group's mean, subtracted as one fitted term does, makes the residuals smaller but not the error."""
    plain, fitted = [], []
    for seed in range(100):
        strain = drawn(80.0, seed)
        mean = {g: np.mean([v for p, v in strain.items() if p[0] == g]) for g in range(1, 7)}
        less = {peak: float(value - mean[peak[0]]) for peak, value in strain.items()}
        plain.append(scores({"a": result(strain)})["a"].error_ppm ** 2)
        fitted.append(scores({"a": result(less, terms=6)})["a"].error_ppm ** 2)
    assert np.mean(fitted) == pytest.approx(np.mean(plain), rel=0.02)


def test_groupings_are_compared_reflection_by_reflection() -> None:
    whole = drawn(80.0, 4, tuple(peak for peak in PEAKS if peak[0] == 1))
    found = scores({"a": result(drawn(200.0, 5)), "b": result(whole, grouping="All")})
    assert found["b"].best
    assert found["a"].peaks == len(whole)


def test_runs_are_not_compared_with_each_other_and_hopeless_ones_with_none() -> None:
    few = dict(list(drawn(1.0, 6).items())[:2])
    found = scores(
        {"a": result(drawn(80.0, 1)), "b": result(drawn(20.0, 2), run="58883"), "c": result(few), "d": result({})}
    )
    assert found["a"].best
    assert found["b"].best
    assert found["a"].family != found["b"].family
    assert np.isnan(found["c"].error_ppm)
    assert np.isnan(found["d"].error_ppm)
    assert found["a"].peaks == len(PEAKS)
