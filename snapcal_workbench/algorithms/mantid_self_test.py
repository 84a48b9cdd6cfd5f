"""SnapCalSelfTest: the self-test as a Mantid algorithm, which is there even where the others cannot be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mantid.api import AlgorithmFactory, PythonAlgorithm
from mantid.kernel import Direction

from snapcal_workbench.algorithms.mantid_algorithms import Reporter
from snapcal_workbench.errors import Cancelled
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.parameters import CATEGORY

NAME = "SnapCalSelfTest"


class PageMade(Protocol):
    """The page, whose text is `str` of it."""

    @property
    def failures(self) -> int:
        """How many checks did not end well."""


def register(make_page: Callable[[Progress], PageMade]) -> None:
    """Add the self-test to Mantid's list.

    Args:
        make_page: Makes the checks, each in a process of its own.
    """

    class SnapCalSelfTest(PythonAlgorithm):
        def category(self) -> str:
            return CATEGORY

        def summary(self) -> str:
            return "Checks whether the SNAP calibration works in this Mantid; makes one page to send to its authors."

        def PyInit(self) -> None:
            self.declareProperty("Filename", "", doc="Text file that the page is written into; empty: none")
            self.declareProperty("Page", "", doc="The page", direction=Direction.Output)
            self.declareProperty("Failures", 0, doc="How many checks did not end well", direction=Direction.Output)

        def PyExec(self) -> None:
            _run(self, make_page)

    AlgorithmFactory.subscribe(SnapCalSelfTest)


def _run(owner: PythonAlgorithm, make_page: Callable[[Progress], PageMade]) -> None:
    try:
        page = make_page(Reporter(owner, Progress()).progress)
    except Cancelled as error:
        raise KeyboardInterrupt(str(error)) from error
    text = str(page)
    filename = owner.getPropertyValue("Filename")
    if filename:
        Path(filename).expanduser().write_text(text + "\n", encoding="utf-8")
    (owner.log().warning if page.failures else owner.log().notice)(text)
    owner.setProperty("Page", text)
    owner.setProperty("Failures", page.failures)
