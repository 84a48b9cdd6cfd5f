"""A small calibration tree, and contents of versions with the pixels of the lite instrument and tiny spectra."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from snapcal_workbench.calibration.types import (
    DiffCalTable,
    ExpectedPeaks,
    FitTable,
    Geometry,
    GroupMetrics,
    GroupParameters,
    MaskReason,
    PixelGrouping,
    PixelMask,
    PixelResults,
    RunInfo,
    Spectra,
)
from snapcal_workbench.formats.diffcal import diffcal_image
from snapcal_workbench.formats.index import IndexEntry
from snapcal_workbench.instrument.model import PixelMode
from snapcal_workbench.instrument.parameters import InstrumentParameters
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.state import InstrumentState, instrument_state
from snapcal_workbench.options import CalibrationOptions, Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.disk import fs
from snapcal_workbench.store.disk.strict_json import content_hash
from snapcal_workbench.store.state_init import init_state
from snapcal_workbench.store.state_store import StateStore
from snapcal_workbench.store.version.contents import VersionContents
from snapcal_workbench.store.version.record import default_record_json, parameters_json

Value = TypeVar("Value", DiffCalTable, PixelMask, PixelResults)
RUN = "58882"
N_PIXELS = 18432

Keep = Callable[..., int]


def settings_in(root: Path, layout: str = "auto") -> Settings:
    """Settings of a tree in a folder, made with a default grouping map."""
    settings = Settings(
        ipts_root=root / "SNS", calibration_home=root / "cal", lock_directory=root / "locks", index_layout=layout
    )
    settings.pixel_groupings.mkdir(parents=True, exist_ok=True)
    empty_map = {"stateId": "aabbbcccdddeeeff", "nativeFocusGroups": [], "liteFocusGroups": []}
    (settings.pixel_groupings / "defaultGroupingMap.json").write_text(json.dumps(empty_map))
    return settings


def snap_state() -> InstrumentState:
    """The state whose id is 04bd2c53f6bf6754."""
    logs = {
        "det_arc1": -65.3,
        "det_arc2": 104.95,
        "det_lin1": 0.045,
        "det_lin2": 0.043,
        "BL3:Chop:Skf1:WavelengthUserReq": 2.1,
        "BL3:Det:TH:BL:Frequency": 59.999996185302734,
        "BL3:Mot:OpticsPos:Pos": 1,
    }
    parameters = InstrumentParameters.model_validate(
        {
            "version": 0,
            "facility": "SNS",
            "bandwidth": 3.0,
            "maxBandwidth": 3.0,
            "L1": 15.0,
            "L2": 0.5,
            "delTOverT": 0.002,
            "delLOverL": 6.452e-5,
            "width": 1600.0,
            "frequency": 60.4,
        }
    )
    return instrument_state(RunInfo(RUN, logs=logs), parameters, SNAP)


def make_contents(
    state: InstrumentState, *, run_number: str = RUN, seed: int = 1, mode: PixelMode = SNAP.lite
) -> VersionContents:
    """A version of six column groups with a few bins and one peak each."""
    rng = np.random.default_rng(seed)
    geometry = state.geometry(mode)
    n, groups = len(geometry), np.arange(1, 7, dtype=np.int32)
    shift = rng.normal(0, 1e-3, n)
    reason = np.where(rng.random(n) < 0.01, MaskReason.NO_COUNTS, MaskReason.USED).astype(np.uint8)
    zeros, column = np.zeros(n), np.linspace(0.5, 2.0, 6)
    detids = np.array_split(geometry.detid, 6)
    peaks = {
        int(g): ExpectedPeaks(
            int(g),
            np.array([[2, 2, 0]], np.int32),
            np.array([1.9202]),
            np.array([1000.0]),
            np.array([12], np.int32),
            np.array([1.9]),
            np.array([1.94]),
        )
        for g in groups
    }
    x = column * 1e-3
    counts = rng.poisson(100, (6, 20)).astype(float)
    return VersionContents(
        run_number=run_number,
        mode=mode,
        table=DiffCalTable(geometry.detid, geometry.difc * np.exp(shift), zeros, zeros),
        mask=PixelMask(geometry.detid, reason),
        pixel_results=PixelResults(geometry.detid, shift, zeros, shift, zeros, zeros, zeros, reason),
        spectra=Spectra(
            np.geomspace(1.8, 2.0, 21), counts, np.sqrt(counts), "dSpacing", detids, groups, run=RunInfo(run_number)
        ),
        fits=_fits(groups),
        parameters=GroupParameters(
            groups, column, column, column, column * 0.4, column + 1, column * 1e-3, 15.0, 2546.74, 14105.04
        ),
        grouping=PixelGrouping(geometry.detid, np.repeat(groups, n // 6), "Column"),
        grouping_name="Column",
        grouping_definition="SNAPFocGroup_Column.lite.hdf",
        peaks=peaks,
        metrics=GroupMetrics(groups, x, x, x, x, x, x, x, x, x, groups, groups),
        state=state,
        calibrant_path="/data/Silicon_NIST_640D_001.json",
        options=CalibrationOptions(),
        provenance={"inputs": {"file": "SNAP_58882.nxs.h5"}},
    )


def _fits(groups: np.ndarray) -> FitTable:
    column = np.linspace(1.9, 1.95, len(groups))
    return FitTable(
        group=groups,
        hkl=np.tile(np.array([[2, 2, 0]], np.int32), (len(groups), 1)),
        d=column,
        centre=column + 1e-4,
        centre_error=column * 1e-5,
        sigma=column * 2e-3,
        height=column * 100,
        intensity=column * 10,
        chi2=column,
        used=np.ones(len(groups), bool),
        why_not=("",) * len(groups),
        window_min=column - 0.02,
        window_max=column + 0.02,
        parameters=np.stack([column * 10, column, column * 2e-3, column, column * 0], axis=1),
        parameter_names=("area", "centre", "sigma", "background", "slope"),
        profile="Gaussian",
    )


@pytest.fixture(scope="session")
def state() -> InstrumentState:
    """The instrument state of the tests."""
    return snap_state()


@pytest.fixture(scope="session")
def contents(state: InstrumentState) -> VersionContents:
    """A version's contents."""
    return make_contents(state)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an empty tree."""
    return settings_in(tmp_path)


@pytest.fixture
def store(settings: Settings, state: InstrumentState) -> StateStore:
    """The lite store of an initialised state."""
    init_state(settings, state, name="tests", run_number=RUN, author="tester", progress=Progress())
    return StateStore(settings, state.state_id, SNAP.lite)


@pytest.fixture
def keep(store: StateStore, contents: VersionContents) -> Keep:
    """Save a version; returns its number."""

    def save(applies_to: str | None = None, comments: str = "a test", **changed: object) -> int:
        changed_contents = replace(contents, **changed)  # type: ignore[arg-type]
        return store.save(changed_contents, author="tester", comments=comments, applies_to=applies_to).version

    return save


@pytest.fixture(scope="session")
def leveled_tree(tmp_path_factory: pytest.TempPathFactory, state: InstrumentState) -> Path:
    """A tree with the mode level and an initialised state, to be copied."""
    root = tmp_path_factory.mktemp("leveled")
    settings = settings_in(root, "with mode level")
    init_state(settings, state, name="tests", run_number=RUN, author="tester", progress=Progress())
    return root


@pytest.fixture
def leveled(leveled_tree: Path, tmp_path: Path) -> Settings:
    """Settings of a tree with the mode level and an initialised state."""
    shutil.copytree(leveled_tree, tmp_path / "leveled")
    return settings_in(tmp_path / "leveled", "with mode level")


@pytest.fixture(scope="session")
def native_contents(state: InstrumentState) -> VersionContents:
    """A native version's contents, without per-pixel results."""
    return replace(make_contents(state, mode=SNAP.native), pixel_results=None)


@pytest.fixture(scope="session")
def flat_tree(tmp_path_factory: pytest.TempPathFactory, state: InstrumentState) -> Path:
    """A tree without the mode level and an initialised state of twelve pixels, to be copied."""
    root = tmp_path_factory.mktemp("flat")
    with pytest.MonkeyPatch.context() as patch:
        whole = InstrumentState.geometry
        patch.setattr(InstrumentState, "geometry", lambda state, mode: few_of(whole(state, mode)))
        init_state(settings_in(root), state, name="tests", run_number=RUN, author="tester", progress=Progress())
    return root


def few_of(geometry: Geometry) -> Geometry:
    """Twelve pixels of an instrument."""
    step = len(geometry) // 12
    return Geometry(
        geometry.detid[::step],
        geometry.l1,
        geometry.l2[::step],
        geometry.two_theta[::step],
        geometry.azimuth[::step],
    )


@pytest.fixture(scope="session")
def few_pixels(contents: VersionContents) -> VersionContents:
    """Contents of twelve pixels, for tests that save often; use with `small_instrument`."""

    def cut(value: Value) -> Value:
        return replace(value, **{name: array[:: N_PIXELS // 12] for name, array in vars(value).items()})

    table, results, mask = contents.table, contents.pixel_results, contents.mask
    assert results is not None
    return replace(
        contents,
        table=cut(table),
        mask=cut(mask),
        pixel_results=cut(results),
        spectra=replace(contents.spectra, detids=[np.arange(g, g + 2, dtype=np.int32) for g in range(6)]),
    )


@pytest.fixture
def small_instrument(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let versions of twelve pixels pass."""
    monkeypatch.setattr(PixelMode, "n_pixels", 12)


class TinyDraft:
    """A version of one small file, for tests that publish often; see `store.publish.Draft`."""

    def __init__(self, table: DiffCalTable, run_number: str = RUN) -> None:
        self.table, self.run_number = table, run_number

    def table_name(self, version: int) -> str:
        return f"diffract_consts_{int(self.run_number):06d}_v{version:04d}"

    def write_files(self, folder: Path, version: int, progress: Progress) -> dict[str, str]:
        data = diffcal_image(self.table)
        fs.create(folder / f"{self.table_name(version)}.h5", data)
        return {f"{self.table_name(version)}.h5": content_hash(data)}

    def entry(self, version: int, timestamp: str) -> IndexEntry:
        return IndexEntry(
            version=version,
            run_number=self.run_number,
            use_lite_mode=True,
            applies_to=">=1",
            comments="c",
            author="tester",
            timestamp=timestamp,
        )

    def documents(self, entry: IndexEntry, hashes: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        parameters = parameters_json(
            entry, {}, seed_run=self.run_number, creation_date=entry.timestamp, name="tests", calibrant_path=None
        )
        return parameters, default_record_json(entry, parameters, self.table_name(entry.version), hashes)


@pytest.fixture(scope="session")
def tiny_draft(few_pixels: VersionContents) -> TinyDraft:
    """A version of one small file."""
    return TinyDraft(few_pixels.table)


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: killing a process there leaves what it leaves on a disk, but faster."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    path = Path(tempfile.mkdtemp(dir=memory, prefix="snapcal-tests-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def fresh_store(flat_tree: Path, quick_path: Path, state: InstrumentState) -> Callable[[], StateStore]:
    """Makes a store with the default alone, each time anew."""

    def make() -> StateStore:
        root = quick_path / "fresh"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(flat_tree, root, symlinks=True)
        return StateStore(settings_in(root), state.state_id, SNAP.lite)

    return make
