"""The data files of a version: written into a staging folder, read back and compared, hashed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.peaks.peakfit import fitted_curves
from snapcal_workbench.calibration.types import DiffCalTable, FitTable, PixelMask, Spectra
from snapcal_workbench.errors import InputError, StoreError
from snapcal_workbench.formats.diffcal import read_diffcal, write_diffcal
from snapcal_workbench.formats.processed import Table, read_processed, write_processed
from snapcal_workbench.formats.values import read_values, write_values
from snapcal_workbench.instrument.snap.geometry import instrument_name
from snapcal_workbench.progress import Progress
from snapcal_workbench.store import fs
from snapcal_workbench.store.contents import VersionContents
from snapcal_workbench.store.layout import PARAMETERS, RECORD, is_plain
from snapcal_workbench.store.strict_json import content_hash
from snapcal_workbench.workspaces.names import OutputNames

TABLE = ".h5"
OUTPUT = ".nxs.h5"


def write_files(folder: Path, contents: VersionContents, names: OutputNames, progress: Progress) -> dict[str, str]:
    """Write the data files and attachments of a version, each flushed and read back.

    Returns:
        Hash of each file by name.

    Raises:
        OSError: A file could not be written.
        StoreError: A file does not read back as it was written.
        Cancelled: The user cancelled between two files.
    """
    writers = _writers(contents, names)
    hashes = {}
    for number, (name, (write, check)) in enumerate(writers.items()):
        progress.report(number / len(writers), f"Writing {name}")
        path = folder / name
        fs.write_with(path, write)
        fs.sync_file(path)
        if not check(path):
            raise StoreError(
                f"{name} must read back as it was written.",
                found="other values",
                fix="Check the disk, then save again.",
            )
        hashes[name] = content_hash(fs.read(path))
    return hashes | _attach(folder, contents, {RECORD, PARAMETERS, *hashes})


_Writer = tuple[Callable[[Path], object], Callable[[Path], bool]]


def _writers(contents: VersionContents, names: OutputNames) -> dict[str, _Writer]:
    instrument = instrument_name(contents.lite)
    values = {"mask": contents.mask} | ({"results": contents.pixel_results} if contents.pixel_results else {})
    diagnostic: dict[str, Spectra | FitTable | Table] = {
        names.fit_table: contents.fits,
        names.fitted: fitted_curves(contents.spectra, contents.fits),
        tof_name(names): in_tof(contents),
    }
    return {
        names.table + TABLE: (
            lambda path: write_diffcal(path, contents.table, contents.mask, instrument=instrument, source=instrument),
            lambda path: _same_table(path, contents.table, contents.mask),
        ),
        names.output + OUTPUT: (
            lambda path: write_processed(path, {names.output: contents.spectra}, instrument=instrument),
            lambda path: _same_spectra(path, contents.spectra),
        ),
        names.diagnostic + OUTPUT: (
            lambda path: write_processed(path, diagnostic, instrument=instrument),
            lambda path: set(read_processed(path)) == set(diagnostic),
        ),
        names.results + TABLE: (
            lambda path: write_values(path, values),
            lambda path: set(read_values(path)) == set(values),
        ),
    }


def tof_name(names: OutputNames) -> str:
    """Name of the focused spectra in TOF, a member of the diagnostic group."""
    return "tof" + names.output.removeprefix("dsp")


def in_tof(contents: VersionContents) -> Spectra:
    """The focused spectra of the groups in use over TOF, us, by the DIFC of each group's mean position."""
    spectra, parameters = contents.spectra, contents.parameters
    difc = dict(zip(parameters.group.tolist(), parameters.difc.tolist(), strict=True))
    kept = [i for i, number in enumerate(spectra.number.tolist()) if number in difc]
    edges = np.array([spectra.edges_of(i) * difc[int(spectra.number[i])] for i in kept])
    return Spectra(
        edges.reshape(len(kept), spectra.y.shape[1] + 1),
        spectra.y[kept],
        spectra.e[kept],
        "TOF",
        [spectra.detids[i] for i in kept],
        spectra.number[kept],
        spectra.title,
        spectra.run,
    )


def _same_table(path: Path, table: DiffCalTable, mask: PixelMask) -> bool:
    found = read_diffcal(path)
    columns = ("detid", "difc", "difa", "tzero")
    same = all(np.array_equal(getattr(found.table, name), getattr(table, name)) for name in columns)
    return same and np.array_equal(found.mask.masked, mask.masked)


def _same_spectra(path: Path, spectra: Spectra) -> bool:
    found = next(iter(read_processed(path).values()))
    return isinstance(found, Spectra) and np.array_equal(found.y, spectra.y, equal_nan=True)


def _attach(folder: Path, contents: VersionContents, taken: set[str]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for source in sorted(contents.attachments.iterdir()) if contents.attachments else []:
        if source.name in taken or not is_plain(source.name) or not fs.is_regular(source):
            raise InputError(
                "Files that are kept with a version must be regular files with plain names.",
                found=str(source),
                fix="Leave only the report and its pictures in that folder.",
            )
        fs.copy(source, folder / source.name)
        fs.sync_file(folder / source.name)
        hashes[source.name] = content_hash(fs.read(folder / source.name))
    return hashes
