"""What is thought of a calibration: a word, and why. How it comes about is in `calibration.verdict`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Word = Literal["good", "usable", "not to be used"]


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
    def text(self) -> str:
        """How the steps ended, and the word; the reasons are beside it."""
        return f"{self.course} Verdict: {self.word}.".strip()
