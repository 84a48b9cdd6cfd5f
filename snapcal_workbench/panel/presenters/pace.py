"""How long a running step will still take, from what it has reported and from earlier ones; no Qt here.

A *course* is how long a step took: the seconds after which it had reached each of `POINTS` equal fractions. Where one
of an earlier step is known it says how the time is spread over the fractions, and the present step how fast it is;
without one the rate of the last seconds counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

PATIENCE = 2.0
"""Nothing is said of the first seconds of a step that is not known: too little is."""
WINDOW = 20.0
"""The rate is that of the last seconds, s."""
POINTS = 21
"""Of a course: every 5 %, as fine as the parts of a calibration."""
WEIGHT = 0.1
"""Part of an earlier step's time for which its speed is believed rather than that of the present one: with half of it
the first second tells a wrong time, with twice a faster machine is believed late."""


class Pace:
    """The fraction done over time."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()
        self._all: list[tuple[float, float]] = []
        self._earlier: Sequence[float] = ()
        self._first: float | None = None

    def restart(self, earlier: Sequence[float] = ()) -> None:
        """A new step begins; `earlier` is the course of one like it, as far as one is known."""
        self._earlier = earlier if len(earlier) == POINTS and earlier[-1] > 0.0 else ()
        self._forget()

    def _forget(self) -> None:
        self._points.clear()
        self._all.clear()
        self._first = None

    def add(self, seconds: float, fraction: float) -> None:
        """The step is so far at this time (a clock's seconds)."""
        if self._first is None or (self._points and fraction < self._points[-1][1]):
            self._forget()
            self._first = seconds
        self._points.append((seconds, fraction))
        self._all.append((seconds - self._first, fraction))
        while len(self._points) > 2 and self._points[1][0] < seconds - WINDOW:
            self._points.popleft()

    def course(self) -> list[float]:
        """How long the step took, to be known the next time; empty for one that was over at once."""
        if not self._all or self._all[-1][0] < PATIENCE:
            return []
        seconds, fractions = np.array(self._all).T
        return [round(float(value), 2) for value in np.interp(np.linspace(0.0, 1.0, POINTS), fractions, seconds)]

    def left(self) -> float | None:
        """Seconds that are left; None where it is not known."""
        if self._first is None or not self._points:
            return None
        return self._left_of_course() if self._earlier else self._left_at_rate()

    def _left_of_course(self) -> float:
        """As the earlier step, scaled by how much slower the present one is so far."""
        elapsed, fraction = self._all[-1]
        whole = self._earlier[-1]
        then = float(np.interp(fraction, np.linspace(0.0, 1.0, POINTS), self._earlier))
        return (whole - then) * (elapsed + WEIGHT * whole) / (then + WEIGHT * whole)

    def _left_at_rate(self) -> float | None:
        if self._first is None or len(self._points) < 2:
            return None
        (begin, low), (end, high) = self._points[0], self._points[-1]
        if end - self._first < PATIENCE or high <= low:
            return None
        return (1.0 - high) * (end - begin) / (high - low)

    def text(self) -> str:
        """The time left in words; empty where it is not known."""
        left = self.left()
        if left is None:
            return ""
        if left < 1.5:
            return "about a second left"
        if left < 90:
            return f"about {round(left, -1 if left > 20 else 0):.0f} s left"
        return f"about {left / 60:.0f} min left"
