"""Fit of one Bragg peak on a straight background in one window of bins.

What a bin holds is the integral of the peak shape and of the background over the bin (Simpson's rule), so that wide
bins do not broaden a peak.

*Scale*: normalised counts y with errors e stand for y / scale neutrons, scale = sum e^2 / sum y (1 for plain counts).
Where the data are such counts, the fit maximises the Poisson likelihood: least squares of the deviance residuals
sign(y - m) sqrt(2 (m - y + y ln(y / m)) / scale), m the model, which weighs a bin by what the model, not the noise,
says. Other data (negative values, errors that are not roots) are fitted by least squares with their errors.

Mantid fits what a bin holds as if it were a density, weighed by the errors of the data. On a logarithmic axis bins grow
with d, so that its centres lie higher by d (sigma / d)^2; `Window.with_equal_bins` gives that fit.

Chi-squared is Pearson's, sum (y - m)^2 / (scale m) per degree of freedom. Standard errors are from the Fisher
information, times sqrt(chi-squared) where that exceeds 1: a shape that does not fit is not located better than it
misfits.

Parameters are area (counts), centre (A), those of the profile, background (counts per A, at the peak's centre) and
slope (counts per A^2). Inside the fit lengths are in guesses of the peak's sigma, counts in guesses of its area,
and the background is given by its two ends, so that limits at 0 keep the model of counts positive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.optimize import least_squares

from snapcal_workbench.calibration.peaks.profiles import Profile
from snapcal_workbench.calibration.types import FloatArray

SPARE_BINS = 3
"""Bins that a window must have beyond the number of parameters."""
MAX_EVALUATIONS = 200
TOLERANCE = 1e-7
"""Relative change of the deviance, or of the parameters, at which the fit ends."""
_GAUSS_ABOVE_HALF = 0.7610
"""Fraction of a Gaussian's area that lies above half of its maximum."""
_HUGE = 1e30
_SQRT_2PI = float(np.sqrt(2.0 * np.pi))


@dataclass(frozen=True, eq=False)
class Window:
    """Finite bins of one window, in ascending order: left and right edge (A), counts and standard errors."""

    left: FloatArray
    right: FloatArray
    y: FloatArray
    e: FloatArray

    @classmethod
    def cut(cls, edges: FloatArray, y: FloatArray, e: FloatArray, low: float, high: float) -> Window:
        """The bins whose centre lies in low .. high (A) and whose counts and errors are finite (below 1e30)."""
        centres = 0.5 * (edges[1:] + edges[:-1])
        use = (centres >= low) & (centres <= high) & (np.abs(y) < _HUGE) & (np.abs(e) < _HUGE)
        return cls(edges[:-1][use], edges[1:][use], y[use], e[use])

    @property
    def width(self) -> FloatArray:
        """Bin widths, A."""
        return self.right - self.left

    @property
    def x(self) -> FloatArray:
        """Bin centres, A."""
        return 0.5 * (self.left + self.right)

    def with_equal_bins(self) -> Window:
        """The same counts in bins of one width about the same centres."""
        half = 0.5 * float(np.median(self.width)) if len(self.y) else 0.0
        return Window(self.x - half, self.x + half, self.y, self.e)

    @property
    def scale(self) -> float:
        """Counts that one neutron stands for; 0 where the data are no counts."""
        filled = self.y > 0
        if not filled.any() or self.y.min() < 0:
            return 0.0
        scale = float(np.sum(self.e[filled] ** 2) / np.sum(self.y[filled]))
        off = np.abs(self.e[filled] ** 2 - scale * self.y[filled]) > 0.2 * scale * self.y[filled]
        return 0.0 if np.mean(off) > 0.1 else scale


@dataclass(frozen=True, eq=False)
class WindowFit:
    """A fitted peak.

    Attributes:
        parameters: float64[k], named by `parameter_names`; NaN where nothing could be fitted.
        area_error, centre_error: Standard errors, counts and A.
        chi2: Chi-squared per degree of freedom.
        neutrons: Mean number of neutrons a bin; 0 where the data are no counts.
        problem: "" or why the fit is worth nothing.
    """

    parameters: FloatArray
    area_error: float = np.nan
    centre_error: float = np.nan
    chi2: float = np.nan
    neutrons: float = 0.0
    problem: str = ""


def parameter_names(profile: Profile) -> tuple[str, ...]:
    """Names of the parameters of a fit, in order."""
    return ("area", "centre", *profile.parameter_names, "background", "slope")


def fit_window(window: Window, profile: Profile, *, likelihood: bool = True) -> WindowFit:
    """Fit one peak; a window that cannot be fitted gives NaN and the problem in words.

    Args:
        window: The data.
        profile: Peak shape.
        likelihood: Whether counts are fitted by their likelihood; else all data are fitted by least squares.
    """
    failed = WindowFit(np.full(len(parameter_names(profile)), np.nan))
    if len(window.y) < len(failed.parameters) + SPARE_BINS:
        return replace(failed, problem=f"only {len(window.y)} bins with data in the window")
    if not np.any(window.y > 0):
        return replace(failed, problem="no counts in the window")
    scale = window.scale if likelihood else 0.0
    if scale == 0 and not np.any(window.e > 0):
        return replace(failed, problem="counts without errors")
    guess = _Guess.of(window)
    if guess is None:
        return replace(failed, problem="no peak above the background")
    neutrons = float(np.mean(window.y) / window.scale) if window.scale > 0 else 0.0
    return _fit(_Problem.of(window, profile, guess, scale), replace(failed, neutrons=neutrons))


def counts(profile: Profile, parameters: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """float64[n]: counts that fitted parameters put into bins with edges in A."""
    area, centre, *shape, background, slope = parameters
    peak = _integral(left, right, lambda x: profile.density(x, centre, np.array(shape))[0])
    return area * peak + (background + slope * (0.5 * (left + right) - centre)) * (right - left)


def _integral(left: FloatArray, right: FloatArray, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Integral over each bin by Simpson's rule; `function` gives [points] or [points, derivatives]."""
    n = len(left)
    value = function(np.concatenate([left, 0.5 * (left + right), right]))
    mean = (value[:n] + 4.0 * value[n : 2 * n] + value[2 * n :]) / 6.0
    return (mean.T * (right - left)).T


@dataclass(frozen=True)
class _Guess:
    """First guess: centre and sigma (A), area (counts), background density at both ends (counts per A)."""

    centre: float
    sigma: float
    area: float
    ends: tuple[float, float]

    @classmethod
    def of(cls, window: Window) -> _Guess | None:
        """From the highest point above a straight line through the window's ends; None if nothing is above it."""
        density = window.y / window.width
        n = len(density)
        side = max(2, n // 7)
        ends = float(np.mean(density[:side])), float(np.mean(density[-side:]))
        line = np.interp(window.x, [window.x[:side].mean(), window.x[-side:].mean()], ends)
        net = density - line
        top = int(np.argmax(uniform_filter1d(net, max(1, n // 12))))
        height = float(uniform_filter1d(net, max(1, n // 12))[top])
        if not height > 1e-9 * np.max(np.abs(density)):
            return None
        below = np.flatnonzero(net < 0.5 * height)
        first = below[below < top].max(initial=-1) + 1
        last = below[below > top].min(initial=n)
        above_half = float(np.sum((net * window.width)[first:last]))
        sigma = above_half / (_GAUSS_ABOVE_HALF * height * _SQRT_2PI)
        sigma = float(np.clip(sigma, 0.5 * window.width[top], 0.3 * (window.right[-1] - window.left[0])))
        return cls(float(window.x[top]), sigma, height * sigma * _SQRT_2PI, ends)


@dataclass(frozen=True, eq=False)
class _Problem:
    """The fit in its inner units. Parameters: area, centre, shape, background at the left and at the right end."""

    profile: Profile
    guess: _Guess
    left: FloatArray
    right: FloatArray
    y: FloatArray
    e: FloatArray
    scale: float

    @classmethod
    def of(cls, window: Window, profile: Profile, guess: _Guess, scale: float) -> _Problem:
        left = (window.left - guess.centre) / guess.sigma
        right = (window.right - guess.centre) / guess.sigma
        usual = np.median(window.e[window.e > 0]) if np.any(window.e > 0) else 1.0
        e = np.where(window.e > 0, window.e, usual) / guess.area
        return cls(profile, guess, left, right, window.y / guess.area, e, scale / guess.area)

    def start(self) -> FloatArray:
        ends = np.array(self.guess.ends) * self.guess.sigma / self.guess.area
        start = np.array([1.0, 0.0, *self.profile.start, *ends])
        low, high = self.limits()
        inner = 1e-3 * np.minimum(high - low, 1.0)
        return np.clip(start, low + inner, high - inner)

    def limits(self) -> tuple[FloatArray, FloatArray]:
        least = 0.0 if self.scale > 0 else -np.inf
        low = np.array([0.0, self.left[0], *self.profile.lower, least, least])
        high = np.array([np.inf, self.right[-1], *self.profile.upper, np.inf, np.inf])
        return low, high

    def model(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Counts of each bin [n] and their derivatives [n, k]."""
        area, centre, shape = p[0], p[1], p[2:-2]

        def with_derivatives(x: FloatArray) -> FloatArray:
            density, derivatives = self.profile.density(x, centre, shape)
            return np.column_stack([density, area * derivatives])

        peak = _integral(self.left, self.right, with_derivatives)
        width = self.right - self.left
        place = (0.5 * (self.left + self.right) - self.left[0]) / (self.right[-1] - self.left[0])
        ends = np.stack([(1.0 - place) * width, place * width], axis=1)
        return area * peak[:, 0] + ends @ p[-2:], np.concatenate([peak, ends], axis=1)

    def residuals(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Residuals [n], whose squares add up to the deviance (or chi-squared), and their derivatives [n, k]."""
        model, derivatives = self.model(p)
        if self.scale == 0:
            return (self.y - model) / self.e, -derivatives / self.e[:, None]
        model = self._positive(model)
        z = self.y / model - 1.0
        root = _deviance_root(z)
        by_model = -1.0 / (root * np.sqrt(self.scale * model))
        return z * root * np.sqrt(model / self.scale), derivatives * by_model[:, None]

    def variance(self, model: FloatArray) -> FloatArray:
        """Variance of each bin, as the model says for counts."""
        return self.e**2 if self.scale == 0 else self.scale * self._positive(model)

    def _positive(self, model: FloatArray) -> FloatArray:
        """At least a hundredth of a neutron a bin."""
        return np.maximum(model, 0.01 * self.scale)

    def outer(self, p: FloatArray) -> FloatArray:
        """The parameters in counts and A."""
        sigma, area = self.guess.sigma, self.guess.area
        shape = p[2:-2] * sigma ** np.array(self.profile.powers, float)
        slope = (p[-1] - p[-2]) / (self.right[-1] - self.left[0])
        background = p[-2] + slope * (p[1] - self.left[0])
        centre = self.guess.centre + sigma * p[1]
        return np.array([area * p[0], centre, *shape, background * area / sigma, slope * area / sigma**2])


def _deviance_root(z: FloatArray) -> FloatArray:
    """sqrt(2 ((1 + z) ln(1 + z) - z)) / |z|, which tends to 1 for small z: 1 - z / 6 + ..."""
    small = np.abs(z) < 1e-3
    safe = np.where(small, 1.0, z)
    grown = np.where(safe > -1.0, (1.0 + safe) * np.log1p(np.maximum(safe, -1.0 + 1e-15)), 0.0)
    return np.where(small, 1.0 - z / 6.0 + z * z * 5.0 / 72.0, np.sqrt(2.0 * (grown - safe)) / np.abs(safe))


def _fit(problem: _Problem, failed: WindowFit) -> WindowFit:
    """Run the optimiser and judge what it found."""
    last: dict[str, FloatArray] = {}

    def residuals(p: FloatArray) -> FloatArray:
        value, last["jacobian"] = problem.residuals(p)
        last["p"] = p.copy()
        return value

    def jacobian(p: FloatArray) -> FloatArray:
        return last["jacobian"] if np.array_equal(p, last["p"]) else problem.residuals(p)[1]

    try:
        with np.errstate(all="ignore"):
            found = least_squares(
                residuals,
                problem.start(),
                jac=jacobian,
                bounds=problem.limits(),
                ftol=TOLERANCE,
                xtol=TOLERANCE,
                max_nfev=MAX_EVALUATIONS,
            )
    except (ValueError, np.linalg.LinAlgError):
        return replace(failed, problem="the fit broke down")
    if found.status <= 0:
        return replace(failed, problem="the fit did not converge")
    return replace(_judged(problem, found.x, found.active_mask == 0), neutrons=failed.neutrons)


def _judged(problem: _Problem, p: FloatArray, free: NDArray[np.bool_]) -> WindowFit:
    """Errors and chi-squared of a fit.

    Area, centre and background at a limit are taken as fixed. Shape parameters never are: what is known of them beyond
    the data is that they lie within their limits, a variance of (upper - lower)^2 / 12.
    """
    model, derivatives = problem.model(p)
    variance = np.maximum(problem.variance(model), np.finfo(float).tiny)
    known = np.zeros(len(p))
    known[2:-2] = 12.0 / (np.array(problem.profile.upper) - problem.profile.lower) ** 2
    free = free | (known > 0)
    weighted = (derivatives / np.sqrt(variance)[:, None])[:, free]
    errors = np.full(len(p), np.nan)
    information = weighted.T @ weighted + np.diag(known[free])
    errors[free] = np.sqrt(np.diag(np.linalg.pinv(information, hermitian=True)))
    chi2 = float(np.sum((problem.y - model) ** 2 / variance) / (len(model) - len(p)))
    errors *= np.sqrt(max(1.0, chi2))
    guess = problem.guess
    return WindowFit(
        parameters=problem.outer(p),
        area_error=guess.area * errors[0],
        centre_error=guess.sigma * errors[1],
        chi2=chi2,
        problem=_problem_of(problem, p, errors),
    )


def _problem_of(problem: _Problem, p: FloatArray, errors: FloatArray) -> str:
    bin_width = float(np.median(problem.right - problem.left))
    if p[1] < problem.left[0] + bin_width or p[1] > problem.right[-1] - bin_width:
        return "the centre is at the edge of the window"
    if not errors[1] > 0:
        return "the centre is not determined"
    if problem.profile.fwhm_and_top(p[2:-2])[0] > problem.right[-1] - problem.left[0]:
        return "the peak is wider than its window"
    return ""
