"""Text of people and files is data: what a terminal, a window or a page would obey is shown instead.

Each output has one function that makes such text fit for it, and each of them begins with `visible`: `cli.console` for
the terminal (rich), `panel.text` for Qt, `report.theme.literal` for matplotlib and the template engine of `report.html`
for HTML.
"""

from __future__ import annotations

import unicodedata

OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that are obeyed rather than seen: C0 and C1 controls with the terminal's escape, format characters
with the bidirectional controls and invisible spaces, halves of surrogate pairs, line and paragraph separators."""


def visible(text: str, *, keep: str = "\n\t") -> str:
    r"""Text in which every character that would be obeyed stands as its escape, as \x1b or \u202e.

    Args:
        text: Anything, also with halves of surrogate pairs, which cannot be encoded.
        keep: Characters that stay what they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if c not in keep and unicodedata.category(c) in OBEYED else c for c in text)


def one_line(text: str) -> str:
    r"""Visible text on one line: an end of a line stands as \n, a tab as \t."""
    return visible(text, keep="")


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
