"""Fixtures of the panel's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication

from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.panel.window import CalibrationWindow
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session
from snapcal_workbench.simulation.tree import SimulatedTree
from tests.facility.snapred_tree import SnapredState, state_at
from tests.facility.test_history import VERSIONS, shifts
from tests.panel.driving import Open, initialise
from tests.support import copy_tree


@pytest.fixture
def tree(small_tree: SimulatedTree) -> SimulatedTree:
    """A tree whose state is initialised, without iterations."""
    return initialise(small_tree)


@pytest.fixture(scope="session")
def worked_template(calibrated_tree: SimulatedTree, tmp_path_factory: pytest.TempPathFactory) -> SimulatedTree:
    """The tree that other tests have calibrated, with a third iteration; not to be changed."""
    tree = copy_tree(calibrated_tree, tmp_path_factory.mktemp("worked") / "tree")
    session = Session(EmbeddedHost(tree.settings))
    session.iterate({"pixels.skip": True}, Progress(), report=False)
    session.close()
    return tree


@pytest.fixture
def worked(worked_template: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    """A tree of the test's own whose session has three iterations, the third without pixel calibration."""
    return copy_tree(worked_template, tmp_path / "worked")


@pytest.fixture(scope="session")
def facility_template(worked_template: SimulatedTree, tmp_path_factory: pytest.TempPathFactory) -> SimulatedTree:
    """A tree with a version of its run, a state in which a module drifts and another jumps, and one that is damaged;
    not to be changed."""
    tree = copy_tree(worked_template, tmp_path_factory.mktemp("facility") / "tree")
    session = Session(EmbeddedHost(tree.settings))
    session.save(2, author="tester", comments="the first", force=True)
    session.close()
    moving = SnapredState(tree.settings, state_at(wavelength=3.0), "the moving one")
    moving.write(VERSIONS, shift=shifts)
    damaged = SnapredState(tree.settings, state_at(wavelength=4.0), "the damaged one")
    damaged.write(1, data=False)
    (damaged.home / "CalibrationIndex.json").write_text("[{")
    return tree


@pytest.fixture
def facility_tree(facility_template: SimulatedTree, tmp_path: Path) -> SimulatedTree:
    """A tree of the test's own with three states."""
    return copy_tree(facility_template, tmp_path / "facility")


@pytest.fixture
def settings(tmp_path: Path) -> None:
    """Settings of the test's own, not those of whoever runs it."""
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path))
    QApplication.setOrganizationName("tests")
    QApplication.setApplicationName("panel")
    QSettings().clear()


@pytest.fixture
def open_window(qtbot, tree: SimulatedTree, settings: None) -> Open:
    """Opens the panel over a tree without iterations."""
    return opener(qtbot, tree)


@pytest.fixture
def open_worked(qtbot, worked: SimulatedTree, settings: None) -> Open:
    """Opens the panel over a tree with three iterations."""
    return opener(qtbot, worked)


@pytest.fixture
def open_facility(qtbot, facility_tree: SimulatedTree, settings: None) -> Open:
    """Opens the panel over a tree with three states."""
    return opener(qtbot, facility_tree)


def opener(qtbot, tree: SimulatedTree) -> Open:
    """A function that opens the panel over a tree."""

    def open_one() -> CalibrationWindow:
        window = CalibrationWindow(EmbeddedHost(tree.settings))
        qtbot.addWidget(window)
        window.show()
        return window

    return open_one
