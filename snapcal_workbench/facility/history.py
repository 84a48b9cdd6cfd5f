"""The versions of a state one after the other: DIFC of each module and group, widths and strain, and what changed.

See `version_figures` for what is compared, and `changes` for when a change is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.types import FloatArray, Geometry, IntArray, PixelMap
from snapcal_workbench.errors import NotFoundError, SnapcalError
from snapcal_workbench.facility.changes import Change, find_changes
from snapcal_workbench.facility.version_figures import VersionFigures, figures_of, mean_of_part
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.version.recorded import recorded_state

DAY = 86_400e9
"""Nanoseconds."""

Part = Literal["module", "group"]


@dataclass(frozen=True)
class HistoryPoint:
    """A version in a history: what its index entry says."""

    version: int
    run: str
    timestamp: str
    day: float
    comments: str


@dataclass(frozen=True, eq=False)
class Course:
    """A figure of one module or group over the versions.

    Attributes:
        part: "module" or "group".
        name: As the detector pictures have it: number of the module, or of the group.
        value: float64[v], one a version; NaN where the version does not tell it.
        error: float64[v], standard errors; NaN where they are not known.
    """

    part: Part
    name: str
    value: FloatArray
    error: FloatArray


@dataclass(frozen=True)
class NamedChange:
    """A drift or a jump of a module or group.

    Attributes:
        part, name: Of what.
        kind: "drift" or "jump".
        first, last: Indices of the versions between which it happened.
        ppm, error_ppm: By how much, and its standard error.
        chance: That errors alone look so.
    """

    part: Part
    name: str
    kind: str
    first: int
    last: int
    ppm: float
    error_ppm: float
    chance: float


@dataclass(frozen=True, eq=False)
class History:
    """The versions of a state, in the order of their dates.

    Attributes:
        state_id: The state.
        name: As people recognise it.
        mode: "lite" or "native".
        points: The versions.
        difc: ppm against the geometry, of each module and group.
        width: sigma / d of the peaks of each group, 1e-3.
        strain: (d_obs - d_ref) / d_ref of each group, ppm.
        changes: Of `difc`, the largest first.
        notes: What could not be compared, one sentence each.
        shifts: float64[v, n], ln(TOF / TOF_geometry) of each pixel; NaN where it is masked.
        geometry: Of the n pixels.
    """

    state_id: str
    name: str
    mode: str
    points: tuple[HistoryPoint, ...]
    difc: tuple[Course, ...]
    width: tuple[Course, ...]
    strain: tuple[Course, ...]
    changes: tuple[NamedChange, ...]
    notes: tuple[str, ...]
    shifts: FloatArray
    geometry: Geometry

    def sentences(self) -> list[str]:
        """The changes in words: modules and groups that changed together in one sentence, the largest first."""
        if not self.changes:
            return ["No module and no group drifts or jumps by more than its errors explain."]
        ordered = sorted(self.changes, key=lambda c: (c.part, c.kind, c.first, c.last))
        together = [list(found) for _, found in groupby(ordered, key=lambda c: (c.part, c.kind, c.first, c.last))]
        together.sort(key=lambda changes: -max(abs(change.ppm) for change in changes))
        return [self.sentence(changes) for changes in together]

    def sentence(self, changes: Sequence[NamedChange]) -> str:
        """Changes of one kind, between the same versions, in words."""
        one = changes[0]
        first, last = self.points[one.first], self.points[one.last]
        each = ", ".join(f"{c.name} by {c.ppm:+.0f} ± {c.error_ppm:.0f} ppm" for c in changes)
        where = f"runs {first.run} and {last.run} (versions {first.version} and {last.version}, {last.timestamp[:10]})"
        return f"{one.kind.capitalize()} of {one.part}{'s' if len(changes) > 1 else ''} {each} between {where}."

    def change_map(self, change: NamedChange) -> PixelMap:
        """The change of each pixel from one version of a change to the other, ppm, for a picture of the detectors."""
        difference = 1e6 * (self.shifts[change.last] - self.shifts[change.first])
        return PixelMap(self.geometry.detid, difference, "DIFC change (ppm)")


def read_history(
    settings: Settings,
    state_id: str,
    mode: PixelMode,
    *,
    last: int | None = None,
    progress: Progress | None = None,
) -> History:
    """The history of a state.

    Args:
        settings: Where the tree is.
        state_id: The state.
        mode: Of the versions.
        last: Only so many of the newest versions; None: all.
        progress: Reported to.

    Raises:
        NotFoundError: The state has no version that was calibrated and is not retired.
        FileFormatError: No version tells the detectors' positions.
        Cancelled: The user cancelled.
    """
    progress = progress or Progress()
    store = StateStore(settings, state_id, mode)
    entries = _entries(store, mode, last)
    geometry, figures, notes = _figures(store, entries, mode, progress)
    if geometry is None or not figures:
        raise NotFoundError(
            f"State {state_id} has no version that could be compared.",
            found=" ".join(notes) or f"no calibration for {mode.name} pixels that is not retired",
            fix="`snapcal versions` lists the versions of a state, `snapcal verify` what is wrong with them.",
        )
    figures, other = _of_one_convention(figures)
    difc = _courses(figures, geometry)
    points = tuple(_point(item.entry, figures[0].entry) for item in figures)
    changes = _named(difc, np.array([point.day for point in points]))
    return History(
        state_id=state_id,
        name=store.seed().name,
        mode=mode.name,
        points=points,
        difc=difc,
        width=_group_courses(figures, lambda item: item.width, 1e3),
        strain=_group_courses(figures, lambda item: item.strain, 1e6),
        changes=changes,
        notes=(*notes, *other),
        shifts=np.array([item.shift for item in figures]),
        geometry=geometry,
    )


def _entries(store: StateStore, mode: PixelMode, last: int | None) -> list[IndexEntry]:
    own = [
        entry
        for entry in store.entries()
        if entry.version > 0 and entry.use_lite_mode == mode.merged and not entry.is_retired
    ]
    ordered = sorted(own, key=lambda entry: entry.time)
    return ordered[-last:] if last else ordered


def _figures(
    store: StateStore, entries: Sequence[IndexEntry], mode: PixelMode, progress: Progress
) -> tuple[Geometry | None, list[VersionFigures], list[str]]:
    """Figures of the versions, all against the geometry that the first of them states."""
    geometry: Geometry | None = None
    found, notes = [], []
    for number, entry in enumerate(entries):
        progress.report(number / len(entries), f"Reading version {entry.version}")
        try:
            stored = store.read(entry.version, verify=False)
            state = recorded_state(stored.record, stored.path)
            geometry = geometry or state.geometry(mode)
            figures = figures_of(stored, state, geometry, mode, store.settings)
        except SnapcalError as error:
            figures = f"version {entry.version} cannot be read: {error.what} {error.found}".strip()
        if isinstance(figures, str):
            notes.append(f"Left out: {figures}.")
        else:
            found.append(figures)
    return geometry, found, notes


def _of_one_convention(figures: list[VersionFigures]) -> tuple[list[VersionFigures], list[str]]:
    """The versions whose DIFC refers to what that of the newest does: others differ by the moderator's pulse."""
    newest = figures[-1].convention
    other = [item for item in figures if "" not in (item.convention, newest) and item.convention != newest]
    notes = [
        f"Left out: DIFC of version {item.entry.version} refers to {item.convention}, that of the newest to {newest}."
        for item in other
    ]
    return [item for item in figures if item not in other], notes


def _point(entry: IndexEntry, first: IndexEntry) -> HistoryPoint:
    day = (entry.time - first.time) / DAY
    return HistoryPoint(entry.version, entry.run_number, entry.timestamp, day, entry.comments or "")


def _courses(figures: Sequence[VersionFigures], geometry: Geometry) -> tuple[Course, ...]:
    """DIFC of each module and each group over the versions."""
    courses = []
    if geometry.layout is not None:
        names = geometry.layout.arrangement.modules
        for module in np.unique(geometry.layout.module):
            members = _where(geometry.layout.module == module)
            courses.append(_course("module", names[module], figures, [members] * len(figures)))
    for group in sorted({int(g) for item in figures for g in np.unique(item.group) if g > 0}):
        members_of = [_where(item.group == group) for item in figures]
        courses.append(_course("group", str(group), figures, members_of))
    return tuple(courses)


def _where(chosen: NDArray[np.bool_]) -> IntArray:
    return np.flatnonzero(chosen).astype(np.int32)


def _course(part: Part, name: str, figures: Sequence[VersionFigures], members: Sequence[IntArray]) -> Course:
    means = [
        mean_of_part(item, of_item, _neighbour(figures, index))
        for index, (item, of_item) in enumerate(zip(figures, members, strict=True))
    ]
    value, error = 1e6 * np.array(means).T
    return Course(part, name, value, error)


def _neighbour(figures: Sequence[VersionFigures], index: int) -> VersionFigures | None:
    """The version before, or for the first the one after."""
    if len(figures) < 2:
        return None
    return figures[index - 1] if index else figures[1]


def _group_courses(
    figures: Sequence[VersionFigures],
    of_item: Callable[[VersionFigures], Mapping[int, tuple[float, float]]],
    factor: float,
) -> tuple[Course, ...]:
    unknown = (np.nan, np.nan)
    groups = sorted({group for item in figures for group in of_item(item)})
    courses = []
    for group in groups:
        value, error = factor * np.array([of_item(item).get(group, unknown) for item in figures]).T
        courses.append(Course("group", str(group), value, error))
    return tuple(courses)


def _named(courses: Sequence[Course], days: FloatArray) -> tuple[NamedChange, ...]:
    found = [
        _name(course, change)
        for course in courses
        for change in find_changes(days, course.value, course.error, series=len(courses))
    ]
    return tuple(sorted(found, key=lambda change: -abs(change.ppm)))


def _name(course: Course, change: Change) -> NamedChange:
    return NamedChange(
        course.part,
        course.name,
        change.kind,
        change.first,
        change.last,
        change.size,
        change.error,
        change.chance,
    )
