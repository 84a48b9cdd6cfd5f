"""Group parameters against stored ones and plain sums; windows and overlap against their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snapcal_workbench.calibration.peaks.expected import NEGLIGIBLE, SEPARATION, expected_peaks, group_parameters
from snapcal_workbench.calibration.types import (
    ExpectedPeaks,
    FloatArray,
    Geometry,
    GroupParameters,
    ParticleBounds,
    PixelGrouping,
    PixelMask,
    Reflections,
    Resolution,
)
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.snap.geometry import snap_geometry
from snapcal_workbench.options import PRESETS, PeakOptions

BOUNDS = ParticleBounds(0.65, 3.6, 2546.74, 14105.04)
STORED_LITE = [0.002772, 0.003235, 0.004015, 0.004310, 0.005408, 0.007549]
STORED_NATIVE = [0.002774, 0.003312, 0.004041, 0.004352, 0.005616, 0.007623]


def snap(*, lite: bool) -> tuple[Geometry, PixelGrouping]:
    """SNAP with arcs -65.3 and 104.95, and its grouping by column (columns 4 to 6 run against the module numbers)."""
    geometry = snap_geometry(arc1=-65.3, arc2=104.95, lin1=0.045, lin2=0.045, lite=lite)
    column = np.arange(len(geometry)) // (len(geometry) // 6)
    return geometry, PixelGrouping(geometry.detid, np.array([1, 2, 3, 6, 5, 4], np.int32)[column], "Column")


def resolution(*, lite: bool) -> Resolution:
    width = 0.000618 * (8 if lite else 1)
    return Resolution(0.002, 6.452e-5 * 15.5, 3.2e-3, 15.0, 0.5, (width, width, 1e-4), not lite)


def parameters_of(geometry: Geometry, grouping: PixelGrouping, mask: PixelMask | None = None, **kw) -> GroupParameters:
    return group_parameters(
        geometry,
        grouping,
        mask or PixelMask.none(geometry.detid),
        resolution=resolution(lite=True),
        bounds=BOUNDS,
        options=PeakOptions(**kw),
    )


@pytest.mark.parametrize(("lite", "stored", "within"), [(True, STORED_LITE, 1.2e-5), (False, STORED_NATIVE, 6e-6)])
def test_resolution_is_the_one_that_is_stored(lite: bool, stored: list[float], within: float) -> None:
    geometry, grouping = snap(lite=lite)
    found = group_parameters(
        geometry,
        grouping,
        PixelMask.none(geometry.detid),
        resolution=resolution(lite=lite),
        bounds=BOUNDS,
        options=PeakOptions(),
    )
    np.testing.assert_allclose(found.delta_d, stored, atol=within)
    np.testing.assert_allclose(np.degrees(found.two_theta), [121.0, 104.6, 88.1, 82.7, 66.4, 50.2], atol=0.1)


def test_without_known_solid_angle_a_full_face_enters_only_where_asked() -> None:
    """Face of the pixel / L2^2, averaged with cot^2(theta): the closed form of the difference."""
    geometry, grouping = snap(lite=True)
    geometry = replace(geometry, solid_angle=None)
    mask, one = PixelMask.none(geometry.detid), resolution(lite=True)
    delta = {
        full: group_parameters(
            geometry,
            grouping,
            mask,
            resolution=replace(one, with_solid_angle=full),
            bounds=BOUNDS,
            options=PeakOptions(),
        ).delta_d
        for full in (False, True)
    }
    face = 0.004944**2 / geometry.l2**2 / np.tan(geometry.two_theta / 2) ** 2
    expected = [face[grouping.group == group].mean() for group in range(1, 7)]
    np.testing.assert_allclose(delta[True] ** 2 - delta[False] ** 2, expected, rtol=1e-9)


def test_means_and_limits_are_the_plain_sums() -> None:
    geometry, grouping = snap(lite=True)
    rng = np.random.default_rng(4)
    mask = PixelMask(geometry.detid, (rng.random(len(geometry)) < 0.3).astype(np.uint8) * 5)
    found = parameters_of(geometry, grouping, mask)
    for i, group in enumerate(found.group):
        use = (grouping.group == group) & (mask.reason == 0)
        s = np.sin(geometry.two_theta[use] / 2)
        assert found.l2[i] == pytest.approx(np.sum(s * geometry.l2[use]) / s.sum())
        assert found.two_theta[i] == pytest.approx(np.sum(s * geometry.two_theta[use]) / s.sum())
        per_tof = 3.9560339e-3 / 15.5 / 2
        assert found.d_min[i] == pytest.approx(per_tof * BOUNDS.tof_min / s.max() + 0.1, rel=1e-6)
        assert found.d_max[i] == pytest.approx(per_tof * BOUNDS.tof_max / s.min() - 0.15, rel=1e-6)


def test_masked_pixels_do_not_narrow_the_resolution() -> None:
    """Half of the pixels at random: the same resolution to a percent (Mantid's average would shrink by 1 / sqrt 2)."""
    geometry, grouping = snap(lite=True)
    mask = PixelMask(geometry.detid, (np.random.default_rng(1).random(len(geometry)) < 0.5).astype(np.uint8))
    np.testing.assert_allclose(
        parameters_of(geometry, grouping, mask).delta_d, parameters_of(geometry, grouping).delta_d, rtol=0.01
    )


def test_azimuth_across_the_cut_is_a_circular_mean() -> None:
    detid = np.arange(2, dtype=np.int32)
    angles = np.array([1.0, 1.0])
    geometry = Geometry(detid, 15.0, np.array([0.5, 0.5]), angles, np.array([np.pi - 0.1, -np.pi + 0.1]))
    found = parameters_of(geometry, PixelGrouping(detid, np.ones(2, np.int32)))
    assert abs(found.azimuth[0]) == pytest.approx(np.pi)


def test_groups_without_pixels_in_use_are_left_out() -> None:
    geometry, grouping = snap(lite=True)
    mask = PixelMask(geometry.detid, np.isin(grouping.group, [2, 5]).astype(np.uint8))
    assert parameters_of(geometry, grouping, mask).group.tolist() == [1, 3, 4, 6]


def test_all_masked_gives_no_groups() -> None:
    geometry, grouping = snap(lite=True)
    assert len(parameters_of(geometry, grouping, PixelMask(geometry.detid, np.full(len(geometry), 5, np.uint8)))) == 0


@pytest.mark.parametrize("which", ["grouping", "mask"])
def test_grouping_or_mask_of_another_size_is_an_input_error(which: str) -> None:
    geometry, grouping = snap(lite=True)
    other = np.arange(5, dtype=np.int32)
    mask = PixelMask.none(geometry.detid)
    if which == "mask":
        mask = PixelMask.none(other)
    else:
        grouping = PixelGrouping(other, np.ones(5, np.int32))
    with pytest.raises(InputError, match=f"{which} must be of the instrument's own pixels"):
        parameters_of(geometry, grouping, mask)


def crystal(*peaks: tuple[float, float]) -> Reflections:
    """Reflections at d with given strengths |F|^2 multiplicity d^4."""
    d, strength = np.array(sorted(peaks)).T
    hkl = np.stack([np.arange(len(d)) + 1, np.zeros(len(d)), np.zeros(len(d))], axis=1).astype(np.int32)
    return Reflections(hkl, d, strength / d**4, np.ones(len(d), np.int32))


SIGMA = 0.004


def one_group(d_min: float = 0.8, d_max: float = 3.0) -> GroupParameters:
    ones = np.ones(1)
    return GroupParameters(
        np.array([3], np.int32),
        0.5 * ones,
        1.6 * ones,
        0 * ones,
        d_min * ones,
        d_max * ones,
        SIGMA * ones,
        15.0,
        0.0,
        0.0,
    )


def select(reflections: Reflections, fraction: float = 0.0, excluded=(), limits=(0.8, 3.0), **options) -> ExpectedPeaks:
    return expected_peaks(
        reflections,
        one_group(*limits),
        options=PeakOptions(tail_coefficient=0.0, crystal_d_min=0.3, **options),
        intensity_fraction=fraction,
        excluded=excluded,
    )[3]


def positions(peaks: ExpectedPeaks) -> FloatArray:
    return np.round(peaks.d, 4)


def test_windows_follow_their_formulas() -> None:
    """+-3 sigma, or 1.5 sqrt(2 ln 2) sigma, and above the peak 2 / ((0.02 + 0.05 / d^4) B L sin(theta))."""
    reflections, parameters = crystal((1.3, 1.0), (2.1, 1.0)), one_group()
    for options, half in ((PeakOptions(), 3.0), (PRESETS["snapred"].peaks, 1.5 * 1.17741002252)):
        found = expected_peaks(reflections, parameters, options=options, intensity_fraction=0.0)[3]
        d = found.d
        tail = 2.0 / ((0.02 + 0.05 / d**4) * 505.55683 * 15.5 * np.sin(0.8))
        np.testing.assert_allclose(found.window_min, d - half * SIGMA * d, rtol=1e-12)
        np.testing.assert_allclose(found.window_max, d + half * SIGMA * d + tail, rtol=1e-8)


def test_weak_peaks_are_dropped_relative_to_the_whole_crystal() -> None:
    """The strongest reflection counts even where the group does not see it."""
    found = select(crystal((0.5, 100.0), (1.0, 4.9), (1.5, 5.1)), fraction=0.05)
    assert positions(found).tolist() == [1.5]
    assert found.dropped == (((2, 0, 0), 1.0, "weaker than 0.05 of the strongest reflection"),)


def test_negligible_neighbour_does_not_remove_a_strong_peak() -> None:
    """2 sigma away: SNAPRed's order drops both, ours keeps the strong one with its whole window."""
    near = 2.0 * (1 + 2 * SIGMA)
    reflections = crystal((2.0, 1.0), (near, 0.5 * NEGLIGIBLE))
    ours = select(reflections, fraction=0.1)
    assert positions(ours).tolist() == [2.0]
    assert ours.window_max[0] == pytest.approx(2.0 * (1 + 3 * SIGMA))
    snapred = select(reflections, fraction=0.1, overlap="before intensity")
    assert len(snapred) == 0
    assert [reason for *_, reason in snapred.dropped] == ["overlaps a neighbour"] * 2


def test_neighbour_too_weak_to_fit_still_disturbs() -> None:
    """Half as strong and near: it is dropped as weak, the other because of it."""
    found = select(crystal((1.0, 100.0), (2.0, 6.0), (2.0 * (1 + 3 * SIGMA), 3.0)), fraction=0.05)
    assert positions(found).tolist() == [1.0]
    assert {reason for *_, reason in found.dropped} == {
        "overlaps 3 0 0",
        "weaker than 0.05 of the strongest reflection",
    }


def test_genuinely_overlapping_peaks_are_both_dropped() -> None:
    found = select(crystal((1.2, 1.0), (2.0, 1.0), (2.0 * (1 + 0.9 * SEPARATION * SIGMA), 1.0)))
    assert positions(found).tolist() == [1.2]
    assert sorted(reason for *_, reason in found.dropped) == ["overlaps 2 0 0", "overlaps 3 0 0"]


def test_windows_of_separable_neighbours_meet_half_way() -> None:
    upper = 2.0 * (1 + 1.1 * SEPARATION * SIGMA)
    found = select(crystal((2.0, 1.0), (upper, 1.0)))
    assert len(found) == 2
    assert found.window_max[0] == found.window_min[1] == pytest.approx((2.0 + upper) / 2)


def test_snapred_compares_a_dropped_peak_no_further() -> None:
    """Of three in a row that touch, the first two are dropped and the third stays."""
    step = 2 * SIGMA
    reflections = crystal((2.0, 1.0), (2.0 * (1 + step), 1.0), (2.0 * (1 + 2 * step), 1.0))
    found = select(reflections, overlap="before intensity", window="fwhm")
    assert found.hkl[:, 0].tolist() == [3]


def test_peaks_near_the_limit_of_the_group_are_dropped_or_cut() -> None:
    low, cut = 0.8 * (1 + 2 * SIGMA), 1.2 * (1 - 2.5 * SIGMA)
    found = select(crystal((low, 1.0), (cut, 1.0)), limits=(0.8, 1.2))
    assert positions(found).tolist() == [round(cut, 4)]
    assert found.window_max[0] == pytest.approx(1.2)
    assert [reason for *_, reason in found.dropped] == ["too near to the limit of the group's d range"]


def test_windows_must_lie_within_the_range_of_the_crystal() -> None:
    found = expected_peaks(
        crystal((1.005, 1.0), (1.5, 1.0)),
        one_group(),
        options=PeakOptions(crystal_d_min=1.0),
        intensity_fraction=0.0,
    )[3]
    assert positions(found).tolist() == [1.5]
    assert [reason for *_, reason in found.dropped] == ["window outside the crystal's d range"]


def test_excluded_peaks_are_left_out_of_their_group_only() -> None:
    reflections = crystal((1.2, 1.0), (2.0, 1.0))
    assert positions(select(reflections, excluded=[(3, (1, 0, 0)), (4, (2, 0, 0))])).tolist() == [2.0]
    dropped = select(reflections, excluded=[(3, (1, 0, 0))]).dropped
    assert dropped == (((1, 0, 0), 1.2, "excluded by the user"),)


def test_a_group_without_peaks_is_there_with_none() -> None:
    assert len(select(crystal((0.5, 1.0)))) == 0


@pytest.mark.parametrize("fraction", [-0.1, 1.5, float("nan")])
def test_fraction_must_be_one(fraction: float) -> None:
    with pytest.raises(InputError, match="fraction"):
        select(crystal((1.2, 1.0)), fraction=fraction)


def test_both_presets_find_the_strong_silicon_peaks(silicon: Reflections, parameters: GroupParameters) -> None:
    """111 (groups 5 and 6), 220, 311, 331 and 422 at a threshold of 5 %, with windows apart from each other."""
    for preset in PRESETS.values():
        found = expected_peaks(silicon, parameters, options=preset.peaks, intensity_fraction=0.05)
        for group, peaks in found.items():
            names = {"".join(map(str, hkl)) for hkl in peaks.hkl.tolist()}
            assert names == {"220", "311", "331", "422"} | ({"111"} if group >= 5 else set())
            assert (np.diff(peaks.d) > 0).all()
            assert (peaks.window_max[:-1] <= peaks.window_min[1:]).all()
