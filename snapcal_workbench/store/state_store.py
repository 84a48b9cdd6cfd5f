"""The versions of one instrument state: the one way in for whoever saves, reads, lists, chooses or retires.

Reading takes no lock and writes nothing, so a read-only tree is fully usable. See DESIGN.md for the format on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from snapcal_workbench.errors import NotFoundError, PermissionDeniedError
from snapcal_workbench.formats.index import AppliesTo, IndexEntry, choose_version, next_version
from snapcal_workbench.instrument.cycles import beyond_cycle, refusing_cycles
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.patient import patient
from snapcal_workbench.store.effect import Effect, Reassigned, effect_of, reassigned
from snapcal_workbench.store.index_file import read_snapshot
from snapcal_workbench.store.layout import (
    INDEX,
    PARAMETERS,
    checked_state,
    has_mode_level,
    home_of,
    version_folder,
)
from snapcal_workbench.store.publish import SavedVersion, publish
from snapcal_workbench.store.retire import change_retirement
from snapcal_workbench.store.text import clean_text
from snapcal_workbench.store.version.contents import VersionContents
from snapcal_workbench.store.version.record import Seed, parse_parameters
from snapcal_workbench.store.version.stored import StoredVersion, read_version


class StateStore:
    """The versions of a state in one mode; in a tree without the mode level, those of both modes.

    Args:
        settings: Where the tree is.
        state_id: Hexadecimal digits.
        mode: Mode of the runs that versions are saved and chosen for.
    """

    def __init__(self, settings: Settings, state_id: str, mode: PixelMode) -> None:
        self.settings = settings
        self.state_id = checked_state(state_id)
        self.mode = mode
        self.home = home_of(settings, state_id, mode)
        self.index_path = self.home / INDEX

    @patient
    def entries(self) -> list[IndexEntry]:
        """Entries of all versions that exist, in the order of the index; retired ones apply to no run."""
        return read_snapshot(self.home).entries

    @patient
    def folders(self) -> dict[int, Path]:
        """Folder of each version that exists."""
        return {version: self.home / name for version, name in read_snapshot(self.home).listing.versions.items()}

    @patient
    def problems(self) -> list[str]:
        """What is wrong with the index and the folders, one sentence each; records are not read."""
        return read_snapshot(self.home).problems

    @patient
    def retirements(self) -> dict[int, dict[str, object]]:
        """For each retired version who retired it ("author"), when ("time") and why ("reason")."""
        return read_snapshot(self.home).retired

    @patient
    def choose(self, run: int) -> IndexEntry | None:
        """The version that applies to a run, see `formats.index.choose_version`; None if there is none.

        Where the settings refuse versions of other cycles, these do not count; the default does.
        """
        return choose_version(self._counting(run), run, self.mode_of_entries())

    def _counting(self, run: int) -> list[IndexEntry]:
        entries = self.entries()
        if self.settings.beyond_cycle != "refuse":
            return entries
        return [e for e in entries if e.version == 0 or not beyond_cycle(self.settings, e.run_number, run)]

    @patient
    def next_version(self) -> int:
        """The number that the next version has if nobody else saves one."""
        return next_version(read_snapshot(self.home).taken)

    def mode_of_entries(self) -> bool | None:
        """The mode of the entries that count for a run; None where all are of it."""
        return None if has_mode_level(self.settings, self.state_id) else self.mode.merged

    @patient
    def read(self, version: int, *, verify: bool = True) -> StoredVersion:
        """Read a version.

        Args:
            version: Its number.
            verify: Check every file against the hashes that were recorded when it was saved.

        Raises:
            NotFoundError: There is no such version.
            FileFormatError: It is damaged.
            StoreError: A file was changed since it was saved.
        """
        snapshot = read_snapshot(self.home)
        entry = next((entry for entry in snapshot.entries if entry.version == version), None)
        if entry is None:
            raise self._no_such_version(version)
        return read_version(self.home / snapshot.listing.versions[version], entry, self.state_id, verify=verify)

    def _no_such_version(self, version: int) -> NotFoundError:
        known = ", ".join(str(entry.version) for entry in self.entries()) or "none"
        return NotFoundError(
            f"There is no usable version {version} of state {self.state_id} ({self.mode.name}).",
            found=f"versions in {self.home}: {known}",
            fix="Choose one of these; Check in the panel, or `snapcal verify`, says why others cannot be used.",
        )

    @patient
    def writable(self) -> str | None:
        """Why no version can be saved here; None if one can."""
        return fs.writable(self.home)

    @patient
    def save(
        self,
        contents: VersionContents,
        *,
        author: str,
        comments: str,
        applies_to: str | None = None,
        progress: Progress | None = None,
    ) -> SavedVersion:
        """Publish a calibration as the next version: it is there whole, with its index entry, or not at all.

        Args:
            contents: What is saved.
            author: Who accepts it.
            comments: What others should know.
            applies_to: Condition on the run number; by default this run and all later ones.
            progress: Cancelling leaves everything as it was.

        Raises:
            InputError: Author, comments, condition or contents cannot be saved.
            NotFoundError: The state was not initialised.
            StoreError: It could not be written; the message says whether anything changed.
            Cancelled: The user cancelled.
        """
        from snapcal_workbench.store.draft import CalibrationDraft  # computes, which no command that only looks needs

        draft = CalibrationDraft(
            contents, self.mode, self.seed(), author=author, comments=comments, applies_to=applies_to
        )
        if not (self.settings.powder_home / self.state_id).is_dir():
            raise NotFoundError(
                f"State {self.state_id} is not initialised.",
                found=f"no folder {self.settings.powder_home / self.state_id}",
                fix="Initialise it first: in the panel below the run, in a shell `snapcal init-state RUN --name …`.",
            )
        self.check_writable()
        progress = progress or Progress()
        for sentence in self.effect(contents.run_number, applies_to).sentences():
            progress.inform(sentence)
        return publish(self.home, self.settings, draft, progress)

    @patient
    def effect(self, run_number: str, applies_to: str | None = None) -> Effect:
        """What a new version made from a run would do: which runs it takes, and from which versions.

        Args:
            run_number: Of the calibrated run; several summed runs joined with "+".
            applies_to: Its condition, as a person writes it; by default this run and all later ones.

        Raises:
            InputError: The condition cannot be understood, or takes none of the known runs.
        """
        run = int(run_number.split("+")[0])
        condition = AppliesTo.from_text(applies_to) if applies_to else AppliesTo.from_run(run)
        return effect_of(self.entries(), run, condition, self.mode_of_entries(), refusing_cycles(self.settings))

    @patient
    def reassigned(self, before: Sequence[IndexEntry]) -> list[Reassigned]:
        """The runs for which another version is chosen than with the entries of before."""
        return reassigned(before, self.entries(), self.mode_of_entries(), refusing_cycles(self.settings))

    @patient
    def seed(self) -> Seed:
        """What every version copies from the state's default."""
        with suppress(OSError, ValueError):
            parameters = parse_parameters(fs.read(self.home / version_folder(0) / PARAMETERS))
            return Seed(str(parameters.seed_run or ""), parameters.creation_date, parameters.name or "")
        return Seed()

    @patient
    def check_writable(self) -> None:
        """Raise PermissionDeniedError if nothing can be written here."""
        if why_not := self.writable():
            raise PermissionDeniedError(
                f"The versions of state {self.state_id} must be writable to save one.",
                found=why_not,
                fix="Ask the owner of the calibration tree, or set 'calibration_home' to a tree of your own.",
            )

    @patient
    def retire(self, version: int, reason: str, author: str, progress: Progress | None = None) -> IndexEntry:
        """Take a version out of the choice for good reason; nothing of it is changed or removed.

        Raises:
            InputError: It is the default (0), is retired already, or reason or author are empty.
            NotFoundError: There is no such version.
            StoreError: It could not be written.
        """
        return self._change("retire", version, reason, author, progress)

    @patient
    def unretire(
        self, version: int, reason: str, author: str, progress: Progress | None = None, *, applies_to: str | None = None
    ) -> IndexEntry:
        """Bring a retired version back, with the condition of before or another one; errors as for `retire`."""
        condition = str(AppliesTo.from_text(applies_to)) if applies_to else None
        return self._change("unretire", version, reason, author, progress, condition)

    def _change(
        self,
        action: str,
        version: int,
        reason: str,
        author: str,
        progress: Progress | None,
        applies_to: str | None = None,
    ) -> IndexEntry:
        self.check_writable()
        if version not in {entry.version for entry in self.entries()}:
            raise self._no_such_version(version)
        return change_retirement(
            self.home,
            self.settings,
            action,
            version,
            reason=clean_text(reason, "reason"),
            author=clean_text(author, "author"),
            progress=progress or Progress(),
            applies_to=applies_to,
        )
