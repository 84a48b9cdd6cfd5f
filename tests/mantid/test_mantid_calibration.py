"""A whole calibration in Mantid's workspace list, by the plugin and by script: the same as without Mantid."""

from __future__ import annotations

import ast
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mantid")

from mantid.api import AlgorithmFactory, AlgorithmManager, AnalysisDataService

from snapcal_workbench.algorithms.calibrate import CALIBRATE_DIFFRACTION, output_names_as_inputs
from snapcal_workbench.algorithms.catalogue import ALGORITHMS
from snapcal_workbench.algorithms.load_run import LOAD_CALIBRATION_RUN
from snapcal_workbench.algorithms.properties import input_properties, result_properties
from snapcal_workbench.calibration.types import Account, DiffCalTable, PixelMask, Spectra
from snapcal_workbench.calibration.types.calibration import account_of, readable_account
from snapcal_workbench.errors import Cancelled, NotFoundError, SnapcalError
from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.hosts.mantid_host import MantidHost
from snapcal_workbench.options import Settings
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.names import OutputNames
from snapcal_workbench.workspaces.protocol import Host

pytestmark = pytest.mark.usefixtures("registered")

CALIBRANT = "Silicon_NIST_640d_001"
NAMES = OutputNames("58882", "Column")


def load(host: Host) -> None:
    inputs = LOAD_CALIBRATION_RUN.inputs(
        runs=("58882",), grouping="Column", output_workspace="run", output_grouping="grouping"
    )
    host.run(LOAD_CALIBRATION_RUN, inputs, Progress())


def calibration() -> Any:
    return CALIBRATE_DIFFRACTION.inputs(
        input_workspace="run",
        grouping_workspace="grouping",
        calibrant=CALIBRANT,
        **output_names_as_inputs(NAMES, skip_pixels=False),
    )


def test_the_whole_calibration_is_that_of_the_embedded_host(simulated: Settings) -> None:
    hosts: list[Host] = [MantidHost(simulated), EmbeddedHost(simulated)]
    outcomes = []
    for host in hosts:
        load(host)
        outcomes.append(host.run(CALIBRATE_DIFFRACTION, calibration(), Progress()))
    found, wanted = (host.workspaces.read(NAMES.table, DiffCalTable) for host in hosts)
    np.testing.assert_allclose(found.difc, wanted.difc, rtol=1e-9)
    np.testing.assert_allclose(found.tzero, wanted.tzero, rtol=1e-9, atol=1e-6)
    one, other = (host.workspaces.read(NAMES.mask, PixelMask).reason for host in hosts)
    np.testing.assert_array_equal(one, other)
    accounts = [Account.from_json(outcome.account) for outcome in outcomes]
    assert accounts[0].masked == accounts[1].masked
    for host, table in zip(hosts, (found, wanted), strict=True):  # the account goes with the spectra and the mask
        assert account_of(host.workspaces.read(NAMES.output, Spectra), table) is not None
        assert readable_account(host.workspaces.read(NAMES.mask, PixelMask).account, table) is not None
    assert hosts[0].workspaces.names() == hosts[1].workspaces.names()
    assert [entry["algorithm"] for entry in hosts[0].history()] == [e["algorithm"] for e in hosts[1].history()]


def execute(name: str, properties: dict[str, object]) -> None:
    """Run an algorithm as a script does."""
    algorithm = AlgorithmManager.createUnmanaged(name)
    algorithm.initialize()
    algorithm.setRethrows(True)
    for key, value in properties.items():
        algorithm.setProperty(key, value)
    algorithm.execute()


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_properties_are_those_of_the_models(name: str) -> None:
    algorithm = AlgorithmManager.createUnmanaged(name)
    algorithm.initialize()
    assert algorithm.category() == "Diffraction\\Calibration"
    assert algorithm.summary() == ALGORITHMS[name].summary
    declared = [*input_properties(ALGORITHMS[name].inputs), *result_properties(ALGORITHMS[name].outputs)]
    for declaration in declared:
        found = algorithm.getProperty(declaration.name)
        assert found.documentation.startswith(declaration.doc[:40])
        if declaration.kind == "choice":
            assert set(declaration.choices) <= set(found.allowedValues)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_algorithm_has_a_dialog(name: str) -> None:
    manager = pytest.importorskip("mantidqt.interfacemanager")
    qt = pytest.importorskip("qtpy.QtWidgets")
    application = qt.QApplication.instance() or qt.QApplication([])
    dialog = manager.InterfaceManager().createDialogFromName(name, -1)
    assert dialog is not None
    dialog.close()
    application.processEvents()


def test_wrong_inputs_are_refused_beside_their_property() -> None:
    algorithm = AlgorithmManager.createUnmanaged("PixelDiffCal")
    algorithm.initialize()
    with pytest.raises(ValueError, match="PixelsMaxPasses"):
        algorithm.setProperty("PixelsMaxPasses", 0)
    algorithm.setProperty("PixelsMaxShift", 0.5)
    assert "less than 0.2" in algorithm.validateInputs()["PixelsMaxShift"]


def test_an_error_comes_back_as_itself(simulated: Settings) -> None:
    host = MantidHost(simulated)
    load(host)
    wrong = calibration().model_copy(update={"calibrant": "no such calibrant"})
    with pytest.raises(NotFoundError, match="no such calibrant"):
        host.run(CALIBRATE_DIFFRACTION, wrong, Progress())
    assert host.history()[-1]["outcome"] == "failed"


def test_a_script_gets_the_same_and_its_history_can_be_replayed(simulated: Settings) -> None:
    host = MantidHost(simulated)
    load(host)
    given = {
        "InputWorkspace": "run",
        "GroupingWorkspace": "grouping",
        "OutputTable": "table",
        "OutputMask": "mask",
        "PixelsMaxPasses": 2,
        "PixelsEstimator": "correlation",
    }
    execute("PixelDiffCal", given)
    first = host.workspaces.read("table", DiffCalTable)
    generate = AlgorithmManager.createUnmanaged("GeneratePythonScript")
    generate.initialize()
    generate.setChild(True)
    generate.setProperty("InputWorkspace", "mask")
    generate.execute()
    script = generate.getProperty("ScriptText").value
    calls = [line for line in script.splitlines() if line.startswith("PixelDiffCal(")]
    assert len(calls) == 1
    (statement,) = ast.parse(calls[0]).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    given = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in statement.value.keywords}
    assert given["PixelsEstimator"] == "correlation"
    assert not any(name.startswith("Result") for name in given)
    AnalysisDataService.remove("table")
    execute("PixelDiffCal", given)
    np.testing.assert_array_equal(host.workspaces.read("table", DiffCalTable).difc, first.difc)


def test_progress_reaches_the_caller_and_cancelling_ends_within_the_step(simulated: Settings) -> None:
    host = MantidHost(simulated)
    load(host)
    reports: list[float] = []
    stop = threading.Event()

    def on_report(fraction: float, message: str) -> None:
        reports.append(fraction)
        if fraction > 0.05:
            stop.set()

    with pytest.raises(Cancelled):
        host.run(CALIBRATE_DIFFRACTION, calibration(), Progress(on_report, is_cancelled=stop.is_set))
    assert reports
    assert max(reports) < 0.5
    assert host.history()[-1]["outcome"] == "cancelled"


def _in_a_thread(host: MantidHost, then: Callable[[], object]) -> list[BaseException]:
    """Calibrate in a thread, call `then` once it reports, and return what it ended with."""
    ended: list[BaseException] = []
    started = threading.Event()

    def work() -> None:
        try:
            host.run(CALIBRATE_DIFFRACTION, calibration(), Progress(lambda *_: started.set()))
        except (Cancelled, SnapcalError) as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(120)
    then()
    thread.join(120)
    assert not thread.is_alive()
    return ended


def test_clearing_the_list_ends_a_calibration_cleanly(simulated: Settings) -> None:
    host = MantidHost(simulated)
    load(host)
    assert _in_a_thread(host, AnalysisDataService.clear)


def test_closing_workbench_ends_a_calibration_cleanly(simulated: Settings) -> None:
    host = MantidHost(simulated)
    load(host)
    ended = _in_a_thread(host, AlgorithmManager.cancelAll)
    assert [type(error) for error in ended] == [Cancelled]
    time.sleep(0.1)
    assert AlgorithmFactory.exists("CalibrateDiffraction")
