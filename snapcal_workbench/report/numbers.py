"""Numbers as a scientist writes them: as many digits as mean something, a real minus sign, a dash for "none"."""

from __future__ import annotations

import math

NONE = "–"


def number(value: float | None, digits: int = 3) -> str:
    """A number with `digits` significant digits, but no fewer than it has before the point; "–" if it is not finite."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0.0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if power < -3:
        return f"{fixed(value / 10.0**power, digits - 1)}e{power}".replace("-", "−")
    return fixed(value, max(digits - 1 - power, 0))


def fixed(value: float | None, decimals: int) -> str:
    """A number with that many decimals; "–" if it is not finite."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:,.{decimals}f}"
    return (text[1:] if text.startswith("-") and not float(text.replace(",", "")) else text).replace("-", "−")


def ppm(value: float | None) -> str:
    """A relative figure (1e-6 is 1 ppm): one decimal below 10 ppm, none above."""
    if value is None or not math.isfinite(value):
        return NONE
    return fixed(1e6 * value, 1 if abs(value) < 1e-5 else 0)


def percent(part: float, whole: float) -> str:
    """`part` as a percentage of `whole`."""
    if not whole:
        return NONE
    share = 100.0 * part / whole
    return f"{share:.2f} %" if 0.0 < share < 1.0 else f"{share:.1f} %"


def with_error(value: float, error: float, decimals: int) -> str:
    """value ± error with the same decimals; without the error where there is none."""
    return fixed(value, decimals) + (f" ± {fixed(error, decimals)}" if math.isfinite(error) else "")
