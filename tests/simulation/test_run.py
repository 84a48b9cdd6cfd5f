"""Simulated runs: the file that facilities write, the spectra that were promised, seeds, errors."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.stats import kstest

from snapcal_workbench.calibration.types import Reflections, RunInfo
from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.formats.nexus.events import read_run_info
from snapcal_workbench.instrument.parameters import InstrumentParameters
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.state import instrument_state
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.beamline import SNAP_BEAMLINE
from snapcal_workbench.simulation.misalignment import Misalignment
from snapcal_workbench.simulation.model import Defects, RunModel
from snapcal_workbench.simulation.run import model_of_run, simulate_run, visible_reflections, write_run

BANKS = [f"bank{column}{row}" for column in range(1, 7) for row in range(1, 4)]
LATTICE = 5.43123


def test_file_has_what_a_facility_file_has(simulated: Any) -> None:
    with h5py.File(simulated.path) as file:
        entry = file["entry"]
        assert entry.attrs["NX_class"] == b"NXentry"
        for name in ("run_number", "title", "start_time", "end_time", "experiment_identifier", "definition"):
            assert entry[name].shape == (1,)
            assert entry[name].dtype.kind == "S"
        assert entry["run_number"][0] == b"58882"
        assert entry["proton_charge"].attrs["units"] == b"picoCoulomb"
        assert entry["duration"][0] == 300.0
        assert entry["instrument/name"][0] == b"SNAP"
        assert entry["instrument/beamline"][0] == b"BL3"
        assert [name for name in entry if "monitor" in name] == []
        assert sorted(name for name in entry if name.endswith("_events")) == [f"{bank}_events" for bank in BANKS]
        for name in SNAP_BEAMLINE.logs:
            assert set(entry[f"DASlogs/{name}"]) >= {"value", "time"}


@pytest.mark.parametrize(("module", "bank"), list(enumerate(BANKS))[::5])
def test_bank_is_chunked_deflated_and_ordered_by_pulse(simulated: Any, module: int, bank: str) -> None:
    with h5py.File(simulated.path) as file:
        group = file[f"entry/{bank}_events"]
        assert group.attrs["NX_class"] == b"NXevent_data"
        kinds = {"event_id": "uint32", "event_time_offset": "float32", "event_index": "uint64"}
        for name, kind in kinds.items():
            assert group[name].dtype == kind
            assert group[name].compression == "gzip"
            assert group[name].chunks
        ids, index = group["event_id"][()], group["event_index"][()].astype(np.int64)
        assert group["event_time_offset"].attrs["units"] == b"microsecond"
        assert int(group["total_counts"][0]) == len(ids) == len(group["event_time_offset"])
        times = group["event_time_zero"][()]
        assert group["event_time_zero"].attrs["units"] == b"second"
        assert group["event_time_zero"].attrs["offset"] == file["entry/start_time"][0]
    np.testing.assert_allclose(np.diff(times), 1 / 60, rtol=1e-9)
    assert len(times) == len(index) == 18_000
    assert index[0] == 0
    assert np.diff(index).min() >= 0
    assert index[-1] <= len(ids)
    assert ids.min() >= module * 65536
    assert ids.max() < (module + 1) * 65536
    per_pulse = np.diff(np.append(index, len(ids)))
    assert per_pulse.var() == pytest.approx(per_pulse.mean(), rel=0.05)
    first_half = ids[: len(ids) // 2].mean()
    assert first_half == pytest.approx(ids.mean(), abs=5 * 65536 / np.sqrt(12 * len(ids) / 2))


@pytest.mark.parametrize("dropped", [(), *((name,) for name in SNAP.logs.alternatives)])
def test_logs_identify_the_state(simulated: Any, dropped: tuple[str, ...]) -> None:
    """The preferred logs, or the alternatives without them, give the same state id."""
    info = read_run_info(simulated.path)
    parameters = InstrumentParameters.model_validate(
        {
            "bandwidth": 3.0,
            "maxBandwidth": 3.2,
            "L1": 15.0,
            "L2": 0.5,
            "delTOverT": 0.002,
            "delLOverL": 6.452e-5,
            "width": 1600.0,
            "frequency": 60.4,
        }
    )
    logs = {name: value for name, value in info.logs.items() if name not in dropped}
    assert logs["BL3:Det:TH:BL:Frequency"] == 59.999996185302734
    state = instrument_state(type(info)(logs=logs), parameters, SNAP)
    assert state.state_id == "04bd2c53f6bf6754"


def test_counts_are_poisson_around_the_expectation(simulated: Any) -> None:
    """Chi-squared of all pixels of a bank against their expected events."""
    model = simulated.model
    ids, _ = simulated.bank("bank32")
    own = slice(7 * 65536, 8 * 65536)
    expected = (model.bragg + model.background + model.hot)[own]
    found = np.bincount(ids - own.start, minlength=65536)
    alive = expected > 0
    assert found[~alive].sum() == 0
    assert found.sum() == pytest.approx(expected.sum(), abs=4 * np.sqrt(expected.sum()))
    chi2 = np.sum((found - expected)[alive] ** 2 / expected[alive])
    assert chi2 == pytest.approx(alive.sum(), abs=5 * np.sqrt(alive.sum() * (2 + 1 / expected[alive].mean())))


def test_total_and_background_are_what_was_asked_for(simulated: Any) -> None:
    model = simulated.model
    assert model.bragg.sum() + model.background.sum() == pytest.approx(4e6)
    assert model.background.sum() == pytest.approx(0.4 * 4e6)


@pytest.mark.parametrize("bank", ["bank12", "bank41"])
def test_tofs_of_each_pixel_follow_its_spectrum(simulated: Any, bank: str) -> None:
    """Each event's place in its own pixel's distribution (closed form) is uniform over 0 .. 1."""
    ids, tof = simulated.bank(bank)
    order = np.argsort(ids, kind="stable")
    ids, tof = ids[order], tof[order]
    rng = np.random.default_rng(8)
    place = []
    for pixel in rng.choice(np.unique(ids), 2500, replace=False):
        if simulated.model.hot[pixel] == 0:
            own = slice(*np.searchsorted(ids, [pixel, pixel + 1]))
            place.append(simulated.model.spectrum_of(int(pixel)).distribution(tof[own]))
    values = np.concatenate(place)
    assert len(values) > 5000
    assert kstest(values, "uniform").pvalue > 1e-3


def _gauss(x: np.ndarray, height: float, centre: float, sigma: float, level: float, slope: float) -> np.ndarray:
    return height * np.exp(-0.5 * ((x - centre) / sigma) ** 2) + level + slope * (x - centre)


def _fitted_centre(d: np.ndarray, expected: float) -> tuple[float, float]:
    """Centre and its error of a peak in a histogram of d, relative to the expected place."""
    counts, edges = np.histogram(d, bins=60, range=(0.985 * expected, 1.015 * expected))
    middle = (edges[1:] + edges[:-1]) / 2
    start = (counts.max(), expected, 0.004 * expected, max(counts.min(), 1), 0.0)
    found, covariance = curve_fit(_gauss, middle, counts, start, sigma=np.sqrt(np.maximum(counts, 1)))
    return found[1] / expected - 1.0, np.sqrt(covariance[1, 1]) / expected


@pytest.mark.parametrize(("bank", "hkl"), [("bank12", (2, 2, 0)), ("bank12", (3, 1, 1)), ("bank43", (2, 2, 0))])
def test_peaks_lie_where_the_truth_says(simulated: Any, bank: str, hkl: tuple[int, int, int]) -> None:
    """Independent fit of a bank's sum aligned with the truth: the peak lies at a / sqrt(h^2+k^2+l^2)."""
    ids, tof = simulated.bank(bank)
    truth = simulated.truth
    expected = LATTICE / np.sqrt(sum(index**2 for index in hkl))
    right, error = _fitted_centre((tof - truth.tzero[ids]) / truth.difc[ids], expected)
    assert error < 1.5e-4
    assert abs(right) < 4 * error
    nominal = simulated.model.nominal.difc
    wrong, error = _fitted_centre((tof - truth.tzero[ids]) / nominal[ids], expected)
    own = slice(BANKS.index(bank) * 65536, (BANKS.index(bank) + 1) * 65536)
    change = np.mean(truth.difc[own] / nominal[own]) - 1.0
    assert wrong == pytest.approx(change, abs=4 * error + 1e-4)
    assert change > 5e-4


def test_dead_pixels_count_nothing_and_hot_ones_much(simulated: Any) -> None:
    expected = simulated.truth.events
    assert 0.002 * len(expected) <= np.count_nonzero(expected == 0) <= 0.002 * len(expected) + 12 * 64
    hot = np.flatnonzero(simulated.model.hot)
    assert len(hot) == 3
    bank = BANKS[hot[0] // 65536]
    ids, tof = simulated.bank(bank)
    found = tof[ids == hot[0]]
    assert len(found) > 50 * np.median(expected)
    assert np.count_nonzero(simulated.truth.information[hot]) == 0


SMALL: dict[str, Any] = {"n_events": 30_000, "misalignment": Misalignment.none(), "defects": Defects.none()}


def _events(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {
            f"{bank}/{name}": file[f"entry/{bank}_events/{name}"][()]
            for bank in BANKS
            for name in ("event_id", "event_time_offset", "event_index")
        }


@pytest.fixture(scope="module")
def small(silicon: Reflections) -> RunModel:
    return model_of_run(reflections=silicon, **SMALL)


def _written(path: Path, model: RunModel, seed: int = 1) -> dict[str, np.ndarray]:
    write_run(path, model, run_info=RunInfo(logs=SNAP_BEAMLINE.logs), seed=seed)
    return _events(path)


def test_seed_alone_decides_whatever_the_number_of_threads(
    small: RunModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _written(tmp_path / "a.nxs.h5", small)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    again = _written(tmp_path / "b.nxs.h5", small)
    other = _written(tmp_path / "c.nxs.h5", small, seed=2)
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert not np.array_equal(first["bank11/event_id"], other["bank11/event_id"])
    assert not np.array_equal(first["bank11/event_id"], first["bank12/event_id"] - 65536)


def test_a_time_offset_delays_every_event(small: RunModel, tmp_path: Path) -> None:
    prompt = _written(tmp_path / "a.nxs.h5", small)
    late = _written(tmp_path / "b.nxs.h5", replace(small, tzero=25.0))
    for bank in BANKS:
        np.testing.assert_array_equal(prompt[f"{bank}/event_id"], late[f"{bank}/event_id"])
        delay = late[f"{bank}/event_time_offset"].astype(float) - prompt[f"{bank}/event_time_offset"]
        np.testing.assert_allclose(delay, 25.0, atol=2e-3)


def test_a_run_in_one_call_is_its_model_written(silicon: Reflections, small: RunModel, tmp_path: Path) -> None:
    truth = simulate_run(tmp_path / "a.nxs.h5", reflections=silicon, run_number="60001", **SMALL)
    expected = _written(tmp_path / "b.nxs.h5", small)
    for name, values in _events(tmp_path / "a.nxs.h5").items():
        np.testing.assert_array_equal(values, expected[name])
    np.testing.assert_array_equal(truth.difc, small.nominal.difc)
    info = read_run_info(tmp_path / "a.nxs.h5")
    assert (info.run_number, info.duration) == ("60001", 300.0)
    assert info.logs["det_arc1"] == -65.3


def test_back_to_back_peaks_trail_the_truth(silicon: Reflections, tmp_path: Path) -> None:
    """Mean of a sharp calibrant's peak without background: T0 + 1/beta - 1/alpha."""
    one = _single_peak(silicon)
    changes = {"reflections": one, "background": 0.0, "peak_shape": "back-to-back"}
    model = model_of_run(**{**SMALL, **changes, "n_events": 100_000})
    found = _written(tmp_path / "tail.nxs.h5", model)
    ids = np.concatenate([found[f"{bank}/event_id"] for bank in BANKS]).astype(np.int64)
    tof = np.concatenate([found[f"{bank}/event_time_offset"] for bank in BANKS]).astype(np.float64)
    delay = tof - model.instrument.difc[ids] * one.d[0]
    expected = 1.0 / (0.02 + 0.05 / one.d[0] ** 4) - 10.0
    assert delay.mean() == pytest.approx(expected, abs=4 * delay.std() / np.sqrt(len(delay)))


def _single_peak(silicon: Reflections) -> Reflections:
    """The 311 reflection alone, which every pixel sees."""
    at = int(np.argmin(np.abs(silicon.d - LATTICE / np.sqrt(11.0))))
    return Reflections(
        silicon.hkl[at : at + 1],
        silicon.d[at : at + 1],
        silicon.f_squared[at : at + 1],
        silicon.multiplicity[at : at + 1],
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n_events": 0}, "needs events"),
        ({"background": 1.0}, "background"),
        ({"background": -0.1}, "background"),
        ({"peak_shape": "lorentzian"}, "shapes"),
        ({"logs": {"BL3:Chop:Skf1:WavelengthUserReq": 20.0}}, "reflection"),
    ],
)
def test_impossible_runs_are_refused(silicon: Reflections, tmp_path: Path, wrong: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        simulate_run(tmp_path / "run.nxs.h5", reflections=silicon, **{**SMALL, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_cancelling_leaves_no_file(silicon: Reflections, tmp_path: Path) -> None:
    reports: list[float] = []
    progress = Progress(on_report=lambda part, _: reports.append(part), is_cancelled=lambda: len(reports) > 4)
    with pytest.raises(Cancelled):
        simulate_run(tmp_path / "run.nxs.h5", reflections=silicon, progress=progress, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_reflections_are_those_of_the_text(silicon: Reflections) -> None:
    text = "data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
    text += "_cell_angle_gamma 90\n_space_group_name_H-M_alt 'P m -3 m'\nloop_\n_atom_site_label\n_atom_site_fract_x\n"
    text += "_atom_site_fract_y\n_atom_site_fract_z\nNi1 0 0 0\n"
    assert visible_reflections(text).d.max() == pytest.approx(4.0)
    assert silicon.d.max() == pytest.approx(LATTICE / np.sqrt(3.0))
    assert silicon.d.min() < 0.31
