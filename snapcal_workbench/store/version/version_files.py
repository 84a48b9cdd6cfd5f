"""The data files of a version: made in memory, hashed, written into a staging folder, read back and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from snapcal_workbench.calibration.peaks.peakfit import fitted_curves
from snapcal_workbench.calibration.types import FitTable, Spectra
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.diffcal import diffcal_image
from snapcal_workbench.formats.processed import Table, processed_image
from snapcal_workbench.formats.values import values_image
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.strict_json import content_hash
from snapcal_workbench.store.layout import PARAMETERS, RECORD, is_plain
from snapcal_workbench.store.version.contents import VersionContents
from snapcal_workbench.workspaces.names import OutputNames

TABLE = ".h5"
OUTPUT = ".nxs.h5"


def write_files(folder: Path, contents: VersionContents, names: OutputNames, progress: Progress) -> dict[str, str]:
    """Write the data files and attachments of a version, each flushed and read back.

    Returns:
        Hash of each file by name: of the bytes that were meant, not of those that a disk may hold instead.

    Raises:
        OSError: A file could not be written, or does not read back as it was written.
        Cancelled: The user cancelled between two files.
    """
    makers = _makers(contents, names)
    hashes = {}
    for number, (name, make) in enumerate(makers.items()):
        progress.report(number / len(makers), f"Writing {name}")
        data = make()
        fs.create(folder / name, data)
        hashes[name] = content_hash(data)
    return hashes | _attach(folder, contents, {RECORD, PARAMETERS, *hashes})


def _makers(contents: VersionContents, names: OutputNames) -> dict[str, Callable[[], bytes]]:
    """What makes the bytes of each data file, by name."""
    instrument = contents.mode.definition
    values = {"mask": contents.mask} | ({"results": contents.pixel_results} if contents.pixel_results else {})
    diagnostic: dict[str, Spectra | FitTable | Table] = {
        names.fit_table: contents.fits,
        names.fitted: fitted_curves(contents.spectra, contents.fits),
        tof_name(names): in_tof(contents),
    }
    return {
        names.table + TABLE: lambda: diffcal_image(
            contents.table, contents.mask, instrument=instrument, source=instrument
        ),
        names.output + OUTPUT: lambda: processed_image({names.output: contents.spectra}, instrument=instrument),
        names.diagnostic + OUTPUT: lambda: processed_image(diagnostic, instrument=instrument),
        names.results + TABLE: lambda: values_image(values),
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


def _attach(folder: Path, contents: VersionContents, taken: set[str]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for source in sorted(contents.attachments.iterdir()) if contents.attachments else []:
        if source.name in taken or not is_plain(source.name) or not fs.is_regular(source):
            raise InputError(
                "Files that are kept with a version must be regular files with plain names.",
                found=str(source),
                fix="Leave only the report and its pictures in that folder.",
            )
        data = fs.read(source)
        fs.create(folder / source.name, data)
        hashes[source.name] = content_hash(data)
    return hashes
