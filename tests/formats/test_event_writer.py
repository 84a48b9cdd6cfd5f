"""Writing SNS event NeXus files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.types import RunInfo, TofWindow
from snapcal_workbench.errors import Cancelled, InputError
from snapcal_workbench.formats.nexus.events import BankEvents, read_events, read_run_info, write_events
from snapcal_workbench.progress import Progress

RUN = RunInfo(
    run_number="58882",
    title="Silicon",
    start_time="2023-05-01T10:00:00",
    end_time="2023-05-01T10:10:00",
    proton_charge=12.5,
    duration=600.0,
    logs={"det_arc1": -65.3, "BL3:Det:TH:BL:Frequency": 60.0, "BL3:Mot:OpticsPos:Pos": 1, "phase": "in", "on": True},
)


def _banks(sizes: dict[str, int], pulses: int = 50) -> Iterator[BankEvents]:
    random = np.random.default_rng(5)
    for number, (name, size) in enumerate(sizes.items()):
        ids = random.integers(100 * number, 100 * number + 100, size).astype(np.uint32)
        tof = random.uniform(1000, 16000, size).astype(np.float32)
        index = np.sort(random.integers(0, size + 1, pulses)).astype(np.uint64)
        yield BankEvents(name, ids, tof, np.arange(pulses) / 60, index)


def test_the_layout_is_the_one_of_the_facility(tmp_path: Path) -> None:
    """Every group, class, type, unit and storage that Mantid's LoadEventNexus looks at; an empty bank, too."""
    path = tmp_path / "SNAP_58882.nxs.h5"
    sizes = {"bank11_events": 150_000, "bank12_events": 0}
    xml = "<instrument/>"
    write_events(path, run_info=RUN, banks=_banks(sizes), instrument_xml=xml, experiment="IPTS-24641")
    written = {bank.name: bank for bank in _banks(sizes)}
    with h5py.File(path) as file:
        entry = file["entry"]
        assert entry.attrs["NX_class"] == b"NXentry"
        texts = {"run_number": b"58882", "title": b"Silicon", "experiment_identifier": b"IPTS-24641"}
        for name, text in {**texts, "start_time": b"2023-05-01T10:00:00", "end_time": b"2023-05-01T10:10:00"}.items():
            assert entry[name][()].tolist() == [text]
            assert entry[name].dtype.kind == "S"
        assert entry["proton_charge"][0] == pytest.approx(12.5 * 3.6e9)
        assert entry["proton_charge"].attrs["units"] == b"picoCoulomb"
        assert entry["duration"][0] == 600.0
        assert entry["instrument"].attrs["NX_class"] == b"NXinstrument"
        assert (entry["instrument/name"][0], entry["instrument/beamline"][0]) == (b"SNAP", b"BL3")
        assert entry["instrument/instrument_xml/data"][0] == xml.encode()
        log = entry["DASlogs/det_arc1"]
        assert log.attrs["NX_class"] == b"NXlog"
        assert (log["value"][()].tolist(), log["value"].attrs["units"]) == ([-65.3], b"deg")
        assert (log["time"][0], log["time"].attrs["units"]) == (0.0, b"second")
        assert log["time"].attrs["start"] == b"2023-05-01T10:00:00"
        for name, size in sizes.items():
            bank = entry[name]
            assert bank.attrs["NX_class"] == b"NXevent_data"
            assert bank["total_counts"][()].tolist() == [size]
            for member, dtype in (
                ("event_id", "u4"),
                ("event_time_offset", "f4"),
                ("event_time_zero", "f8"),
                ("event_index", "u8"),
            ):
                stored = bank[member]
                assert stored.dtype == np.dtype(dtype)
                assert (stored.compression, stored.compression_opts, stored.shuffle) == ("gzip", 4, False)
            assert bank["event_time_offset"].attrs["units"] == b"microsecond"
            assert bank["event_time_zero"].attrs["units"] == b"second"
            assert bank["event_time_zero"].attrs["offset"] == b"2023-05-01T10:00:00"
            np.testing.assert_array_equal(bank["event_id"][()], written[name].event_id)
            np.testing.assert_array_equal(bank["event_time_offset"][()], written[name].tof)
            np.testing.assert_array_equal(bank["event_index"][()], written[name].event_index)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """The run and all events, by our own readers."""
    path = tmp_path / "SNAP_58882.nxs.h5"
    sizes = {"bank11_events": 70_000, "bank21_events": 3, "bank31_events": 65_536}
    write_events(path, run_info=RUN, banks=_banks(sizes))
    info = read_run_info(path)
    assert replace(info, source="", logs={}) == replace(RUN, logs={})
    assert info.logs == {**RUN.logs, "on": 1}
    tof, start = read_events(path, pixel_of=None, n_pixels=300, window=TofWindow(0, 1e6))
    banks = list(_banks(sizes))
    ids, tofs = (np.concatenate([bank[place] for bank in banks]) for place in (1, 2))
    np.testing.assert_array_equal(np.diff(start), np.bincount(ids, minlength=300))
    np.testing.assert_array_equal(tof, tofs[np.lexsort((tofs, ids))])


@pytest.mark.parametrize("pulses", [0, 1])
def test_every_bank_with_events_has_two_pulses(tmp_path: Path, pulses: int) -> None:
    """LoadEventNexus takes a bank whose event_index is nothing but 0 for an empty one, and says nothing."""
    one = next(_banks({"bank11_events": 100}))
    bank = one._replace(event_time_zero=one.event_time_zero[:pulses], event_index=np.zeros(pulses, np.uint64))
    path = tmp_path / "a.nxs.h5"
    write_events(path, run_info=RUN, banks=[bank])
    with h5py.File(path) as file:
        written = file["entry/bank11_events"]
        assert written["event_index"][()].tolist() == [0, 100]
        assert len(written["event_time_zero"]) == 2
        assert len(written["event_id"]) == 100


def test_equal_events_make_equal_files(tmp_path: Path) -> None:
    """Whatever the order in which the threads finish."""
    for name in ("a.nxs.h5", "b.nxs.h5"):
        write_events(tmp_path / name, run_info=RUN, banks=_banks({"bank11_events": 400_000}))
    assert (tmp_path / "a.nxs.h5").read_bytes() == (tmp_path / "b.nxs.h5").read_bytes()


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """And no file is left."""
    good = next(_banks({"bank11_events": 100}))
    bad = [
        good._replace(tof=good.tof[:-1]),
        good._replace(event_time_zero=good.event_time_zero[:-1]),
        good._replace(event_index=good.event_index[::-1]),
        good._replace(event_index=good.event_index + np.uint64(1000)),
    ]
    for bank in bad:
        with pytest.raises(InputError, match="bank11_events must fit together"):
            write_events(tmp_path / "a.nxs.h5", run_info=RUN, banks=[bank])
    assert not list(tmp_path.iterdir())


def test_banks_are_asked_for_one_by_one_and_cancelling_leaves_nothing(tmp_path: Path) -> None:
    """A run that is cancelled after its second bank neither makes the third nor replaces the file of before."""
    path = tmp_path / "a.nxs.h5"
    write_events(path, run_info=RUN, banks=_banks({"bank11_events": 10}))
    before = path.read_bytes()
    made: list[str] = []

    def banks() -> Iterator[BankEvents]:
        for bank in _banks({f"bank{i}1_events": 100 for i in range(5)}):
            made.append(bank.name)
            yield bank

    with pytest.raises(Cancelled):
        write_events(path, run_info=RUN, banks=banks(), progress=Progress(is_cancelled=lambda: len(made) == 2))
    assert len(made) == 2
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
