"""Where the versions of a state are, and how their folders and files are called.

- The *home* is the folder of one index: `<powder>/<state>/diffraction`, or `<powder>/<state>/<lite|native>/diffraction`
  in a tree with the mode level. Without that level both modes share the index and its version numbers.
- A *version folder* is `v_NNNN`, zero-filled to four digits. Other names with digits at the end that SNAPRed would take
  for a version (`v_7`) are read, never written.
- A *staging folder* is `.staging.v_NNNN.<owner>`: a version that is being built by the process that the name states.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from snapcal_workbench.errors import InputError, NotFoundError, StoreError
from snapcal_workbench.formats.index import MAX_VERSION
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.options import Settings
from snapcal_workbench.patience import sign_of_life
from snapcal_workbench.store.disk.owner import Owner
from snapcal_workbench.store.disk.patient import on_disk

INDEX = "CalibrationIndex.json"
RECORD = "CalibrationRecord.json"
RECORD_COPY = "record_as_saved.json"
"""The record once more, byte by byte: others rewrite records, and it has the hashes of all other files."""
PARAMETERS = "CalibrationParameters.json"
AUDIT = "audit.jsonl"
RETIREMENTS = "retirements.jsonl"
BACKUPS = ".snapcal-backups"
TEMPORARY_INDEX = ".CalibrationIndex.json.new"
DEFAULT_TABLE = "diffract_consts_default_v0"

_STATE = re.compile(r"[0-9a-fA-F]{8,64}", re.ASCII)
_VERSION = re.compile(r"v_(?:.*_)?(\d{1,12})", re.ASCII)
_STAGING = re.compile(r"\.staging\.v_(\d{1,8})\.(.+)", re.ASCII)
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.+-]{0,200}", re.ASCII)


def check_tree(settings: Settings) -> None:
    """Refuse to speak of a tree that is not there, as on a machine where its disk is not mounted: it is not empty.

    Raises:
        NotFoundError: There is neither a folder of states nor one in which it could be made.
    """
    if not (settings.powder_home.is_dir() or settings.calibration_home.is_dir()):
        raise NotFoundError(
            "There is no tree of calibrations.",
            found=f"no folder {settings.calibration_home}",
            fix="Mount the disk that it is on, or correct the setting 'calibration_home'; `snapcal config` shows it.",
        )


def has_mode_level(settings: Settings, state_id: str) -> bool:
    """Whether the versions of a state lie below a `lite` or `native` folder.

    As the settings say; with "auto" as this state has it, else as other states have it, else without.

    Raises:
        InputError: The state id is none.
        StoreError: The disk fails, or does not answer.
    """
    if settings.index_layout != "auto":
        return settings.index_layout == "with mode level"
    state = settings.powder_home / checked_state(state_id)
    own = on_disk(settings, lambda: _level_of(state))
    return bool(mode_level_of_tree(settings) if own is None else own)


def mode_level_of_tree(settings: Settings) -> bool | None:
    """Whether the states of a tree have the mode level; None where the question is open: the tree has no state yet."""
    if settings.index_layout != "auto":
        return settings.index_layout == "with mode level"
    return on_disk(settings, lambda: _level_of_states(settings))


def _level_of_states(settings: Settings) -> bool | None:
    try:
        states = sorted(f for f in settings.powder_home.iterdir() if is_state(f.name))
    except OSError:
        return None
    levels = {_level_of(state) for state in states}
    return True if True in levels else False if False in levels else None


def _level_of(state: Path) -> bool | None:
    if any((state / mode / "diffraction").is_dir() for mode in ("lite", "native")):
        return True
    return False if (state / "diffraction").is_dir() else None


def with_answer(settings: Settings, mode_level: bool | None) -> Settings:
    """The settings with the answer to the question of the layout; None leaves it to them and to the tree.

    Raises:
        InputError: The tree has been answered otherwise: its states lie the other way.
    """
    if mode_level is None:
        return settings
    known = mode_level_of_tree(settings)
    if known is not None and known != mode_level:
        raise InputError(
            "All states of a tree have one layout, which its first state decides.",
            found=f"{settings.powder_home} has its versions {'with' if known else 'without'} the mode level",
            fix="Leave the choice out, or use a tree of its own.",
        )
    return settings.model_copy(update={"index_layout": "with mode level" if mode_level else "without mode level"})


def home_of(settings: Settings, state_id: str, mode: PixelMode) -> Path:
    """The folder of the index of a state.

    Raises:
        InputError: The state id is none.
        StoreError: The folder is a symbolic link that leads out of the calibration tree.
    """
    state = settings.powder_home / checked_state(state_id)
    level = [mode.name] if has_mode_level(settings, state_id) else []
    home = state.joinpath(*level, "diffraction")
    if not on_disk(settings, lambda: home.resolve().is_relative_to(settings.powder_home.resolve())):
        raise StoreError(
            f"The versions of state {state_id} must lie inside {settings.powder_home}.",
            found=f"{home} leads to {home.resolve()}",
            fix="Replace the symbolic link by the folder itself.",
        )
    return home


def mode_name(use_lite_mode: bool) -> str:
    """ "lite" or "native": the mode of an entry as references, lists and folders have it."""
    return "lite" if use_lite_mode else "native"


def is_state(name: str) -> bool:
    """Whether a name in the powder folder is that of a state."""
    return bool(_STATE.fullmatch(name))


def checked_state(state_id: str) -> str:
    """A state id that can stand in a path.

    Raises:
        InputError: It is not hexadecimal digits.
    """
    if not is_state(state_id):
        raise InputError(
            "A state id is hexadecimal digits.",
            found=repr(state_id)[:80],
            fix="Take the id that stands below the run in the panel, and that `snapcal state RUN` prints.",
        )
    return state_id


def version_folder(version: int) -> str:
    """Name of a version's folder."""
    return f"v_{version:04d}"


def staging_folder(version: int, owner: Owner) -> str:
    """Name of the folder in which a process builds a version."""
    return f".staging.{version_folder(version)}.{owner}"


def is_plain(name: str) -> bool:
    """Whether a name from a file may be joined to a folder: no path, no hidden file, nothing odd."""
    return bool(_PLAIN.fullmatch(name)) and not name.startswith("v_")


@dataclass(frozen=True)
class Staging:
    """A staging folder: the number that it claims and its owner (None if the name does not say)."""

    path: Path
    version: int
    owner: Owner | None

    @property
    def is_dead(self) -> bool:
        """Whether the process that built it has died on this host."""
        return self.owner is not None and self.owner.state == "dead"


@dataclass(frozen=True)
class Listing:
    """What one look into a home finds.

    Attributes:
        versions: Name of the folder of each version.
        staging: Versions that are being built, or were when their process died.
        problems: Names that do not belong there, one sentence each.
    """

    versions: dict[int, str] = field(default_factory=dict)
    staging: list[Staging] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def list_home(home: Path) -> Listing:
    """Look into a home; one that is absent is empty."""
    listing = Listing()
    try:
        with os.scandir(home) as found:
            for item in found:
                _sort_in(item, home, listing)
                sign_of_life()
    except (FileNotFoundError, NotADirectoryError):
        return listing
    except OSError as error:
        listing.problems.append(f"{home} cannot be read: {error}.")
    listing.staging.sort(key=lambda staging: staging.version)
    listing.problems.sort()
    return listing


def _sort_in(item: os.DirEntry, home: Path, listing: Listing) -> None:
    name = item.name
    if (named := _VERSION.fullmatch(name)) and item.is_dir(follow_symlinks=False) and int(named[1]) <= MAX_VERSION:
        _add_version(int(named[1]), name, listing)
    elif staged := _STAGING.fullmatch(name):
        listing.staging.append(Staging(home / name, int(staged[1]), Owner.parse(staged[2])))
    elif name.startswith(".") or name in (INDEX, AUDIT, RETIREMENTS):
        return
    elif item.is_symlink():
        listing.problems.append(f"{name} is a symbolic link; it is not followed.")
    else:
        listing.problems.append(f"{name} does not belong here; it is passed over.")


def _add_version(version: int, name: str, listing: Listing) -> None:
    right = version_folder(version)
    known = listing.versions.setdefault(version, name)
    if known == name == right:
        return
    if known == name:
        listing.problems.append(f"{name} should be called {right}.")
        return
    listing.versions[version] = right if right in (name, known) else known
    listing.problems.append(f"{known} and {name} are both version {version}; {listing.versions[version]} counts.")
