"""What people type, before it is kept: no control characters, no broken Unicode, not empty, not endless."""

from __future__ import annotations

import unicodedata

from snapcal_workbench.errors import InputError

LONGEST_COMMENTS = 20_000
"""Characters of a version's comments."""


def clean_text(text: str, what: str, limit: int = 1000) -> str:
    """The text without what a terminal or a log could take for commands; line ends and tabs stay.

    Raises:
        InputError: Nothing is left, or it is longer than `limit` characters.
    """
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs", "Cf")).strip()
    if not kept or len(kept) > limit:
        raise InputError(
            f"The {what} must be given, in no more than {limit} characters.",
            found=f"{len(kept)} characters" if kept else "nothing",
            fix=f"Write the {what}.",
        )
    return kept
