"""A calibration tree in which people and files have written what a terminal, a window or a page would obey."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path

import h5py

from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.text import OBEYED, visible

MARKUP = r"see [/SNS/SNAP/notes], [si640d], [bold red]red[/], :smile: $\alpha$ _<b>&amp;</b>"
"""What rich, matplotlib, Qt or a browser would take for markup."""

CONTROLS = "\x1b[2J\x9b31m\x07\r\u202egnp.exe\u2066\u200f\u2028\x00"
"""What a terminal would obey, and what turns the direction of writing round."""

HOSTILE = f"{MARKUP} {CONTROLS}"
IN_A_PATH = "a [/b] [si640d] :smile: $x$ <i> \x1b[31m\u202e"
RUN = "58882"


def unsafe(text: str) -> set[str]:
    """Characters of an output that would be obeyed, but for line ends."""
    return {c for c in text if c != "\n" and unicodedata.category(c) in OBEYED}


def said(output: str, text: str) -> bool:
    """Whether an output shows a text as it is, in a line or folded in a column of a table."""
    lines = output.splitlines()
    columns = zip(*(line.split("│") for line in lines if line.startswith("│")), strict=False)
    wanted = _squeezed(visible(text))
    return any(wanted in _squeezed("".join(part)) for part in (lines, *columns))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def make_hostile_tree(tree: SimulatedTree) -> None:
    """Let a tree have one hostile run title, one saved and retired hostile version, and one hostile iteration."""
    _set_title(tree.run_path(RUN), HOSTILE)
    session = Session(EmbeddedHost(tree.settings))
    request = session.new_request(runs=(RUN,), calibrant="Silicon_NIST_640d_001", grouping="Column")
    request = request.changed({"pixels.skip": True})
    session.saved.initialise_state(request, MARKUP, MARKUP, Progress())
    session.calibrate(request, Progress(), report=False)
    session.label(1, HOSTILE)
    saved = session.save(1, author=MARKUP, comments=MARKUP)
    index = Path(saved.index_path)
    entries = json.loads(index.read_text())
    for entry in entries:
        entry["comments"] = entry["author"] = HOSTILE  # as another program may write them
    index.write_text(json.dumps(entries))
    session.saved.retire(f"{RUN}:1", MARKUP, MARKUP, Progress())
    session.close()


def _set_title(path: Path, title: str) -> None:
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)  # the tree's run is a link
    os.replace(copy, path)
    with h5py.File(path, "r+") as file:
        kind = h5py.string_dtype("utf-8")
        del file["entry/title"]
        file["entry"].create_dataset(
            "title", data=title.replace("\x00", "").encode("utf-8", "surrogatepass"), dtype=kind
        )
