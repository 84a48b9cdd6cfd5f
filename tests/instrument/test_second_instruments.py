"""Other instruments than SNAP: the same code calibrates, saves and applies, and the result holds within its errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from snapcal_workbench.calibration.types import DiffCalTable, Spectra
from snapcal_workbench.errors import FileFormatError
from snapcal_workbench.formats.diffcal import read_diffcal
from snapcal_workbench.formats.nexus.run_logs import RunLogs
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.instrument.course import require_instrument
from snapcal_workbench.instrument.identifying import identify_run
from snapcal_workbench.instrument.known import INSTRUMENTS
from snapcal_workbench.instrument.model import RunRequest
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.session.iterations.folders import KeptValues
from snapcal_workbench.simulation.beamline import POWGEN_BEAMLINE, Beamline
from snapcal_workbench.simulation.misalignment import Misalignment
from snapcal_workbench.simulation.model import Defects
from snapcal_workbench.simulation.run import simulate_run, visible_reflections
from snapcal_workbench.simulation.tree import SimulatedTree, make_tree, sample_text
from snapcal_workbench.simulation.truth import Truth
from snapcal_workbench.store.state_init import init_state
from tests.instrument.toy import TOY, TOY_BEAMLINE

EVENTS = {"TOY": 400_000, "POWGEN": 1_000_000}
RUN = "58882"


@dataclass
class Calibrated:
    """A calibration of a simulated run, and the truth."""

    tree: SimulatedTree
    session: Session
    truth: Truth
    values: KeptValues


@pytest.fixture(scope="module", params=[TOY_BEAMLINE, POWGEN_BEAMLINE], ids=lambda found: found.instrument.name)
def calibrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calibrated]:
    """A silicon run of a misaligned instrument, calibrated as it is by default but without the repetitions."""
    beamline: Beamline = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(INSTRUMENTS, TOY.name, TOY)
        tree = make_tree(tmp_path_factory.mktemp("facility") / "tree", beamline=beamline)
        truth = simulate_run(
            tree.run_path(RUN),
            reflections=visible_reflections(sample_text("Silicon_NIST_640d.cif")),
            run_number=RUN,
            n_events=EVENTS[beamline.instrument.name],
            seed=3,
            background=0.2,
            misalignment=Misalignment(seed=3),
            defects=Defects.none(),
            beamline=beamline,
        )
        found = identify_run(RunRequest((RUN,), beamline.native), tree.settings)
        init_state(tree.settings, found.state, name="test", run_number=RUN, author="tester", progress=Progress())
        session = Session(EmbeddedHost(tree.settings))
        wanted = session.new_request(runs=(RUN,), calibrant="Silicon_NIST_640d_001")
        iteration = session.calibrate(
            wanted.changed({"groups.model": "DIFC", "groups.repeats": 1}), Progress(), report=False
        )
        yield Calibrated(tree, session, truth, session.folders.values(iteration.number))
        session.close()


def test_the_result_holds_within_its_errors(calibrated: Calibrated) -> None:
    """Pixels stray from the truth as far as their error bars say, and groups lie no further off than theirs."""
    values = calibrated.values
    results, table, mask = values["results"], values["table"], values["mask"]
    used = ~mask.masked & np.isfinite(results.sigma)
    assert used.mean() > 0.8
    error = np.log(table.difc / calibrated.truth.difc)
    before = np.log(calibrated.values["start"].difc / calibrated.truth.difc)
    groups = calibrated.session.iteration(1).groups
    relative_error = dict(zip(groups.group.tolist(), groups.difc_error / groups.difc, strict=True))
    pull = []
    for group in groups.group[groups.peaks_used >= 4].tolist():
        own = used & (calibrated.values["grouping"].group == group)
        middle = np.median(error[own])
        pull.append((error[own] - middle) / results.sigma[own])
        limit = 4.0 * np.hypot(relative_error[group], np.median(results.sigma[own]) / np.sqrt(own.sum()))
        assert abs(middle) < limit, f"group {group}: {1e6 * middle:.0f} ppm, limit {1e6 * limit:.0f} ppm"
    spread = 1.4826 * np.median(np.abs(np.concatenate(pull)))
    assert 0.85 < spread < 1.2
    assert 1.4826 * np.median(np.abs(before[used])) > 5 * np.median(np.abs(error[used]))


def test_it_is_saved_and_read_back(calibrated: Calibrated, tmp_path: Path) -> None:
    saved = calibrated.session.save(1, author="tester", comments="second instrument", progress=Progress())
    (path,) = (found for found in Path(saved.path).glob("diffract_consts_*.h5") if "mask" not in found.name)
    found = read_diffcal(path)
    table: DiffCalTable = calibrated.values["table"]
    np.testing.assert_array_equal(found.table.detid, calibrated.tree.beamline.native.detid)
    np.testing.assert_array_equal(found.table.difc, table.difc)
    assert saved.entry["useLiteMode"] is False
    assert calibrated.session.iteration(1).request.lite is False
    entry = calibrated.session.entry(f"{RUN}:{saved.version}")
    np.testing.assert_allclose(entry.geometry.difc, calibrated.values["start"].difc, rtol=1e-12)


def test_it_is_applied_to_a_run(calibrated: Calibrated) -> None:
    """Focused with the calibration, silicon's strongest peak lies where it belongs in each group."""
    session = calibrated.session
    request = session.iteration(1).request
    session.apply("iteration 1", request, "focused", Progress())
    spectra = session.host.workspaces.read("focused", Spectra)
    groups = session.iteration(1).groups
    seen = groups.group[groups.peaks_used >= 4].tolist()
    peaks = session.iteration(1).peaks
    for index, number in enumerate(spectra.number.tolist()):
        if number not in seen:
            continue
        edges, y = spectra.edges_of(index), spectra.y[index]
        centre = 0.5 * (edges[1:] + edges[:-1])
        expected = peaks[number]
        strongest = int(np.argmax(expected.f_squared * expected.multiplicity * expected.d**4))
        within = (centre > expected.window_min[strongest]) & (centre < expected.window_max[strongest])
        d = float(centre[within][np.argmax(np.convolve(y[within], np.ones(3), "same"))])
        assert d == pytest.approx(expected.d[strongest], rel=1.5e-3)


@pytest.mark.parametrize("name", ["", "POWGEN", "PG3"])
def test_a_file_of_powgen_is_known_by_either_of_its_names(name: str) -> None:
    require_instrument(RunLogs(courses={}, end=1.0, instrument=name, source="run.nxs.h5"), POWGEN_BEAMLINE.instrument)
    other = RunLogs(courses={}, end=1.0, instrument="SNAP", source="run.nxs.h5")
    with pytest.raises(FileFormatError, match="must be one of POWGEN"):
        require_instrument(other, POWGEN_BEAMLINE.instrument)
