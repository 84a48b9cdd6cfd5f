"""What is thought of a calibration: a word, and why. How it comes about is in `calibration.verdict`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Word = Literal["good", "usable", "not to be used"]

_OF_GROUP = re.compile(r"Group (\d+): (.*)", re.DOTALL)
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")


@dataclass(frozen=True)
class GroupVerdict:
    """What is to be thought of a group: the word, and what speaks against it, one sentence each."""

    group: int
    word: Word
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a calibration.

    Attributes:
        word: In one word.
        course: How the steps ended, in one sentence or two.
        reasons: What speaks against it, one sentence each, the gravest first.
        groups: Of each group.
    """

    word: Word
    course: str = ""
    reasons: tuple[str, ...] = ()
    groups: tuple[GroupVerdict, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing speaks against it."""
        return self.word == "good"

    @property
    def savable(self) -> bool:
        """Whether it can be saved without force."""
        return self.word != "not to be used"

    @property
    def told(self) -> tuple[str, ...]:
        """The reasons as people read them: those of groups that differ in their numbers only are one sentence."""
        alike: dict[tuple[str, ...], list[tuple[str, list[str]]]] = {}
        for reason in self.reasons:
            found = _OF_GROUP.fullmatch(reason)
            group, text = found.groups() if found else ("", reason)
            parts = _NUMBER.split(text)
            words = ("of a group", *parts[::2]) if group else (text,)
            alike.setdefault(words, []).append((group, parts))
        return tuple(_as_one(found) for found in alike.values())

    @property
    def text(self) -> str:
        """How the steps ended, and the word; the reasons are beside it."""
        return f"{self.course} Verdict: {self.word}.".strip()


def _as_one(found: Sequence[tuple[str, list[str]]]) -> str:
    """One sentence of reasons with the same words: group and alternately words and numbers of each."""
    groups, texts = zip(*found, strict=True)
    text = "".join(_span(column) for column in zip(*texts, strict=True))
    if not groups[0]:
        return text
    return f"{'Group' if len(groups) == 1 else 'Groups'} {', '.join(groups)}: {text}"


def _span(parts: Sequence[str]) -> str:
    """What stands in all reasons, or the least and the largest of their numbers."""
    if len(set(parts)) == 1:
        return parts[0]
    return f"{min(parts, key=float)} … {max(parts, key=float)}"
