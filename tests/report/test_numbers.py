from __future__ import annotations

import pytest

from snapcal_workbench.report.numbers import fixed, number, percent, ppm, with_error


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1.00"), (-12.345, "−12.3"), (123456.7, "123,457"), (0.01234, "0.0123"), (1e-9, "1.00e−9"),
        (999.6, "1,000"), (float("nan"), "–"), (float("inf"), "–"), (None, "–"),
    ],
)  # fmt: skip
def test_three_digits_that_mean_something(value, text):
    assert number(value) == text


def test_fixed_decimals_have_a_real_minus_and_no_negative_zero():
    assert fixed(-1234.567, 2) == "−1,234.57"
    assert fixed(-0.001, 1) == "0.0"
    assert fixed(float("nan"), 3) == "–"


def test_ppm_keeps_a_decimal_where_it_matters():
    assert ppm(3.21e-6) == "3.2"
    assert ppm(-123.4e-6) == "−123"
    assert ppm(float("nan")) == "–"


def test_percent_does_not_round_a_few_pixels_to_none():
    assert percent(3, 18432) == "0.02 %"
    assert percent(0, 18432) == "0.0 %"
    assert percent(1, 4) == "25.0 %"
    assert percent(0, 0) == "–"


def test_error_is_left_out_where_there_is_none():
    assert with_error(-3.14159, 0.02, 2) == "−3.14 ± 0.02"
    assert with_error(1.0, float("nan"), 1) == "1.0"
