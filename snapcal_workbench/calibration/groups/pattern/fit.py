"""The joint fit: the focused patterns of all groups at once (Pawley: lattice known, areas free).

    T0 = DIFC_g d + t0(lambda)

with one moderator for all groups; model and words as in `model`. Terms of t0, and TZERO or DIFA of each group,
come in only where they make held-out peaks better foreseen by more than the error of that (`prediction`).

Loss: by default soft-l1, which counts a bin that is off by many standard errors by how many, not by their square. A
foreign peak, or a flank that the profile does not follow, then pulls little. On clean data it costs 4 % of precision.

Errors are those of the curvature at the solution, of profile and position together, times the root of the held-out
chi-squared where that exceeds 1: what the counts alone say would claim more than the model can foresee.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snapcal_workbench.calibration.groups.pattern.data import group_focus, group_patterns
from snapcal_workbench.calibration.groups.pattern.lines import fine_model, pattern_lines
from snapcal_workbench.calibration.groups.pattern.model import T0_TERMS, GroupPattern
from snapcal_workbench.calibration.groups.pattern.prediction import Deviations, deviate, foresee
from snapcal_workbench.calibration.groups.pattern.solver import Prior, Problem, Solution, covariance, solve
from snapcal_workbench.calibration.types import DiffCalTable, FloatArray, GroupParameters, Reflections, Spectra
from snapcal_workbench.calibration.types.pattern import (
    PROFILE_KINDS,
    GroupFocus,
    Layout,
    ModeratorProfile,
    PatternFit,
    Phase,
    Prediction,
)
from snapcal_workbench.errors import CalibrationError
from snapcal_workbench.progress import Progress

PROFILE_NAMES = tuple(f"{kind}{i}" for kind in PROFILE_KINDS for i in range(2))
"""Names of the coefficients of a `ModeratorProfile`, in order."""
UNKNOWN_PROFILE = ModeratorProfile(
    PROFILE_NAMES,
    np.array([-0.7, -1.0, -1.9, -1.2, 1.0, -1.0, -2.0, 1.5]),
    np.diag(np.array([1.0, 0.3, 0.7, 0.5, 1.0, 1.0, 1.5, 1.5]) ** 2),
)
"""What is known of a moderator of which nothing was learned: pulses of SNS's cold moderators, give or take a factor
of two. The rise slows down with the neutrons, alpha ~ 1 / lambda (Ikeda and Carpenter, Nucl. Instrum. Methods A 239,
536, 1985); it is the one coefficient that a single run hardly tells from t0."""
BOX, BOX_ERROR = np.log(1.5), 1.0
"""Prior of ln b: a pixel's angle is about as large as the rest of the geometry, give or take a factor of 2.7."""
BOX_GAIN = 2.0
"""By how much chi-squared must fall, for each group, for a box to be in (Akaike, IEEE Trans. Automat. Contr. 19, 716,
1974).
"""
GAUSSIAN_PART = 0.6
"""First guess of the width of the Gaussian, relative to the whole resolution."""
GAIN, GROUPS_GAIN = 0.5, 1.5
"""By how many errors of the improvement a term must improve the prediction: a shared one, and one of each group. A
shared term that is there and left out bends the curves by several of their errors, and one that is in for nothing costs
a tenth of the precision: at 1 every eighth simulated run with 3 us A / lambda is left without it, 2.4 errors wide; at 0
a third of those without have it. Terms of each group gain at most 0.2 errors on simulated runs, and 1.8 to 2.1 on run
58882."""


@dataclass(frozen=True)
class PatternOptions:
    """How the joint fit is made.

    Attributes:
        loss: Where the loss turns from square to absolute, standard errors; None: nowhere.
        terms: None: as held-out peaks justify; else what is fitted besides DIFC, of `T0_TERMS`, "TZERO", "DIFA".
        d_min: Smallest d-spacing that is fitted, A; the fit also ends where reflections follow too closely.
        always: Terms that need no justification. A time offset and the moderator's rise look alike: an offset that is
            left out, since no prediction misses it, moves the peaks by 10 to 30 ppm, and T0 by 700 ppm, unseen by any
            error. In, it costs a tenth of the precision of a maximum.
        hold_out: Whether peaks are held out. Without, no terms are tried and the error factor is that of the start.
    """

    loss: float | None = 1.0
    terms: tuple[str, ...] | None = None
    always: tuple[str, ...] = ("1",)
    d_min: float = 0.0
    hold_out: bool = True


def fit_pattern(
    spectra: Spectra,
    table: DiffCalTable,
    parameters: GroupParameters,
    reflections: Reflections,
    *,
    profile: ModeratorProfile = UNKNOWN_PROFILE,
    phases: Sequence[Phase] = (),
    left_out: Mapping[int, Sequence[tuple[float, float]]] | None = None,
    shifts: Mapping[int, float] | None = None,
    start: PatternFit | None = None,
    options: PatternOptions = PatternOptions(),
    progress: Progress | None = None,
) -> PatternFit:
    """Fit all groups.

    Args:
        spectra: Focused, in d-spacing; numbers are group ids.
        table: Calibration that they were focused with.
        parameters: Of the groups; their DIFC is the arbitrary one.
        reflections: Of the calibrant.
        profile: What is known of the moderator's pulse before.
        phases: Other crystals in the beam.
        left_out: Ranges of the focused d-spacing (A) that do not count, by group.
        shifts: First guess of ln(DIFC / arbitrary DIFC) by group; without, 0. It has to be right to about a sigma.
        start: An earlier fit of the same groups, of which this one takes terms and parameters: with the terms of
            `options` None no others are tried.
        options: See `PatternOptions`.
        progress: Reported to.

    Raises:
        CalibrationError: If no group has counts and reflections.
        Cancelled: If the user has cancelled.
    """
    progress = progress or Progress()
    focus = group_focus(spectra, table, parameters)
    patterns, coarse = (
        group_patterns(
            spectra, parameters, reflections, focus=how, phases=phases, left_out=left_out, d_min=options.d_min
        )
        for how in (focus, {group: replace(f, x=np.ones(1)) for group, f in focus.items()})
    )
    if not patterns:
        raise CalibrationError(
            "No group has a pattern that can be fitted.",
            found="no counts, or no reflection of the calibrant within the groups' d range",
            fix="Check calibrant, d limits and mask.",
        )
    searched = coarse if options.hold_out else patterns
    search = _Search(searched, parameters, profile, phases, shifts or {}, start, options, progress)
    search.run()
    if options.hold_out:
        search.finish(patterns)
    return _result(search, spectra, parameters, reflections, focus)


class _Search:
    """Fits one layout after the other, and remembers the best.

    While terms are looked for each group has one node: that places the peaks to 20 ppm, and which terms help does not
    depend on it. `finish` fits the model that was found with all nodes.
    """

    def __init__(
        self,
        patterns: Sequence[GroupPattern],
        parameters: GroupParameters,
        profile: ModeratorProfile,
        phases: Sequence[Phase],
        shifts: Mapping[int, float],
        start: PatternFit | None,
        options: PatternOptions,
        progress: Progress,
    ) -> None:
        self.patterns, self.parameters, self.profile, self.phases = patterns, parameters, profile, phases
        self.shifts, self.start, self.options, self.progress = shifts, start, options, progress
        self.predictions: list[Prediction] = []
        self.deviations: Deviations | None = None
        self.problem: Problem
        self.solution: Solution

    def run(self) -> None:
        """Find the terms, and the fit with them."""
        terms = self.options.terms
        if terms is None and self.start is not None:
            terms = _terms_of(self.start.layout)
        layout = _layout(len(self.patterns), (*(terms or ()), *self.options.always), len(self.phases))
        if self.start is not None:
            layout = replace(layout, box=self.start.layout.box)
        self.problem, self.solution = self._fit(layout, None)
        if self.start is None:
            self._try_without_box()
        if self.options.hold_out:
            self.deviations = foresee(self.problem, self.solution, progress=self.progress)
            self._note(self.problem.layout, self.deviations, None, kept=True)
            if terms is None:
                self._add_terms()

    def finish(self, patterns: Sequence[GroupPattern]) -> None:
        """Go on from where the search ended, with other patterns of the same groups."""
        self.problem = replace(self.problem, patterns=patterns)
        self.solution = solve(self.problem, self.solution.state.values, progress=self.progress)

    def _try_without_box(self) -> None:
        """Leave the extent of the pixels out where the counts do not ask for it."""
        problem, solution = self._fit(replace(self.problem.layout, box=False), self.solution)
        if 2.0 * (solution.state.misfit - self.solution.state.misfit) < BOX_GAIN * len(self.patterns):
            self.problem, self.solution = problem, solution

    def _add_terms(self) -> None:
        """Shared terms one after the other, then TZERO and DIFA of each group; the first that does not help is left
        out, and of the shared ones also those that follow."""
        base = self.problem.layout
        for term in T0_TERMS:
            if term in self.problem.layout.t0:
                continue
            if not self._try(replace(self.problem.layout, t0=(*self.problem.layout.t0, term))) and term != "1":
                break
        if len(self.patterns) > 1 or not self.problem.layout.t0:
            self._try(replace(base, tzero=True, t0=tuple(t for t in self.problem.layout.t0 if t != "1")))
            self._try(replace(self.problem.layout, difa=True))

    def _try(self, layout: Layout) -> bool:
        """Whether a layout foresees clearly better; it is then the one from which to go on."""
        problem, solution = self._fit(layout, self.solution)
        deviations = foresee(problem, solution, progress=self.progress)
        kept = self._note(layout, deviations, self.deviations)
        if kept:
            self.problem, self.solution, self.deviations = problem, solution, deviations
        return kept

    def _fit(self, layout: Layout, before: Solution | None) -> tuple[Problem, Solution]:
        self.progress.report(0.1 + 0.1 * min(len(self.predictions), 7), f"Fitting all groups: {layout.text()}")
        prior = self._prior(layout)
        values = prior.mean.copy()
        if before is not None:
            values = carried(self.problem.layout, before.state.values, layout, values)
        elif self.start is not None:
            values = self._from_start(layout, values)
        problem = Problem(self.patterns, layout, prior, loss=self.options.loss)
        return problem, solve(problem, values, progress=self.progress)

    def _from_start(self, layout: Layout, values: FloatArray) -> FloatArray:
        assert self.start is not None
        if not np.array_equal(self.start.group, [pattern.group for pattern in self.patterns]):
            return values
        return carried(self.start.layout, self.start.values, layout, values)

    def _prior(self, layout: Layout) -> Prior:
        mean, information = np.zeros(layout.size), np.zeros((layout.size, layout.size))
        delta_d = dict(zip(self.parameters.group.tolist(), self.parameters.delta_d, strict=True))
        groups = [pattern.group for pattern in self.patterns]
        mean[layout.places("scale")] = [self.shifts.get(group, 0.0) for group in groups]
        mean[layout.places("width")] = [np.log(GAUSSIAN_PART * delta_d[group]) for group in groups]
        mean[layout.places("box")] = BOX
        information[layout.places("box"), layout.places("box")] = 1.0 / BOX_ERROR**2
        own = layout.places(*PROFILE_KINDS)
        mean[own] = self.profile.value
        information[np.ix_(own, own)] = np.linalg.pinv(self.profile.covariance, hermitian=True)
        for place, phase in zip(layout.places("phase"), self.phases, strict=True):
            mean[place] = np.log(phase.factor)
            information[place, place] = 1.0 / max(phase.tolerance, 1e-7) ** 2
        return Prior(mean, information)

    def _note(self, layout: Layout, found: Deviations, before: Deviations | None, *, kept: bool | None = None) -> bool:
        gain, error = compared(found, before) if before is not None else (0.0, 0.0)
        least = (
            GAIN if layout.tzero + layout.difa == self.problem.layout.tzero + self.problem.layout.difa else GROUPS_GAIN
        )
        kept = gain > least * error and gain > 0 if kept is None else kept
        self.predictions.append(
            Prediction(
                model=layout.text(),
                terms=layout.position_terms,
                peaks=len(found),
                rms_ppm=1e6 * found.rms,
                score=float(found.score.sum()),
                gain=gain,
                gain_error=error,
                chi2=found.excess,
                kept=kept,
            )
        )
        return kept


def compared(found: Deviations, before: Deviations) -> tuple[float, float]:
    """By how much the score of the peaks that both have is lower in `found`, and the standard error of that."""
    key, old = (1000 * d.group + d.column for d in (found, before))
    _, new_row, old_row = np.intersect1d(key, old, return_indices=True)
    gain = before.score[old_row] - found.score[new_row]
    return float(gain.sum()), float(np.sqrt(len(gain)) * gain.std()) if len(gain) else 0.0


def carried(old: Layout, values: FloatArray, new: Layout, start: FloatArray) -> FloatArray:
    """The values of one layout in another's, `start` where the other has none; terms that are new start at 0."""
    result = start.copy()
    for name, block in new.blocks.items():
        own = old.get(values, name)
        if name == "t0":
            for i, term in enumerate(new.t0):
                result[block.place + i] = own[old.t0.index(term)] if term in old.t0 else 0.0
        else:
            n = min(len(own), block.size)
            result[block.place : block.place + n] = own[:n]
    return result


def _layout(groups: int, terms: Sequence[str], phases: int) -> Layout:
    shared = tuple(term for term in T0_TERMS if term in terms)
    return Layout(groups, shared, tzero="TZERO" in terms, difa="DIFA" in terms, phases=phases)


def _terms_of(layout: Layout) -> tuple[str, ...]:
    return (*layout.t0, *(["TZERO"] if layout.tzero else []), *(["DIFA"] if layout.difa else []))


def _missed(search: _Search) -> FloatArray:
    """float64[g], see `PatternFit`: of this fit, or of the one that it started from."""
    if search.deviations is not None:
        return np.array([search.deviations.missed(i) for i in range(len(search.patterns))])
    groups = [pattern.group for pattern in search.patterns]
    if search.start is not None and np.array_equal(search.start.group, groups):
        return search.start.missed
    return np.full(len(groups), np.nan)


def _result(
    search: _Search,
    spectra: Spectra,
    parameters: GroupParameters,
    reflections: Reflections,
    focus: Mapping[int, GroupFocus],
) -> PatternFit:
    problem, state, layout = search.problem, search.solution.state, search.problem.layout
    deviations, factor = search.deviations, search.start.error_factor if search.start is not None else 1.0
    if deviations is None:
        deviations = deviate(problem, search.solution)
    else:
        factor = max(1.0, float(np.sqrt(deviations.excess)))
    cov = factor**2 * covariance(problem, search.solution)
    error = np.sqrt(np.diag(cov))
    difc_focused = np.array([pattern.difc for pattern in problem.patterns])
    difc = difc_focused * np.exp(layout.get(state.values, "scale"))
    deviance = np.array([fit.deviance.sum() for fit in state.linear])
    own = (layout.size - len(layout.places("t0", *PROFILE_KINDS, "phase"))) / len(problem.patterns)
    free = np.array([np.count_nonzero(fit.free) for fit in state.linear])
    dof = np.array([np.count_nonzero(pattern.used) for pattern in problem.patterns]) - free - own
    model, background, residual = fine_model(problem, state, spectra, parameters)
    profile_places, phase_places = layout.places(*PROFILE_KINDS), layout.places("phase")
    phase_factor = np.exp(state.values[phase_places])
    return PatternFit(
        group=np.array([pattern.group for pattern in problem.patterns], np.int32),
        difc_focused=difc_focused,
        difc=difc,
        difc_error=difc * error[layout.places("scale")],
        layout=layout,
        values=state.values,
        covariance=cov,
        error_factor=factor,
        loss=problem.loss,
        model=model,
        background=background,
        residual=residual,
        chi2=deviance / np.maximum(dof, 1.0),
        chi2_whole=float(deviance.sum() / max(dof.sum(), 1.0)),
        dof=dof,
        neutrons=np.array([float(np.mean(pattern.y / pattern.unit)) for pattern in problem.patterns]),
        lines=pattern_lines(problem, search.solution, reflections, search.phases, deviations, factor),
        predictions=tuple(search.predictions),
        missed=_missed(search),
        profile=ModeratorProfile(
            PROFILE_NAMES, state.values[profile_places], cov[np.ix_(profile_places, profile_places)]
        ),
        phases=tuple(phase.name for phase in search.phases),
        phase_factor=phase_factor,
        phase_factor_error=phase_factor * error[phase_places],
        focus=focus,
        d_min=np.array([pattern.edges[0] / pattern.difc for pattern in problem.patterns]),
        d_max=np.array([pattern.edges[-1] / pattern.difc for pattern in problem.patterns]),
        converged=search.solution.converged,
        iterations=search.solution.iterations,
    )
