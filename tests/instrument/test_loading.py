"""From a request to events, with real files: state, geometry, lite pixels, sums of runs, and every error on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import Events
from snapcal_workbench.errors import Cancelled, FileFormatError, InputError, NotFoundError
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.loading import load_events
from snapcal_workbench.instrument.merging import merged_by_place
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.protocol import RunRequest
from tests.instrument.conftest import LOGS, write_parameters, write_run


def _banks(seed: int, events: int = 500) -> dict[str, tuple[list[int], list[float]]]:
    """Random events inside the window in three banks; two more outside it."""
    rng = np.random.default_rng(seed)
    banks = {}
    for bank, module in (("bank11", 0), ("bank22", 4), ("bank63", 17)):
        ids = 65536 * module + rng.integers(0, 65536, events)
        banks[bank] = (ids.tolist(), rng.uniform(2600.0, 14000.0, events).tolist())
    banks["bank11"][0].extend([3, 3])
    banks["bank11"][1].extend([2000.0, 15000.0])
    return banks


def _expected(*all_banks: dict[str, tuple[list[int], list[float]]]) -> tuple[np.ndarray, np.ndarray]:
    """Native ids and TOF of the events inside the window."""
    ids = np.concatenate([ids for banks in all_banks for ids, _ in banks.values()])
    tof = np.concatenate([tof for banks in all_banks for _, tof in banks.values()]).astype(np.float32)
    inside = (tof > 2546.74) & (tof < 14105.04)
    return ids[inside], tof[inside]


def _check(events: Events, pixel: np.ndarray, tof: np.ndarray) -> None:
    np.testing.assert_array_equal(events.counts, np.bincount(pixel, minlength=len(events.geometry)))
    owner = np.repeat(events.geometry.detid, np.diff(events.start))
    found, wanted = np.lexsort((events.tof, owner)), np.lexsort((tof, pixel))
    np.testing.assert_array_equal(events.tof[found], tof[wanted])
    np.testing.assert_array_equal(owner[found], pixel[wanted])


@pytest.mark.parametrize("lite", [False, True])
def test_a_run_becomes_events_of_its_pixels(tree: Settings, add_run: Callable[..., Path], lite: bool) -> None:
    banks = _banks(1)
    path = add_run(58882, banks=banks)
    events = load_events(RunRequest(("58882",), SNAP.lite if lite else SNAP.native), tree)
    ids, tof = _expected(banks)
    _check(events, merged_by_place(SNAP.native.layout, 8)[ids] if lite else ids, tof)
    assert len(events.geometry) == (SNAP.lite.n_pixels if lite else SNAP.native.n_pixels)
    assert events.window.minimum == pytest.approx(2546.74, abs=0.01)
    assert (events.run.run_number, events.run.title, events.run.source) == ("58882", "Si", str(path))
    assert events.run.proton_charge == pytest.approx(2.0)


def test_the_state_follows_from_the_last_value_of_the_logs(tree: Settings, add_run: Callable[..., Path]) -> None:
    add_run(58882, logs={**LOGS, "unrelated": 1.0})
    identified = identify_run(RunRequest((58882,), SNAP.lite), tree)  # type: ignore[arg-type]
    assert identified.state.state_id == "04bd2c53f6bf6754"
    assert identified.info.logs["det_arc1"] == -65.3
    assert "unrelated" not in identified.info.logs
    assert [file.run_number for file in identified.files] == ["58882"]


def test_prompt_pulses_are_removed(tree: Settings, add_run: Callable[..., Path]) -> None:
    write_parameters(tree, {0: (">=0", "2024-01-01T00:00:00.000000000+0000", {"frequency": 200.0, "width": 1000.0})})
    add_run(58882, banks={"bank11": ([1, 1, 1, 1], [4999.0, 5001.0, 5999.0, 6001.0])})
    assert sorted(load_events(RunRequest(("58882",), SNAP.lite), tree).tof) == [4999.0, 6001.0]


def test_runs_of_one_state_are_summed(tree: Settings, add_run: Callable[..., Path]) -> None:
    banks = [_banks(seed) for seed in (1, 2, 3)]
    paths = [add_run(58880 + i, banks=content) for i, content in enumerate(banks)]
    events = load_events(RunRequest(("58880", paths[1], "58882"), SNAP.lite), tree)
    ids, tof = _expected(*banks)
    _check(events, merged_by_place(SNAP.native.layout, 8)[ids], tof)
    assert events.run.run_number == "58880+58881+58882"
    assert events.run.proton_charge == pytest.approx(6.0)
    assert all(str(path) in events.run.source for path in paths)


def test_runs_of_two_states_are_not_summed(tree: Settings, add_run: Callable[..., Path]) -> None:
    add_run(58881)
    add_run(58882, logs={**LOGS, "BL3:Mot:OpticsPos:Pos": 2})
    with pytest.raises(InputError, match=r"run 58881: state 04bd2c53f6bf6754, run 58882: state ffefaa93ccb23678"):
        identify_run(RunRequest(("58881", "58882"), SNAP.lite), tree)


def test_a_moved_detector_within_a_state_is_a_warning(tree: Settings, add_run: Callable[..., Path]) -> None:
    add_run(58881)
    add_run(58882, logs={**LOGS, "det_arc2": 104.90})
    warnings: list[str] = []
    progress = Progress(on_message=lambda level, text: warnings.append(text))
    identify_run(RunRequest(("58881", "58882"), SNAP.lite), tree, progress)
    assert len(warnings) == 1
    assert "det_arc2" in warnings[0]


def test_the_same_run_twice_is_refused(tree: Settings, add_run: Callable[..., Path]) -> None:
    path = add_run(58882)
    with pytest.raises(InputError, match="58882"):
        identify_run(RunRequest(("58882", path), SNAP.lite), tree)


def test_no_run_is_refused(tree: Settings) -> None:
    with pytest.raises(InputError, match="At least one run"):
        identify_run(RunRequest((), SNAP.lite), tree)


def test_a_file_of_another_run_is_refused_unless_given_by_path(tree: Settings) -> None:
    path = write_run(tree.ipts_root / "SNAP" / "IPTS-1" / "nexus" / "SNAP_58882.nxs.h5", "58883")
    with pytest.raises(FileFormatError, match="58883"):
        identify_run(RunRequest(("58882",), SNAP.lite), tree)
    assert identify_run(RunRequest((path,), SNAP.lite), tree).info.run_number == "58883"


def test_a_file_with_no_run_number_takes_it_from_its_name(tree: Settings, tmp_path: Path) -> None:
    named = write_run(tmp_path / "SNAP_58882.nxs.h5", "")
    assert identify_run(RunRequest((named,), SNAP.lite), tree).info.run_number == "58882"
    with pytest.raises(FileFormatError, match="of which run"):
        identify_run(RunRequest((write_run(tmp_path / "copy.nxs.h5", ""),), SNAP.lite), tree)


def test_missing_logs_are_all_named(tree: Settings, add_run: Callable[..., Path]) -> None:
    add_run(58882, logs={name: value for name, value in LOGS.items() if not name.startswith("det_")})
    with pytest.raises(NotFoundError, match=r"det_arc1[\s\S]*det_arc2[\s\S]*det_lin1[\s\S]*det_lin2"):
        identify_run(RunRequest(("58882",), SNAP.lite), tree)


def test_a_truncated_file_is_named(tree: Settings, add_run: Callable[..., Path]) -> None:
    path = add_run(58882, banks=_banks(1))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(FileFormatError, match=r"SNAP_58882\.nxs\.h5"):
        identify_run(RunRequest(("58882",), SNAP.lite), tree)


def _write_lite_file(path: Path, pixels: np.ndarray, tof: np.ndarray, weight: np.ndarray) -> None:
    """An EventWorkspace of all lite pixels with one weighted event in each of some, as SNAPRed leaves it."""
    path.parent.mkdir(parents=True)
    counts = np.bincount(pixels, minlength=SNAP.lite.n_pixels)
    with h5py.File(path, "w") as file:
        entry = file.create_group("mantid_workspace_1")
        data = entry.create_group("event_workspace")
        data["indices"] = np.concatenate([[0], np.cumsum(counts)])
        data["tof"] = tof[np.argsort(pixels)]
        data["weight"] = weight[np.argsort(pixels)].astype(np.float32)
        data["axis1"] = np.array([0.0, 17000.0])
        data["axis1"].attrs["units"] = "TOF"
        data["axis2"] = np.arange(1.0, SNAP.lite.n_pixels + 1)
        detector = entry.create_group("instrument/detector")
        detector["detector_index"] = detector["detector_list"] = np.arange(SNAP.lite.n_pixels, dtype=np.int32)
        detector["detector_count"] = np.ones(SNAP.lite.n_pixels, np.int32)
        detector["detector_positions"] = np.ones((SNAP.lite.n_pixels, 3))
        detector["spectra"] = np.arange(1, SNAP.lite.n_pixels + 1, dtype=np.int32)
        entry["instrument/name"] = np.array([b"SNAPLite"])


def test_the_facilitys_lite_file_is_read_on_request_only(tree: Settings, add_run: Callable[..., Path]) -> None:
    banks = [_banks(1), _banks(2)]
    first, _ = (add_run(58881 + i, banks=content) for i, content in enumerate(banks))
    pixels, tof = np.array([5, 18431, 9]), np.array([3000.0, 4000.0, 16000.0])
    _write_lite_file(first.parents[1] / "shared/lite/SNAP_58881.lite.nxs.h5", pixels, tof, np.array([7.0, 2.0, 1.0]))
    request = RunRequest(("58881", "58882"), SNAP.lite)
    _check(
        load_events(request, tree), merged_by_place(SNAP.native.layout, 8)[_expected(*banks)[0]], _expected(*banks)[1]
    )
    asked = load_events(request, tree.model_copy(update={"read_lite_from_ipts": True}))
    ids, _ = _expected(banks[1])
    expected = np.bincount(merged_by_place(SNAP.native.layout, 8)[ids], minlength=SNAP.lite.n_pixels).astype(float)
    expected[[5, 18431]] += [7.0, 2.0]  # the event at 16000 us lies outside the window
    np.testing.assert_array_equal(asked.counts, expected)
    assert asked.geometry.l2.max() < 0.7  # from the logs, not from the file
    native = load_events(RunRequest(("58881",), SNAP.native), tree.model_copy(update={"read_lite_from_ipts": True}))
    assert len(native.geometry) == SNAP.native.n_pixels


def test_a_lite_file_of_other_pixels_is_refused(
    tree: Settings, add_run: Callable[..., Path], reference_data: Path
) -> None:
    native = add_run(58882)
    lite = native.parents[1] / "shared" / "lite" / "SNAP_58882.lite.nxs.h5"
    lite.parent.mkdir(parents=True)
    shutil.copy(reference_data / "mantid" / "events.nxs", lite)
    with pytest.raises(FileFormatError, match="18432 lite pixels"):
        load_events(RunRequest(("58882",), SNAP.lite), tree.model_copy(update={"read_lite_from_ipts": True}))


def test_loading_can_be_cancelled(tree: Settings, add_run: Callable[..., Path]) -> None:
    add_run(58882, banks=_banks(1))
    with pytest.raises(Cancelled):
        load_events(RunRequest(("58882",), SNAP.lite), tree, Progress(is_cancelled=lambda: True))


def test_a_second_look_is_saved(tree: Settings, add_run: Callable[..., Path]) -> None:
    banks = _banks(4)
    add_run(58882, banks=banks)
    request = RunRequest(("58882",), SNAP.lite)
    identified = identify_run(request, tree)
    (tree.instrument_parameters / "InstrumentParameterIndex.json").unlink()
    assert load_events(request, tree, identified=identified).counts.sum() == len(_expected(banks)[0])
