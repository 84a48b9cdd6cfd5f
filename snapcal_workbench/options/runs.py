"""Runs as people write them: numbers, ranges of numbers ("58882-58885,58890") and NeXus files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from snapcal_workbench.errors import InputProblemError

MOST_RUNS = 200
"""Runs of one measurement. More is a slip of the key: a day has 144 runs of ten minutes, and each is read."""

MOST_DIGITS = 9
"""Of a run number. SNAP's had five in 2024; two numbers that ran into each other have ten."""

_NUMBERS = re.compile(r"[\d,\s–-]+", re.ASCII)
_PART = re.compile(r"\s*(\d+)\s*(?:[–-]\s*(\d+)\s*)?", re.ASCII)


def expand_runs(texts: Iterable[str]) -> tuple[str, ...]:
    """Runs one by one.

    Args:
        texts: Each a run number, numbers and ranges with commas between, or the path of a file, which is left as it is.

    Raises:
        InputProblemError: A number is too long, a range runs backwards or is no range, or there are too many runs.
    """
    runs: list[str] = []
    for text in texts:
        runs += _expanded(text) if _NUMBERS.fullmatch(text) and text.strip() else [text]
        _check_number(len(runs), text)
    return tuple(runs)


def _expanded(text: str) -> list[str]:
    runs: list[str] = []
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if not found:
            raise InputProblemError(
                "runs",
                "Runs are numbers and ranges of numbers with commas between.",
                found=text.strip()[:80],
                fix="Write for example 58882-58885,58890.",
            )
        for number in filter(None, found.groups()):
            check_length(number)
        runs += _range(found[1], found[2] or found[1])
    return runs


def check_length(digits: str) -> None:
    """Refuse a run number that is too long.

    Raises:
        InputProblemError: It has more than `MOST_DIGITS`.
    """
    if len(digits) > MOST_DIGITS:
        raise InputProblemError(
            "runs",
            f"A run number has at most {MOST_DIGITS} digits.",
            found=f"{len(digits)} digits: {digits[:40]}" + ("…" if len(digits) > 40 else ""),
            fix="Correct it; several runs have commas between, as in 58882,58883.",
        )


def _range(first: str, last: str) -> list[str]:
    count = int(last) - int(first) + 1
    if count < 1:
        raise InputProblemError(
            "runs",
            "A range of runs goes from the lower number to the higher.",
            found=f"{first}-{last}",
            fix=f"Write {last}-{first}, with both numbers in full.",
        )
    _check_number(count, f"{first}-{last}")
    return [first] if count == 1 else [str(number) for number in range(int(first), int(last) + 1)]


def _check_number(count: int, text: str) -> None:
    if count > MOST_RUNS:
        raise InputProblemError(
            "runs",
            f"No more than {MOST_RUNS} runs make one measurement.",
            found=f"{count:,} runs in {text.strip()}",
            fix="Name fewer runs.",
        )


Runs = Annotated[tuple[str, ...], AfterValidator(expand_runs)]
"""Runs of one measurement as a field of a model; what is given may have ranges, what is kept has none."""
