"""A calibration is kept, restored and saved as it was made, whatever files and options say later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from snapcal_workbench.calibration.types import Account, DiffCalTable, Spectra
from snapcal_workbench.calibration.types.calibration import ACCOUNT_LOG, account_of
from snapcal_workbench.cli.app import app
from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from snapcal_workbench.store import draft
from snapcal_workbench.store.layout import RECORD
from snapcal_workbench.store.references import open_version
from snapcal_workbench.store.version.record import OwnFields, record_json
from tests.support import copy_tree

RUN = "58882"


@pytest.fixture
def tree(calibrated_tree: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    return copy_tree(calibrated_tree, tmp_path / "tree")


@pytest.fixture
def session(tree: SimulatedTree) -> Iterator[Session]:
    session = Session(EmbeddedHost(tree.settings))
    yield session
    session.close()


def saved_record(tree: SimulatedTree, session: Session, number: int) -> tuple[dict, OwnFields]:
    """The record of a saved iteration, as SNAPRed reads it and our own fields."""
    saved = session.save(number, author="tester", comments="c")
    own = open_version(tree.settings, f"{session.iteration(number).state_id}/{saved.version}").record.own
    assert own is not None
    return json.loads((Path(saved.path) / RECORD).read_text("utf-8")), own


def test_the_record_states_the_calibrant_that_was_used_and_not_what_its_files_say_later(
    tree: SimulatedTree, session: Session
) -> None:
    account = session.iteration(2).account
    (sample,) = tree.settings.calibrant_samples.glob("Silicon_NIST_640d*.json")
    (crystal,) = tree.settings.calibrant_samples.glob("Silicon_NIST_640d*.cif")
    used = sample.read_text("utf-8"), crystal.read_text("utf-8")
    sample.write_text(json.dumps({**json.loads(used[0]), "peakIntensityFractionThreshold": 0.9}), encoding="utf-8")
    crystal.write_text(used[1].replace("5.43", "5.53"), encoding="utf-8")
    (tree.settings.instrument_parameters / "v_0000" / "SNAPInstPrm.json").unlink(missing_ok=True)
    record, own = saved_record(tree, session, 2)
    peaks = {tuple(peak["hkl"]): peak["dSpacing"] for peak in record["crystalInfo"]["peaks"]}
    expected = {tuple(hkl): d for each in account.peaks for hkl, d in zip(each.hkl.tolist(), each.d, strict=True)}
    assert peaks == pytest.approx(expected, rel=1e-15)
    assert peaks[(2, 2, 0)] == pytest.approx(5.43119 / np.sqrt(8.0), rel=1e-4)  # NIST's lattice, not the changed one
    told: Any = own.account
    options: Any = own.options
    assert told["sources"]["calibrant"]["text"] == used[0]
    assert told["sources"]["crystal"]["text"] == used[1]
    assert options["peaks"]["intensity_fraction"] == json.loads(used[0])["peakIntensityFractionThreshold"]


def test_the_record_states_the_bin_width_of_the_saved_spectra(tree: SimulatedTree, session: Session) -> None:
    done = session.iterate({"pixels.bins_per_delta_d": 20, "pixels.skip": True}, Progress(), report=False)
    record, _ = saved_record(tree, session, done.number)
    edges = session.folders.calibration(done.number).spectra.edges_of(0)
    assert record["pixelGroups"][0]["timeOfFlight"]["binWidth"] == pytest.approx(edges[1] / edges[0] - 1.0, rel=1e-9)
    assert record["pixelGroups"][0]["nBinsAcrossPeakWidth"] == 20


def test_every_pixel_calibration_is_told_and_the_verdict_is_the_last_ones(
    tree: SimulatedTree, session: Session
) -> None:
    arguments = ["--config", str(tree.config_path), "iterate", "--max-passes", "1", "--no-report"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0
    account = session.iteration(3).account
    first, *_, last = account.pixel_steps
    assert len(account.pixel_steps) == len(account.group_steps) > 1
    assert (first.stop, last.stop) == ("max iterations", "converged")
    assert account.verdict.savable
    assert not [reason for reason in account.verdict.reasons if "converg" in reason]
    assert account.verdict.text.startswith(last.message)
    assert last.message.split(".")[0] in " ".join(shown.output.split())
    told = [text for text in account.warnings if "did not converge" in text]
    assert len(told) == sum(not step.converged for step in account.pixel_steps)
    assert told[0].startswith("Pixel calibration 1 of")
    assert "Pixel calibration 1 of" in shown.output
    assert session.iteration(3).stop == "converged"


def test_an_account_goes_through_json_and_back_unchanged(session: Session) -> None:
    account = session.iteration(2).account
    text = account.to_json()
    assert Account.from_json(text).to_json() == text
    assert account.sources.parameters.sha256 != account.sources.state.sha256
    assert account.sources.grouping_definition.endswith("SNAPFocGroup_Column.lite.hdf")
    assert [step.number for step in account.group_steps] == [1, 2][: len(account.group_steps)]
    with pytest.raises(ValueError, match="this release"):
        Account.from_json(text.replace('"sources"', '"origins"', 1))


def test_a_restored_iteration_is_the_calibration_that_was_made(session: Session) -> None:
    kept = session.folders.calibration(2)
    names = session.restore(2)
    read = session.host.workspaces.read
    spectra, table = read(names["output"], Spectra), read(names["table"], DiffCalTable)
    found = account_of(spectra, table)
    assert found is not None
    assert found.to_json() == kept.account.to_json()
    assert ACCOUNT_LOG not in kept.spectra.run.logs
    np.testing.assert_array_equal(spectra.y, kept.spectra.y)
    changed = replace(table, difc=table.difc * (1 + 1e-15))
    assert account_of(spectra, changed) is None  # another table than the account is of


def test_a_record_of_a_newer_release_is_named_as_such(
    tree: SimulatedTree, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def newer(*arguments: Any) -> dict[str, Any]:
        made: Any = record_json(*arguments)
        made["snapcalWorkbench"] |= {"format": 99, "writtenBy": "9.0", "contentHashes": "in another file"}
        return dict(made)

    monkeypatch.setattr(draft, "record_json", newer)
    saved = session.save(2, author="tester", comments="c")
    with pytest.raises(FileFormatError, match="newer release") as raised:
        open_version(tree.settings, f"{RUN}:{saved.version}", verify=False)
    assert "9.0" in raised.value.found
    listed = session.saved.of_run(session.iteration(2).request)["versions"]
    (health,) = [item["health"] for item in listed if item["version"] == saved.version]
    assert "newer release" in health
