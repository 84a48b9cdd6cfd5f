"""A version is published whole, read back as it was, written as SNAPRed reads it, and chosen as SNAPRed would."""

from __future__ import annotations

import json
import os
import re
import stat

import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable
from snapcal_workbench.errors import Cancelled, InputError, NotFoundError, StoreError
from snapcal_workbench.formats.index import IndexEntry, format_timestamp
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.progress import Progress
from snapcal_workbench.store.state_store import StateStore
from tests.support import version_for


def names_in(folder):
    """Names in a folder that people see."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def hidden_in(folder):
    """Names in a folder that people do not see, but for the lock file, which stays."""
    return sorted(p.name for p in folder.iterdir() if p.name.startswith(".") and p.name != ".CalibrationIndex.lock")


def test_saved_version_reads_back(store, keep, contents):
    """What is read is what was saved."""
    version = keep()
    stored = store.read(version)
    assert version == 1
    for name in ("detid", "difc", "difa", "tzero"):
        np.testing.assert_array_equal(getattr(stored.table, name), getattr(contents.table, name))
    np.testing.assert_array_equal(stored.mask.reason, contents.mask.reason)
    np.testing.assert_array_equal(stored.spectra.y, contents.spectra.y)
    np.testing.assert_array_equal(stored.pixel_results.shift, contents.pixel_results.shift)
    np.testing.assert_array_equal(stored.fits.centre, contents.fits.centre)
    assert stored.state_id == "04bd2c53f6bf6754"
    assert stored.record.own.provenance == contents.provenance
    json.dumps(stored.describe())


def test_folder_has_the_files_that_it_should(store, keep):
    """Names as SNAPRed gives them, and nothing else; no litter beside the folder."""
    keep()
    assert names_in(store.home / "v_0001") == [
        "CalibrationParameters.json",
        "CalibrationRecord.json",
        "diagnostic_column_058882_v0001.nxs.h5",
        "diffract_consts_058882_v0001.h5",
        "dsp_column_058882_v0001.nxs.h5",
        "pixel_results_058882_v0001.h5",
        "record_as_saved.json",
    ]
    assert names_in(store.home) == ["CalibrationIndex.json", "audit.jsonl", "v_0000", "v_0001"]
    assert hidden_in(store.home) == []


def test_index_lies_where_the_documentation_says(store):
    """Without a mode level the index is in Powder/<state>/diffraction."""
    assert store.index_path.parts[-4:] == ("Powder", "04bd2c53f6bf6754", "diffraction", "CalibrationIndex.json")
    assert store.index_path.is_file()


@pytest.mark.parametrize("layout", ["flat", "leveled"])
def test_what_snapred_needs(request, contents, layout):
    """Types, numbers and names that SNAPRed requires of index, record and parameters."""
    settings = request.getfixturevalue("store").settings if layout == "flat" else request.getfixturevalue("leveled")
    store = StateStore(settings, "04bd2c53f6bf6754", SNAP.lite)
    store.save(contents, author="tester", comments="c")
    index = json.loads(store.index_path.read_text())
    for entry in index:
        folder = store.home / f"v_{entry['version']:04d}"
        record = json.loads((folder / "CalibrationRecord.json").read_text())
        parameters = json.loads((folder / "CalibrationParameters.json").read_text())
        assert type(entry["version"]) is int
        assert isinstance(entry["runNumber"], str)
        assert isinstance(entry["useLiteMode"], bool)
        assert isinstance(entry["appliesTo"], str)
        for part in (
            entry,
            record["indexEntry"],
            parameters["indexEntry"],
            record["calculationParameters"]["indexEntry"],
        ):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d{4}", part["timestamp"])
        numbered = (record, record["indexEntry"], parameters, parameters["indexEntry"], record["calculationParameters"])
        assert {part["version"] for part in numbered} == {entry["version"]}
        assert record["calculationParameters"] == parameters
        assert set(record["workspaces"]) <= {"diffCalOutput", "diffCalDiagnostic", "diffCalTable", "diffCalMask"}
        assert isinstance(parameters["seedRun"], str)
        assert parameters["name"] == "tests"
        assert parameters["instrumentState"]["id"]["hex"] == "04bd2c53f6bf6754"
        assert record["snapredVersion"] not in (None, "", "unknown")
        table = record["workspaces"]["diffCalTable"][0]
        rule = f"diffract_consts_{int(record['runNumber']):06d}_v{entry['version']:04d}"
        assert table == (rule if entry["version"] else "diffract_consts_default_v0")
        stored = store.read(entry["version"])
        assert (folder / f"{table}.h5").is_file()
        assert len(stored.table) == 18432
        assert (stored.table.difc > 0).all()
    metrics = json.loads((store.home / "v_0001" / "CalibrationRecord.json").read_text())["focusGroupCalibrationMetrics"]
    assert len(metrics["calibrationMetric"]) == 6
    assert None not in metrics["calibrationMetric"][0].values()


def test_groups_without_figures_are_left_out_of_snapreds_fields(store, keep, contents):
    """SNAPRed reads no null: a group that failed is absent from its fields, and present in ours."""
    from dataclasses import replace

    strain = contents.metrics.snapred_strain.copy()
    strain[2] = np.nan
    version = keep(metrics=replace(contents.metrics, snapred_strain=strain))
    record = store.read(version).record
    assert list(record.pixel_groups[0]["pixelGroupingParameters"]) == ["1", "2", "4", "5", "6"]
    assert len(record.focus_group_calibration_metrics["calibrationMetric"]) == 5
    assert record.own.metrics["snapred_strain"][2] is None


def test_summed_runs_are_saved_under_the_first(store, keep):
    """The record's run is the first; all of them are in our own field."""
    stored = store.read(keep(run_number="58882+58883"))
    assert stored.record.run_number == "58882"
    assert stored.record.own.runs == "58882+58883"
    assert stored.entry.applies_to == ">=58882"


def test_attachments_are_kept_and_hashed(store, keep, tmp_path):
    """Report and pictures are copied; their hashes are in the record."""
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "report.html").write_text("<p>good</p>")
    stored = store.read(keep(attachments=folder))
    assert (stored.path / "report.html").read_text() == "<p>good</p>"
    assert "report.html" in stored.record.own.content_hashes


@pytest.mark.parametrize("name", ["v_0009", "..hidden", "a b.png", "CalibrationRecord.json", "link.png", "folder"])
def test_attachments_with_odd_names_are_refused(keep, store, tmp_path, name):
    """Neither a path, a symbolic link, a folder nor one of our own names gets into a version."""
    folder = tmp_path / "report"
    folder.mkdir()
    if name == "link.png":
        (folder / name).symlink_to("/etc/passwd")
    elif name == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).write_text("x")
    with pytest.raises(InputError, match="plain names"):
        keep(attachments=folder)
    assert [entry.version for entry in store.entries()] == [0]
    assert hidden_in(store.home) == []


def test_names_from_users_cannot_leave_the_folder(store, keep):
    """A grouping's name is reduced to what a file name may have."""
    stored = store.read(keep(grouping_name="../../etc/$(reboot)\n<b>"))
    assert all(re.fullmatch(r"[0-9A-Za-z_.-]+", name) for name in names_in(stored.path))
    assert stored.spectra is not None


def test_author_and_comments_are_required_and_cleaned(store, contents):
    """Control characters, which a terminal would obey, are left out; nothing at all is refused."""
    entry = store.save(contents, author="a\x1b[31mb", comments="one\ntwo\x00").entry
    assert (entry.author, entry.comments) == ("a[31mb", "one\ntwo")
    for author, comments in (("", "c"), ("a", " \n"), ("\x07", "c"), ("a", "c" * 20_001)):
        with pytest.raises(InputError, match="must be given"):
            store.save(contents, author=author, comments=comments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run_number": "../1"}, "run number"),
        ({"run_number": ""}, "run number"),
        ({"mode": SNAP.native}, "one row for each"),
    ],
)
def test_contents_that_snapred_could_not_use_are_refused(keep, store, change, message):
    """The wrong number of pixels, or no run number."""
    with pytest.raises(InputError, match=message):
        keep(**change)
    assert names_in(store.home) == ["CalibrationIndex.json", "audit.jsonl", "v_0000"]


def test_difc_that_is_not_positive_is_refused(keep, store, contents):
    """Every pixel, masked ones too, needs a DIFC; nothing stays behind."""
    table = contents.table
    difc = np.where(np.arange(len(table)) == 5, 0.0, table.difc)
    with pytest.raises(InputError, match="positive DIFC"):
        keep(table=DiffCalTable(table.detid, difc, table.difa, table.tzero))
    assert hidden_in(store.home) == []


@pytest.mark.parametrize("applies_to", ["soon", ">=1;2", "5-1"])
def test_odd_conditions_are_refused(keep, applies_to):
    """A condition that SNAPRed could not read is not written."""
    with pytest.raises(InputError, match="Applies to"):
        keep(applies_to)


def test_state_must_be_initialised(settings, state, contents):
    """Saving into a state that nobody initialised says what to do."""
    with pytest.raises(NotFoundError, match="init-state"):
        StateStore(settings, state.state_id, SNAP.lite).save(contents, author="a", comments="c")


@pytest.mark.parametrize("state_id", ["../../etc", "", "04bd2c53f6bf6754/..", "xyz", "04BD2C53\n"])
def test_state_ids_cannot_leave_the_tree(settings, state_id):
    """Only hexadecimal digits are joined to the tree's path."""
    with pytest.raises(InputError, match="hexadecimal"):
        StateStore(settings, state_id, SNAP.lite)


def test_state_that_links_out_of_the_tree_is_refused(settings, tmp_path):
    """A symbolic link in place of a state leads nowhere."""
    (tmp_path / "elsewhere").mkdir()
    (settings.powder_home / "04bd2c53f6bf6754").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="must lie inside"):
        StateStore(settings, "04bd2c53f6bf6754", SNAP.lite)


def test_number_that_another_program_published_meanwhile_is_left_to_it(store, contents, keep):
    """If SNAPRed publishes the claimed number while we build, ours becomes the next; both are there."""

    def snapred_saves(fraction, message):
        folder = store.home / "v_0001"
        if not folder.exists():
            folder.mkdir()
            (folder / "CalibrationRecord.json").write_text("{}")

    saved = store.save(contents, author="a", comments="c", progress=Progress(on_report=snapred_saves))
    assert saved.version == 2
    assert (store.home / "v_0001" / "CalibrationRecord.json").read_text() == "{}"
    assert hidden_in(store.home) == []


@pytest.mark.parametrize("after", range(8))
def test_cancelled_save_leaves_nothing(store, contents, after):
    """Cancelled at any of the moments at which it is asked: the old state, and no litter."""
    asked = []

    def is_cancelled():
        asked.append(1)
        return len(asked) > after

    before = store.index_path.read_bytes()
    try:
        store.save(contents, author="a", comments="c", progress=Progress(is_cancelled=is_cancelled))
    except Cancelled:
        assert store.index_path.read_bytes() == before
        assert names_in(store.home) == ["CalibrationIndex.json", "audit.jsonl", "v_0000"]
    assert hidden_in(store.home) == []
    assert after < len(asked) or after > 3


def test_permissions_are_the_trees(store, keep):
    """In a tree that a group shares, whatever the user's umask, the group can read and write what is new."""
    os.chmod(store.home, 0o2775)
    os.chown(store.home, -1, 12345)
    before = os.umask(0o077)
    try:
        keep()
    finally:
        os.umask(before)
    folder = store.home / "v_0001"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2775
    for path in (*folder.iterdir(), store.index_path, folder):
        assert path.stat().st_gid == 12345
        assert stat.S_IMODE(path.stat().st_mode) & 0o775 in (0o664, 0o775)


def test_old_entries_keep_their_place_and_hash_through_a_rewrite(store, keep):
    """A save adds an entry and changes no other."""
    keep()
    before = json.loads(store.index_path.read_text())
    keep()
    assert json.loads(store.index_path.read_text())[:-1] == before


def test_seed_and_name_are_the_states(store, keep):
    """Seed run, creation date and name come from the parameters that applied before."""
    keep(run_number="60001")
    parameters = json.loads((store.home / "v_0001" / "CalibrationParameters.json").read_text())
    default = json.loads((store.home / "v_0000" / "CalibrationParameters.json").read_text())
    for field in ("seedRun", "creationDate", "name"):
        assert parameters[field] == default[field]


def test_version_of_snapred_with_real_data_is_read(leveled, state, reference_data):
    """A version as SNAPRed writes it, with the table of a real one: no hashes, no own fields, other files absent."""
    import shutil

    home = StateStore(leveled, state.state_id, SNAP.lite).home
    folder = home / "v_0003"
    folder.mkdir()
    shutil.copy(reference_data / "diffract_consts_058885_v0003.h5", folder)
    entry = {
        "version": 3,
        "runNumber": "58885",
        "useLiteMode": True,
        "appliesTo": ">=58885",
        "comments": "Si",
        "author": "someone",
        "timestamp": format_timestamp(1_730_000_000_123_456_789),
    }
    instrument = state.model_dump(mode="json", by_alias=True)
    parameters = {"version": 3, "indexEntry": entry, "instrumentState": instrument, "seedRun": "58810", "name": "x"}
    record = {
        "version": 3,
        "indexEntry": entry,
        "runNumber": "58885",
        "useLiteMode": True,
        "calculationParameters": parameters,
        "hooks": None,
        "snapredVersion": "1.2.0",
        "snapwrapVersion": None,
        "workspaces": {
            "diffCalOutput": ["dsp_column_058885_v0003"],
            "diffCalDiagnostic": ["diagnostic_column_058885_v0003"],
            "diffCalTable": ["diffract_consts_058885_v0003"],
            "diffCalMask": ["diffract_consts_mask_058885_v0003"],
        },
        "crystalInfo": {"peaks": []},
        "pixelGroups": None,
        "focusGroupCalibrationMetrics": {"focusGroupName": "Column", "calibrationMetric": []},
    }
    (folder / "CalibrationRecord.json").write_text(json.dumps(record, indent=4))
    (folder / "CalibrationParameters.json").write_text(json.dumps(parameters, indent=4))
    index = json.loads((home / "CalibrationIndex.json").read_text())
    (home / "CalibrationIndex.json").write_text(json.dumps([*index, entry], indent=4))
    store = StateStore(leveled, state.state_id, SNAP.lite)
    stored = store.read(3)
    assert (len(stored.table), int(stored.mask.masked.sum())) == (18432, 1213)
    assert (stored.spectra, stored.fits, stored.pixel_results) == (None, None, None)
    assert version_for(store, 58885) == 3
    assert version_for(store, 58884) == 0
    assert store.problems() == []


def test_entries_are_the_index_entry_type(store, keep):
    """Entries come back as `formats.index.IndexEntry`."""
    keep()
    assert all(isinstance(entry, IndexEntry) for entry in store.entries())
