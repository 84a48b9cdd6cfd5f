"""Where a calibration comes from: the software, and the identity of the files that it was made from."""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from snapcal_workbench import __version__
from snapcal_workbench.calibration.types import RunInfo

PACKAGES = ("numpy", "scipy", "numba", "h5py", "gemmi", "pydantic")
"""Packages whose version can change a result."""
SAMPLE = 1 << 20
"""Bytes at each end of a file that enter its hash: a whole run would take minutes to read."""


def software(host_name: str) -> dict[str, str]:
    """Versions of everything that can change a result, by name."""
    versions = {name: _version(name) for name in PACKAGES}
    own = {"snapcal-workbench": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return {**own, **versions, "host": host_name}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def files_of(run: RunInfo) -> list[dict[str, object]]:
    """Identity of each file that a run came from; of one that is no longer there only its path."""
    return [identity(Path(text)) for text in run.source.split(" + ") if text.strip()]


def identity(path: Path) -> dict[str, object]:
    """Path, size (bytes), time of the last change (ISO 8601, UTC), and SHA-256 of the first and last `SAMPLE` bytes."""
    try:
        status = path.stat()
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(SAMPLE))
            file.seek(max(status.st_size - SAMPLE, 0))
            digest.update(file.read(SAMPLE))
    except OSError:
        return {"path": str(path)}
    changed = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    return {"path": str(path), "size": status.st_size, "changed": changed, "endsSha256": digest.hexdigest()}
