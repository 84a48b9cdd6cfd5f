"""Reading events sorted by pixel."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from snapcal_workbench.calibration.event_order import sort_within_pixels
from snapcal_workbench.calibration.types import TofWindow
from snapcal_workbench.errors import Cancelled, FileFormatError, InputError, NotFoundError
from snapcal_workbench.formats.nexus import _event_banks
from snapcal_workbench.formats.nexus.events import merge_events, read_events
from snapcal_workbench.progress import Progress

ALL = TofWindow(0.0, 1e6)
PIXELS = 40


def _raw(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """All ids and TOFs of a file, bank by bank, read with h5py alone."""
    with h5py.File(path) as file:
        banks = [file[f"entry/{name}"] for name in file["entry"] if name.endswith("_events")]
        ids = np.concatenate([bank["event_id"][()].astype(np.int64) for bank in banks])
        return ids, np.concatenate([bank["event_time_offset"][()] for bank in banks])


def _expected(pixel: np.ndarray, tof: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Events sorted by pixel, and by TOF within it, by numpy."""
    order = np.lexsort((tof, pixel))
    start = np.concatenate([[0], np.cumsum(np.bincount(pixel, minlength=n))])
    return tof[order], start


def _assert_same(found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])
    assert (found[0].dtype, found[1].dtype) == (np.float32, np.int64)


def _change(path: Path, name: str, values: object, **attributes: object) -> None:
    with h5py.File(path, "a") as file:
        group = file["entry"]
        kept = dict(group[name].attrs) if name in group else {}
        if name in group:
            del group[name]
        if values is not None:
            group[name] = values
            group[name].attrs.update({**kept, **attributes})


class Messages(list):
    """What a step tells the user."""

    def progress(self, **options: Callable[[], bool]) -> Progress:
        """A progress that collects messages."""
        return Progress(on_message=lambda level, text: self.append((level, text)), **options)  # type: ignore[arg-type]


def test_events_are_those_of_a_plain_sort(event_file: Path) -> None:
    """Every event, in order of TOF within a pixel; pixels without events have none."""
    ids, tof = _raw(event_file)
    _assert_same(
        read_events(event_file, pixel_of=None, n_pixels=PIXELS + 5, window=ALL), _expected(ids, tof, PIXELS + 5)
    )


def test_a_map_puts_ids_into_other_pixels(event_file: Path, rng: np.random.Generator) -> None:
    """Banks whose pixels interleave, and ids without a pixel, which are dropped with a warning."""
    pixel_of = rng.integers(-1, 7, PIXELS).astype(np.int32)
    ids, tof = _raw(event_file)
    messages = Messages()
    found = read_events(event_file, pixel_of=pixel_of, n_pixels=7, window=ALL, progress=messages.progress())
    known = pixel_of[ids] >= 0
    _assert_same(found, _expected(pixel_of[ids][known], tof[known], 7))
    assert messages == [
        ("warning", f"SNAP_58882.nxs.h5: {np.count_nonzero(~known)} events of unknown detector ids were dropped.")
    ]


def test_the_window_and_its_gaps(event_file: Path) -> None:
    """The window's ends are kept, the gaps' ends are not, in double precision."""
    ids, tof = _raw(event_file)
    low, high = float(tof[10]), float(tof[11])
    low, high = min(low, high), max(low, high)
    gaps = ((low + 100.0, low + 400.3), (float(tof[tof > low + 500].min()), low + 900.0))
    window = TofWindow(low, high, gaps)
    time = tof.astype(float)
    keep = (time >= low) & (time <= high)
    for first, last in gaps:
        keep &= ~((time >= first) & (time <= last))
    assert 0 < np.count_nonzero(keep) < len(tof)
    messages = Messages()
    found = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=window, progress=messages.progress())
    _assert_same(found, _expected(ids[keep], tof[keep], PIXELS))
    assert [text.split(": ")[1][:4] for _, text in messages] == ["95% "]
    assert {low, high} <= set(found[0].astype(float))


@pytest.mark.parametrize("bound", [1000.1, 1000.1 - 2e-5, 1000.1 + 2e-5])
def test_bounds_between_single_precision_numbers(event_file: Path, bound: float) -> None:
    """A bound that single precision rounds up or down neither lets in nor keeps out the number next to it."""
    near = np.float32(bound)
    tof = np.array([np.nextafter(near, np.float32(0)), near, np.nextafter(near, np.float32(2000))], np.float32)
    _change(event_file, "bank3_events/event_id", np.full(3, 30, np.uint32))
    _change(event_file, "bank3_events/event_time_offset", tof)
    found, start = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=TofWindow(bound, 1e6))
    assert found[start[30] : start[31]].tolist() == tof[tof.astype(float) >= bound].tolist()
    found, start = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=TofWindow(0, bound))
    assert found[start[30] : start[31]].tolist() == tof[tof.astype(float) <= bound].tolist()


def test_bad_events_are_dropped_and_counted(event_file: Path) -> None:
    """NaN, infinite and negative TOFs; ids beyond all pixels, with the error bit, and beyond what the type holds."""
    ids = np.array([30, 31, 32, 33, 30, 40, 2**31 + 5, 2**32 - 1, 39], np.uint32)
    tof = np.array([np.nan, np.inf, -np.inf, -1.0, 700.0, 700.0, 700.0, 700.0, 800.0], np.float32)
    _change(event_file, "bank3_events/event_id", ids)
    _change(event_file, "bank3_events/event_time_offset", tof)
    _change(event_file, "bank3_events/total_counts", np.array([9], np.uint64))
    messages = Messages()
    found, start = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL, progress=messages.progress())
    assert found[start[30] :].tolist() == [700.0, 800.0]
    ((level, text),) = messages
    assert level == "warning"
    assert "3 events of unknown detector ids were dropped" in text
    assert "4 events with a TOF that is negative or no number were dropped" in text


def test_a_bank_of_nothing_but_garbage(event_file: Path) -> None:
    """All of its events are dropped, the others are kept."""
    with h5py.File(event_file, "a") as file:
        file["entry/bank2_events/event_id"][()] = 2**32 - 7
    messages = Messages()
    found = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL, progress=messages.progress())
    ids, tof = _raw(event_file)
    keep = ids < PIXELS
    _assert_same(found, _expected(ids[keep], tof[keep], PIXELS))
    assert "12345 events of unknown" in messages[0][1]


@pytest.mark.parametrize(
    ("dtype", "packing"),
    [
        ("u4", {"compression": "gzip", "shuffle": True, "chunks": (777,)}),
        ("u4", {"chunks": (777,)}),
        ("u4", {}),
        ("u4", {"compression": "lzf", "chunks": (777,)}),
        (">u4", {"compression": "gzip", "chunks": (777,)}),
        ("i8", {"compression": "gzip", "chunks": (777,), "fletcher32": True}),
        ("i4", {"compression": "gzip", "chunks": (100_000,), "maxshape": (None,)}),
    ],
)
def test_any_storage_of_the_arrays(event_file: Path, dtype: str, packing: dict) -> None:
    """Other filters, byte orders and types give the same events."""
    wanted = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)
    with h5py.File(event_file, "a") as file:
        group = file["entry/bank2_events"]
        for name, kind in (("event_id", dtype), ("event_time_offset", "f8" if dtype == "i8" else "f4")):
            values = group[name][()]
            del group[name]
            group.create_dataset(name, data=values.astype(kind), **packing)
    _assert_same(read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL), wanted)


def test_negative_ids_are_unknown(event_file: Path) -> None:
    """Monitors have negative ids; they must not become pixel 0."""
    _change(event_file, "bank3_events/event_id", np.array([-1], np.int64))
    found, start = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)
    ids, _ = _raw(event_file)
    assert len(found) == len(ids) - 1
    assert start[1] == np.count_nonzero(ids == 0)


@pytest.mark.parametrize(("unit", "factor"), [("nanosecond", 1e3), ("s", 1e-6), ("ms", 1e-3), ("us", 1.0)])
def test_other_units_become_microseconds(event_file: Path, unit: str, factor: float) -> None:
    """The attribute of the dataset says the unit."""
    wanted, _ = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)
    with h5py.File(event_file, "a") as file:
        for bank in range(4):
            tof = file[f"entry/bank{bank}_events/event_time_offset"]
            tof[...] = tof[()] * factor
            tof.attrs["units"] = unit
    found, _ = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_an_unknown_unit_is_refused(event_file: Path) -> None:
    """Guessing would move every peak."""
    with h5py.File(event_file, "a") as file:
        file["entry/bank0_events/event_time_offset"].attrs["units"] = "fortnight"
    with pytest.raises(FileFormatError, match="fortnight"):
        read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)


def test_legacy_names_and_events_that_could_not_be_placed(event_file: Path) -> None:
    """Old files name the arrays otherwise; the groups of the acquisition's own errors are left out."""
    wanted = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)
    with h5py.File(event_file, "a") as file:
        entry = file["entry"]
        entry.copy("bank0_events", "bank_error_events")
        entry.copy("bank0_events", "bank_unmapped_events")
        for bank in range(4):
            group = entry[f"bank{bank}_events"]
            group.move("event_id", "event_pixel_id")
            group.move("event_time_offset", "event_time_of_flight")
            if bank != 1:
                del group.attrs["NX_class"]
        file.move("entry", "raw_data")
    _assert_same(read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL), wanted)


def test_what_a_bank_says_of_itself_wrongly_is_a_warning(event_file: Path) -> None:
    """The arrays count; a bank without arrays is passed over."""
    wanted = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)
    _change(event_file, "bank0_events/event_index", np.array([0, 6000], np.uint64))
    _change(event_file, "bank2_events/total_counts", np.array([7], np.uint64))
    with h5py.File(event_file, "a") as file:
        file.create_group("entry/bank9_events").attrs["NX_class"] = "NXevent_data"
    messages = Messages()
    found = read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL, progress=messages.progress())
    _assert_same(found, wanted)
    ((_, text),) = messages
    assert "bank0_events: event_index ends at 6000, but there are 5000 events" in text
    assert "bank2_events: total_counts ends at 7, but there are 12345 events" in text
    assert "bank9_events has no event arrays" in text


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("bank0_events/event_id", None, "only event_index"),
        ("bank0_events/event_id", np.zeros(4999, np.uint32), "(4999,) and (5000,)"),
        ("bank0_events/event_id", np.zeros((5000, 1), np.uint32), "(5000, 1)"),
        ("bank0_events/event_id", np.zeros(5000), "float64"),
        ("bank0_events/event_time_offset", np.array([b"x"] * 5000), "|S1"),
    ],
)
def test_a_damaged_bank_is_named(event_file: Path, name: str, values: object, found: str) -> None:
    """Half a run must not pass for a whole one."""
    _change(event_file, name, values)
    with pytest.raises(FileFormatError, match="bank0_events") as caught:
        read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)
    assert found in caught.value.found


def test_a_truncated_file_is_refused(event_file: Path) -> None:
    """At any length: the copying of a file was interrupted."""
    content = event_file.read_bytes()
    for share in (0.0, 0.001, 0.3, 0.6, 0.95, 0.999):
        event_file.write_bytes(content[: int(share * len(content))])
        with pytest.raises(FileFormatError, match="an SNS event NeXus file") as caught:
            read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)
        assert caught.value.fix


def test_a_chunk_that_does_not_inflate_is_named(event_file: Path) -> None:
    """Bits flipped on the disk."""
    with h5py.File(event_file) as file:
        where = file["entry/bank2_events/event_id"].id.get_chunk_info(3).byte_offset
    content = bytearray(event_file.read_bytes())
    content[where + 20 : where + 60] = bytes(40)
    event_file.write_bytes(content)
    with pytest.raises(FileFormatError, match="bank2_events/event_id"):
        read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL)


def test_a_file_without_banks_or_that_is_not_there(tmp_path: Path, reference_data: Path) -> None:
    """The messages say what kind of file is wanted."""
    with pytest.raises(NotFoundError, match="an SNS event NeXus file"):
        read_events(tmp_path / "none.nxs.h5", pixel_of=None, n_pixels=PIXELS, window=ALL)
    with pytest.raises(FileFormatError, match="banks of events"):
        read_events(reference_data / "mantid/table.nxs", pixel_of=None, n_pixels=PIXELS, window=ALL)


def test_several_runs_are_summed(event_file: Path, tmp_path: Path) -> None:
    """By reading them together, or one by one and merging: the same events."""
    second = tmp_path / "SNAP_58883.nxs.h5"
    shutil.copy(event_file, second)
    with h5py.File(second, "a") as file:
        file["entry/bank0_events/event_time_offset"][...] = 777.0
    together = read_events([event_file, second], pixel_of=None, n_pixels=PIXELS, window=ALL)
    single = [read_events(path, pixel_of=None, n_pixels=PIXELS, window=ALL) for path in (event_file, second)]
    merged = merge_events(single)
    sort_within_pixels(*merged, progress=Progress())
    _assert_same(merged, together)
    (ids, tof), (ids2, tof2) = _raw(event_file), _raw(second)
    _assert_same(together, _expected(np.concatenate([ids, ids2]), np.concatenate([tof, tof2]), PIXELS))


def test_only_runs_of_the_same_pixels_are_summed() -> None:
    """Native and lite cannot be mixed."""
    native, lite = (np.zeros(0, np.float32), np.zeros(641, np.int64)), (np.zeros(0, np.float32), np.zeros(11, np.int64))
    with pytest.raises(InputError, match="runs with 10, 640 pixels"):
        merge_events([native, lite])
    with pytest.raises(InputError, match="runs with no pixels"):
        merge_events([])


def test_a_map_beyond_the_pixels_is_refused(event_file: Path) -> None:
    """The native map with the number of lite pixels."""
    with pytest.raises(InputError, match="pixel 39 of 10"):
        read_events(event_file, pixel_of=np.arange(PIXELS, dtype=np.int32), n_pixels=10, window=ALL)


def test_results_do_not_depend_on_the_number_of_threads(event_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One, two and four threads."""
    found = []
    for threads in (1, 2, 4):
        monkeypatch.setattr("snapcal_workbench.formats.nexus.events.THREADS", threads)
        found.append(read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL))
    _assert_same(found[1], found[0])
    _assert_same(found[2], found[0])


def test_progress_rises_to_one(event_file: Path) -> None:
    """With the name of the file."""
    reports: list[tuple[float, str]] = []
    progress = Progress(on_report=lambda fraction, text: reports.append((fraction, text)))
    read_events([event_file, event_file], pixel_of=None, n_pixels=PIXELS, window=ALL, progress=progress)
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any(event_file.name in text for _, text in reports)


def test_cancelling_stops_and_leaves_the_file_closed(event_file: Path) -> None:
    """No thread goes on reading, and the file can be written again."""
    asked = []

    def cancel() -> bool:
        asked.append(threading.active_count())
        return True

    with pytest.raises(Cancelled):
        read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=ALL, progress=Progress(is_cancelled=cancel))
    assert asked
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]
    with h5py.File(event_file, "a") as file:
        file["entry/bank0_events/total_counts"][0] = 1


@pytest.mark.parametrize("piece", [1, 999, 1000, 1500, 4096])
def test_results_do_not_depend_on_the_pieces(event_file: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """Pieces that end within chunks of one array and between those of the other."""
    with h5py.File(event_file, "a") as file:
        bank = file["entry/bank2_events"]
        ids = bank["event_id"][()]
        del bank["event_id"]
        bank.create_dataset("event_id", data=ids, chunks=(700,), compression="gzip", shuffle=True)
    whole = _read(event_file)
    monkeypatch.setattr(_event_banks, "PIECE", piece)
    for found, wanted in zip(_read(event_file), whole, strict=True):
        assert found.tolist() == wanted.tolist()


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return read_events(path, pixel_of=None, n_pixels=PIXELS, window=TofWindow(1000.0, 12_000.0))


@pytest.mark.parametrize("kind", ["copy", "another order", "link"])
def test_a_bank_that_is_there_twice_is_refused(event_file: Path, kind: str) -> None:
    """Its events would count twice; both names are told."""
    with h5py.File(event_file, "a") as file:
        entry = file["entry"]
        if kind == "link":
            entry["bank7_events"] = entry["bank2_events"]
        else:
            entry.copy("bank2_events", "bank7_events")
        if kind == "another order":
            order = np.random.default_rng(3).permutation(len(entry["bank2_events/event_id"]))
            for name in ("event_id", "event_time_offset"):
                entry["bank7_events"][name][...] = entry["bank2_events"][name][()][order]
    with pytest.raises(FileFormatError, match="bank7_events") as caught:
        _read(event_file)
    assert "the same 12345 events as in bank2_events" in caught.value.found


def test_banks_that_only_look_alike_are_read(event_file: Path) -> None:
    """As many events at the same times, of other pixels."""
    with h5py.File(event_file, "a") as file:
        file["entry"].copy("bank2_events", "bank3_copy_events")
        del file["entry/bank3_events"]
        file["entry/bank3_copy_events/event_id"][...] += 10
    _, start = _read(event_file)
    counts = np.diff(start)
    assert counts[20:30].tolist() == counts[30:40].tolist()


def test_a_run_of_another_wavelength_is_told_by_its_tofs(event_file: Path) -> None:
    """Nearly all TOFs outside the window are no reason to mask detectors, but to check the wavelength and the unit."""
    window = TofWindow(15_950.0, 30_000.0)
    with pytest.raises(FileFormatError, match="of 17346 events are outside; their TOFs are 50") as caught:
        read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=window)
    assert "15950 to 30000 us" in caught.value.what
    assert "wavelength" in caught.value.fix
    messages = Messages()
    window = TofWindow(11_000.0, 30_000.0)
    read_events(event_file, pixel_of=None, n_pixels=PIXELS, window=window, progress=messages.progress())
    assert any("of the events are outside the TOF window, 11000 to 30000 us" in text for _, text in messages)
