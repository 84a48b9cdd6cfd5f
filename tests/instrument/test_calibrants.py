"""Calibrants: how they are found, what is tolerated, and what they fix."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError
from snapcal_workbench.instrument.calibrants import find_calibrants, read_calibrant
from snapcal_workbench.options import CalibrationOptions, PeakOptions, Settings
from tests.instrument.conftest import write_json


def _content(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": "Silicon_NIST_640D",
        "unique_id": "002",
        "geometry": {"shape": "Sphere", "radius": 0.15, "height": 1.0},
        "material": {"chemicalFormula": "Si"},
        "crystallography": {"cifFile": "silicon.cif", "spaceGroup": "F d -3 m"},
        "peakIntensityFractionThreshold": 0.05,
        "overrides": {"crystalDMin": 0.5, "somethingElse": 1},
    }
    return {**content, **changes}


@pytest.fixture
def add(settings: Settings):
    """Write a calibrant and its CIF file."""

    def write(stem: str = "silicon_002", **changes: Any) -> Path:
        path = write_json(settings.calibrant_samples / f"{stem}.json", _content(**changes))
        (settings.calibrant_samples / "silicon.cif").write_text("data_Si\n")
        return path

    return write


@pytest.mark.parametrize("given", ["silicon.cif", "path"])
def test_a_cif_file_is_no_calibrant_and_the_error_says_how_to_make_one_of_it(
    settings: Settings, add, tmp_path: Path, given: str
) -> None:
    add().unlink()
    cif = settings.calibrant_samples / "silicon.cif"
    with pytest.raises(InputError, match="JSON file that names a CIF file") as caught:
        read_calibrant(cif if given == "path" else given, settings)
    made = tmp_path / "made.json"
    made.write_text("".join(re.findall(r"\{.*\}", caught.value.fix)))
    calibrant = read_calibrant(made, settings)
    assert (calibrant.name, calibrant.cif_path, calibrant.cif_text) == ("silicon", cif, "data_Si\n")


def test_calibrants_are_listed_sorted(settings: Settings, add) -> None:
    assert find_calibrants(settings) == []
    paths = [add("b_1"), add("a_1")]
    assert find_calibrants(settings) == sorted(paths)


@pytest.mark.parametrize("given", ["silicon_002", "SILICON_002.json", "silicon_nist_640d", "path"])
def test_a_calibrant_is_found_by_stem_file_name_stated_name_or_path(settings: Settings, add, given: str) -> None:
    path = add()
    add("other_001", name="Other")
    (settings.calibrant_samples / "broken.json").write_text("{")
    calibrant = read_calibrant(path if given == "path" else given, settings)
    assert (calibrant.name, calibrant.path) == ("Silicon_NIST_640D", path)
    assert calibrant.cif_text == "data_Si\n"
    assert calibrant.cif_path == settings.calibrant_samples / "silicon.cif"
    assert calibrant.intensity_fraction == 0.05
    assert calibrant.overrides.crystal_d_min == 0.5


def test_what_snapred_refuses_is_tolerated(settings: Settings, add) -> None:
    """No packing fraction, a sphere with a height, a whole number as threshold, null overrides."""
    add(peakIntensityFractionThreshold=0, overrides=None)
    calibrant = read_calibrant("silicon_002", settings)
    assert calibrant.intensity_fraction == 0.0
    assert calibrant.overrides.model_dump(exclude_none=True) == {}


def test_the_threshold_has_a_default(settings: Settings) -> None:
    content = _content()
    del content["peakIntensityFractionThreshold"], content["overrides"]
    write_json(settings.calibrant_samples / "si.json", content)
    (settings.calibrant_samples / "silicon.cif").touch()
    assert read_calibrant("si", settings).intensity_fraction == 0.05


def test_an_unknown_calibrant_lists_those_there_are(settings: Settings, add) -> None:
    add()
    with pytest.raises(NotFoundError, match="silicon_002"):
        read_calibrant("vanadium", settings)
    with pytest.raises(NotFoundError, match="nothing"):
        read_calibrant("vanadium", Settings(calibrant_samples=settings.ipts_root / "none"))


def test_a_name_that_two_state_must_be_made_unique(settings: Settings, add) -> None:
    add("a_1")
    add("b_1")
    with pytest.raises(InputError, match=r"a_1\.json, b_1\.json"):
        read_calibrant("Silicon_NIST_640D", settings)


@pytest.mark.parametrize("crystallography", [None, {}, {"cifFile": None}, {"cifFile": "silicon.txt"}])
def test_a_calibrant_without_cif_is_refused(settings: Settings, add, crystallography: Any) -> None:
    add(crystallography=crystallography)
    with pytest.raises(InputError, match="no CIF file"):
        read_calibrant("silicon_002", settings)


def test_a_missing_cif_is_named(settings: Settings, add) -> None:
    add(crystallography={"cifFile": "gone.cif"})
    with pytest.raises(NotFoundError, match=re.escape(str(settings.calibrant_samples / "gone.cif"))):
        read_calibrant("silicon_002", settings)


def test_an_absolute_cif_is_read_and_a_relative_one_stays_in_the_folder(
    settings: Settings, add, tmp_path: Path
) -> None:
    outside = settings.calibration_home / "outside.cif"
    add(crystallography={"cifFile": str(outside)})
    outside.write_text("data_outside\n")
    assert read_calibrant("silicon_002", settings).cif_text == "data_outside\n"
    add(crystallography={"cifFile": "../outside.cif"})
    with pytest.raises(InputError, match="outside"):
        read_calibrant("silicon_002", settings)
    add(crystallography={"cifFile": "sub/../silicon.cif"})
    assert read_calibrant("silicon_002", settings).cif_text == "data_Si\n"


def test_a_calibrant_elsewhere_may_bring_its_cif(settings: Settings, tmp_path: Path) -> None:
    path = write_json(tmp_path / "mine" / "si.json", _content())
    path.with_name("silicon.cif").write_text("data_mine\n")
    assert read_calibrant(str(path), settings).cif_text == "data_mine\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"peakIntensityFractionThreshold": -0.1},
        {"peakIntensityFractionThreshold": "high"},
        {"overrides": {"peakFunction": "Voigtish"}},
        {"overrides": {"crystalDMin": 0}},
        {"crystallography": "silicon.cif"},
    ],
)
def test_wrong_values_name_the_file_and_the_field(settings: Settings, add, changes: dict[str, Any]) -> None:
    add(**changes)
    with pytest.raises(FileFormatError, match=next(iter(changes))) as caught:
        read_calibrant("silicon_002", settings)
    assert "silicon_002.json" in str(caught.value)


def test_a_list_is_no_calibrant(settings: Settings) -> None:
    write_json(settings.calibrant_samples / "list.json", [1])
    with pytest.raises(FileFormatError, match="list"):
        read_calibrant("list", settings)


def test_overrides_win_over_the_options(settings: Settings, add) -> None:
    add(overrides={"peakFunction": "Lorentzian", "crystalDMin": 0.7, "crystalDMax": 5.0})
    calibrant = read_calibrant("silicon_002", settings)
    options = calibrant.apply(CalibrationOptions(peaks=PeakOptions(crystal_d_min=0.3, fwhm_left=2.0)))
    assert (options.peaks.crystal_d_min, options.peaks.crystal_d_max, options.peaks.fwhm_left) == (0.7, 5.0, 2.0)
    assert options.groups.peak_function == "Lorentzian"
    assert options.peaks.intensity_fraction == 0.05


def test_the_users_threshold_wins_over_the_calibrants(settings: Settings, add) -> None:
    add()
    given = CalibrationOptions(peaks=PeakOptions(intensity_fraction=0.0))
    assert read_calibrant("silicon_002", settings).apply(given).peaks.intensity_fraction == 0.0


def test_an_override_that_leaves_no_range_is_an_error(settings: Settings, add) -> None:
    add(overrides={"crystalDMin": 4.0})
    with pytest.raises(InputError, match=r"4\.0 to 3\.0"):
        read_calibrant("silicon_002", settings).apply(CalibrationOptions(peaks=PeakOptions(crystal_d_max=3.0)))


@pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
def test_a_cif_that_never_ends_is_not_read(settings: Settings, add, kind: str) -> None:
    add()
    cif = settings.calibrant_samples / "silicon.cif"
    cif.unlink()
    if kind == "pipe":
        os.mkfifo(cif)
    elif kind == "device":
        cif.symlink_to("/dev/zero")
    else:
        with open(cif, "wb") as file:
            file.truncate(10**11)
    with pytest.raises((NotFoundError, FileFormatError), match=r"not a regular file|100000000000 bytes") as caught:
        read_calibrant("silicon_002", settings)
    assert str(cif) in str(caught.value)


def test_a_cif_may_have_a_byte_order_mark(settings: Settings, add) -> None:
    add()
    (settings.calibrant_samples / "silicon.cif").write_text("\ufeffdata_Si\n", encoding="utf-8")
    assert read_calibrant("silicon_002", settings).cif_text == "data_Si\n"


def test_a_home_of_nobody_is_no_calibrant(settings: Settings) -> None:
    with pytest.raises(InputError, match="nosuchuser"):
        read_calibrant("~nosuchuser/x", settings)
