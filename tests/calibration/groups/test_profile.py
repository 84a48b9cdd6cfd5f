"""One profile of the moderator from several fits: against what least squares says in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from snapcal_workbench.calibration.groups.profile import CURVED, combined_profile
from snapcal_workbench.calibration.types import ModeratorProfile

PRIOR = ModeratorProfile(("a", "b"), np.array([1.0, -1.0]), np.diag([4.0, 9.0]))


def fit(value: np.ndarray, covariance: np.ndarray) -> ModeratorProfile:
    """What a fit with the prior makes of a measurement."""
    own, before = np.linalg.inv(covariance), np.linalg.inv(PRIOR.covariance)
    total = np.linalg.inv(own + before)
    return ModeratorProfile(PRIOR.names, total @ (own @ value + before @ PRIOR.value), total)


def test_the_prior_counts_once() -> None:
    """Of two equal measurements the mean has half of their covariance, and one prior."""
    covariance = np.array([[0.5, 0.2], [0.2, 0.3]])
    value = np.array([2.0, 0.5])
    found = combined_profile([fit(value, covariance)] * 2, PRIOR, ["1", "2"])
    wanted = fit(value, 0.5 * covariance)
    np.testing.assert_allclose(found.value, wanted.value, rtol=1e-9)
    np.testing.assert_allclose(found.covariance, CURVED**2 * wanted.covariance, rtol=1e-9)
    assert found.runs == ("1", "2")


def test_runs_that_differ_have_larger_errors() -> None:
    covariance = 0.01 * np.eye(2)
    apart = [fit(np.array([x, 0.0]), covariance) for x in (0.0, 1.0, 2.0)]
    together = [fit(np.array([1.0, 0.0]), covariance)] * 3
    wide, narrow = (combined_profile(fits, PRIOR, ["1", "2", "3"]) for fits in (apart, together))
    assert wide.covariance[0, 0] > 10.0 * narrow.covariance[0, 0]
    assert wide.value[0] == pytest.approx(1.0, abs=0.05)
