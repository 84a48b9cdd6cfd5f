"""Text that would be obeyed is shown as its escape; all else stays as it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapcal_workbench.text import OBEYED, one_line, visible

ANY_TEXT = st.text(st.characters())  # with surrogates


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u202eb\u2066c\u200f", r"a\u202eb\u2066c\u200f"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("line\nnext\ttab", "line\nnext\ttab"),
        ("line\rfirst", r"line\rfirst"),
        ("Å, µs/Å, Δd/d, 线, עברית", "Å, µs/Å, Δd/d, 线, עברית"),
    ],
)
def test_what_is_obeyed_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_one_line_is_one_line() -> None:
    assert one_line("first\nsecond\t\x85third\u2028") == r"first\nsecond\t\x85third\u2028"


@given(ANY_TEXT)
def test_nothing_that_is_shown_is_obeyed(text: str) -> None:
    assert not {c for c in visible(text) if c not in "\n\t" and unicodedata.category(c) in OBEYED}
    assert not any(unicodedata.category(c) in OBEYED for c in one_line(text))
    visible(text).encode("utf-8")


@given(ANY_TEXT)
def test_it_is_shown_once(text: str) -> None:
    """What is shown already stays, so that two outputs in a row do not show escapes of escapes."""
    assert visible(visible(text)) == visible(text)
