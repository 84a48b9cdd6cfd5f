"""How long a running step will still take, from the fractions that it has reported; no Qt here."""

from __future__ import annotations

from collections import deque

PATIENCE = 2.0
"""Nothing is said of the first seconds: too little is known."""
WINDOW = 20.0
"""The rate is that of the last seconds, s."""


class Pace:
    """The fraction done over time."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()
        self._first: float | None = None

    def restart(self) -> None:
        """A new step begins."""
        self._points.clear()
        self._first = None

    def add(self, seconds: float, fraction: float) -> None:
        """The step is so far at this time (a clock's seconds)."""
        if self._first is None or (self._points and fraction < self._points[-1][1]):
            self.restart()
            self._first = seconds
        self._points.append((seconds, fraction))
        while len(self._points) > 2 and self._points[1][0] < seconds - WINDOW:
            self._points.popleft()

    def left(self) -> float | None:
        """Seconds that are left at the present rate; None where it is not known."""
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
