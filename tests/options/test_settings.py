"""Settings: which source wins, what is derived, and what a wrong value says."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapcal_workbench.errors import FileFormatError, InputError, NotFoundError, SnapcalError
from snapcal_workbench.instrument.known import instrument_of
from snapcal_workbench.options import PRESETS, CalibrationOptions, Settings


@pytest.fixture(autouse=True)
def _no_outer_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine leak into these tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("SNAPCAL_CONFIG", raising=False)
    monkeypatch.delenv("SNAPCAL_CALIBRATION_HOME", raising=False)


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text)
        return path

    return write


def test_defaults_are_the_facility_paths() -> None:
    settings = Settings.load()
    assert settings.instrument_home == Path("/SNS/SNAP")
    assert settings.calibration_home == Path("/SNS/SNAP/shared/Calibration")
    assert settings.calibrant_samples == settings.calibration_home / "CalibrantSamples"
    assert settings.instrument_parameters == settings.calibration_home / "SNAPInstPrm"
    assert settings.pixel_groupings == settings.calibration_home / "Powder" / "PixelGroupingDefinitions"
    assert settings.lite_map == settings.calibration_home / "Powder" / "LiteGroupMap.hdf"
    assert settings.index_layout == "auto"
    assert not settings.read_lite_from_ipts
    assert set(settings.origins().values()) <= {"default", *(f"derived from {name}" for name in settings.effective())}


def test_homes_follow_the_calibration_home_unless_set(tmp_path: Path) -> None:
    settings = Settings(calibration_home=tmp_path, lite_map=tmp_path / "other.hdf")
    assert settings.powder_home == tmp_path / "Powder"
    assert settings.pixel_groupings == tmp_path / "Powder" / "PixelGroupingDefinitions"
    assert settings.lite_map == tmp_path / "other.hdf"
    assert settings.origins()["calibration_home"] == "program"
    assert settings.origins()["powder_home"] == "derived from calibration_home"


def test_flag_beats_environment_beats_file_beats_preset(toml, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = "max_passes = 2\nthreshold = 0.1\nmemory_mib = 64\nshrink = true\n"
    path = toml(f'preset = "snapred"\n[options.pixels]\n{pixels}')
    monkeypatch.setenv("SNAPCAL_OPTIONS__PIXELS__MAX_PASSES", "3")
    monkeypatch.setenv("SNAPCAL_OPTIONS__PIXELS__THRESHOLD", "0.2")
    settings = Settings.load(path, options={"pixels": {"threshold": 0.3, "memory_mib": None}})
    found = settings.options().pixels
    assert (found.threshold, found.max_passes, found.memory_mib, found.shrink) == (0.3, 3, 64, True)
    assert found.estimator == PRESETS["snapred"].pixels.estimator
    origins = settings.origins()
    assert origins["options.pixels.threshold"] == "flag"
    assert origins["options.pixels.max_passes"] == "environment SNAPCAL_OPTIONS__PIXELS__MAX_PASSES"
    assert origins["options.pixels.memory_mib"] == f"file {path}"
    assert origins["options.pixels.estimator"] == "preset snapred"
    assert origins["options.pixels.bins_per_delta_d"] == "default"
    assert origins["preset"] == f"file {path}"


def test_an_asked_for_preset_keeps_the_changes(toml) -> None:
    settings = Settings.load(toml("[options.groups]\nmin_peaks = 3\n"))
    assert settings.options().groups.min_peaks == 3
    snapred = settings.options("snapred")
    assert snapred.groups.min_peaks == 3
    assert snapred.groups.model == "DIFC"
    assert snapred == PRESETS["snapred"].model_copy(
        update={"groups": PRESETS["snapred"].groups.model_copy(update={"min_peaks": 3})}
    )


def test_effective_lists_every_option_with_an_origin() -> None:
    settings = Settings.load()
    effective = settings.effective()
    for part in ("peaks", "pixels", "groups"):
        for name, value in getattr(CalibrationOptions(), part):
            assert effective[f"options.{part}.{name}"] == value
    assert settings.origins().keys() == effective.keys()


def test_an_empty_text_empties_an_option(toml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPCAL_OPTIONS__GROUPS__OUTLIER_SIGMAS", "")
    settings = Settings.load(toml('[options.pixels]\nmax_shift = ""\n'))
    assert settings.options().pixels.max_shift is None
    assert settings.options().groups.outlier_sigmas is None
    with pytest.raises(InputError, match="max_passes"):
        Settings.load(options={"pixels": {"max_passes": ""}})


def test_paths_in_the_file_are_relative_to_it(toml, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toml('calibration_home = "tree"\nlock_directory = "~/locks"\n')
    monkeypatch.chdir("/")
    settings = Settings.load(path)
    assert settings.calibration_home == path.parent / "tree"
    assert settings.lock_directory == Path.home() / "locks"


def test_the_file_is_the_named_one_or_that_of_the_environment_or_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {}
    for number, name in enumerate(("xdg/snapcal/config.toml", "environment.toml", "named.toml"), 1):
        files[name] = tmp_path / name
        files[name].parent.mkdir(parents=True, exist_ok=True)
        files[name].write_text(f"minimum_run = {number}\n")
    assert Settings.load().minimum_run == 1
    monkeypatch.setenv("SNAPCAL_CONFIG", str(files["environment.toml"]))
    assert Settings.load().minimum_run == 2
    assert Settings.load(files["named.toml"]).minimum_run == 3


def test_a_named_file_that_is_absent_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match=r"absent\.toml"):
        Settings.load(tmp_path / "absent.toml")
    monkeypatch.setenv("SNAPCAL_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(NotFoundError, match=r"gone\.toml"):
        Settings.load()


def test_a_broken_file_names_file_and_line(toml) -> None:
    with pytest.raises(FileFormatError, match=r"settings\.toml[\s\S]*line 2"):
        Settings.load(toml("preset = 'standard'\n[options\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("minimum_run = 'many'", ["minimum_run", "'many'", "settings.toml"]),
        ("preset = 'best'", ["preset", "'best'", "standard"]),
        ("calibraton_home = '/x'", ["calibraton_home", "no such setting", "calibration_home"]),
        ("[options.pixels]\nmax_pases = 3", ["options.pixels.max_pases", "options.pixels.max_passes"]),
        ("[options.pixels]\nthreshold = -1", ["options.pixels.threshold", "-1", "greater than 0"]),
        ("[options]\npixels = 3", ["options.pixels", "3"]),
    ],
)
def test_a_wrong_value_is_named_with_its_source(toml, text: str, told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        Settings.load(toml(text))
    for words in told:
        assert words in str(caught.value)


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPCAL_OPTIONS__PEAKS__WINDOW", "wide")
    with pytest.raises(InputError, match="SNAPCAL_OPTIONS__PEAKS__WINDOW"):
        Settings.load()
    monkeypatch.setenv("SNAPCAL_OPTIONS", "{broken")
    with pytest.raises(InputError, match="environment"):
        Settings.load()


def test_a_value_and_something_below_it_cannot_both_be(toml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPCAL_OPTIONS__PIXELS__MAX_PASSES", "3")
    with pytest.raises(InputError, match="below"):
        Settings.load(toml("[options]\npixels = 3\n"))


def test_making_settings_reads_neither_environment_nor_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPCAL_MINIMUM_RUN", "7")
    assert Settings().minimum_run is None
    assert Settings.load().minimum_run == 7


def test_the_session_folder_is_under_the_users_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Settings.load().session_directory.is_relative_to(tmp_path)
    monkeypatch.delenv("XDG_STATE_HOME")
    assert Settings.load().session_directory.is_relative_to(Path.home() / ".local" / "state")


@pytest.mark.parametrize(
    "text",
    [
        f"a = {'[' * 100_000}{']' * 100_000}",
        f"a = {'{a = ' * 100_000}1{'}' * 100_000}",
        f"[{'.'.join('a' * 100_000)}]\nb = 1",
        f"a = {'9' * 5000}",
    ],
)
def test_a_file_nested_without_end_is_refused_by_name(toml, text: str) -> None:
    path = toml(text)
    with pytest.raises(SnapcalError) as caught:
        Settings.load(path)
    assert str(path) in str(caught.value)


def test_a_home_of_nobody_is_named(toml) -> None:
    with pytest.raises(InputError, match=r"calibration_home(.|\n)*nosuchuser"):
        Settings.load(toml("calibration_home = '~nosuchuser/x'\n"))
    with pytest.raises(InputError, match="nosuchuser"):
        Settings.load("~nosuchuser/config.toml")


@pytest.mark.parametrize("name", ["POWGEN", "powgen", " PowGen "])
def test_the_homes_follow_from_the_instrument(name: str) -> None:
    settings = Settings(ipts_root=Path("/data"), instrument=name)
    assert settings.instrument_parameters == Path("/data/PG3/shared/Calibration/PG3InstPrm")
    assert instrument_of(settings).name == "POWGEN"


def test_an_instrument_that_is_not_known_is_named() -> None:
    with pytest.raises(InputError, match="'VULCAN' is not known") as caught:
        instrument_of(Settings(instrument="vulcan"))
    assert "SNAP, POWGEN" in str(caught.value)
