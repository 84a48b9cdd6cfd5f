"""The moderator's profile: versions on disk, which of them applies, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.groups.pattern.fit import PROFILE_NAMES, UNKNOWN_PROFILE
from snapcal_workbench.calibration.types import ModeratorProfile
from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.instrument.moderator import moderator_profile, write_moderator_profile
from snapcal_workbench.options import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(instrument_parameters=tmp_path)


def profile(rise: float) -> ModeratorProfile:
    value = UNKNOWN_PROFILE.value.copy()
    value[0] = rise
    return ModeratorProfile(PROFILE_NAMES, value, 0.01 * UNKNOWN_PROFILE.covariance, ("58882", "58885"))


def test_nothing_is_known_before_something_is_learned(settings: Settings) -> None:
    assert moderator_profile(settings, "58882").version == 0


def test_the_newest_version_that_applies_counts(settings: Settings) -> None:
    for first, rise in ((50000, -0.1), (58000, -0.2), (60000, -0.3)):
        write_moderator_profile(settings, profile(rise), first)
    for run, version, rise in (("57999", 1, -0.1), ("58882+58885", 2, -0.2), (60000, 3, -0.3)):
        found = moderator_profile(settings, run)
        assert (found.version, found.value[0]) == (version, rise)
        assert found.runs == ("58882", "58885")
        np.testing.assert_array_equal(found.covariance, profile(rise).covariance)
    assert moderator_profile(settings, "49999").version == 0


def test_a_version_is_never_changed(settings: Settings) -> None:
    first = write_moderator_profile(settings, profile(-0.1), 1)
    before = first.read_bytes()
    second = write_moderator_profile(settings, profile(-0.2), 1)
    assert second != first
    assert first.read_bytes() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "something else"),
        ("value", [0.0]),
        ("names", ["a"] * 8),
        ("covariance", [[0.0] * 8] * 8),
        ("covariance", [[1.0], [1.0, 2.0]]),
        ("covariance", [[float("inf")] * 8] * 8),
        ("version", "one"),
    ],
)
def test_a_damaged_version_is_told(settings: Settings, field: str, value: object) -> None:
    path = write_moderator_profile(settings, profile(-0.1), 1)
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(FileFormatError) as error:
        moderator_profile(settings, 58882)
    assert str(path) in error.value.what
