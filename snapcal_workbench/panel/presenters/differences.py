"""How far each iteration is from the one before, without Qt."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Iteration, Session

MOST_COMPARED = 30
"""Of the newest iterations the change is told: two tables are read for each, most of a tenth of a second."""


class Differences:
    """Median |change of DIFC| against the iteration before, ppm by number; what was found once is kept."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[int, float] = {}

    def find(self, progress: Progress) -> dict[int, float]:
        """Those of the newest iterations, NaN where two cannot be compared.

        Raises:
            Cancelled: The window is being closed.
        """
        found = self._session.iterations[-MOST_COMPARED - 1 :]
        for before, after in pairwise(found):
            progress.check()
            if after.number not in self._known:
                self._known[after.number] = self._change(before, after)
        return {after.number: self._known[after.number] for _, after in pairwise(found)}

    def _change(self, before: Iteration, after: Iteration) -> float:
        try:
            old, new = (self._session.folders.calibration(iteration.number) for iteration in (before, after))
        except SnapcalError:
            return float("nan")
        if not np.array_equal(old.table.detid, new.table.detid):
            return float("nan")
        use = ~old.mask.masked & ~new.mask.masked & (new.grouping.group > 0)
        change = np.abs(new.table.difc[use] / old.table.difc[use] - 1.0)
        return 1e6 * float(np.median(change)) if change.size else float("nan")
