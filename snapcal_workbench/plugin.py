"""What Mantid runs at its start: registers the algorithms and, inside Workbench, the panel's menu entry.

The thin file that `snapcal workbench install` makes known calls `register`. A part that fails is reported in Mantid's
log and left out; nothing here may keep Mantid from starting. Nothing here imports h5py before it is known to go
together with Mantid (`libraries`): else the log and the menu entry say so, and only the self-test is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snapcal_workbench.workspaces.protocol import Algorithm, Host

import importlib
import os
import sys
from collections.abc import Callable
from functools import lru_cache, partial

from mantid.kernel import logger

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.libraries import TRIAL, reason_not_to_load, reason_not_to_show
from snapcal_workbench.manifest import InterfaceEntry, NotOfferedError, load_object, read_manifest


def register() -> None:
    """Add everything that the manifest names to Mantid."""
    if TRIAL in os.environ:
        return
    _attempt("SnapCalSelfTest", _register_self_test)
    reason = reason_not_to_load()
    if reason:
        logger.error(f"SNAPCal: the plugin is not loaded: {reason}")
    else:
        _attempt("algorithms", _register_algorithms)
    if "workbench" in sys.modules:
        for name in read_manifest().start:
            _attempt(name, partial(_start, name))


def open_panel() -> object:
    """Open the panel, or bring the open one to the front; returns its window, or None when it cannot be opened.

    Why it cannot be opened stands in Mantid's log and in a message box.
    """
    reason = reason_not_to_load() or reason_not_to_show()
    if reason:
        logger.error(f"SNAPCal: the panel cannot be opened: {reason}")
        _explain(reason)
        return None
    return _attempt("the panel", lambda: load_object(read_manifest().interface.object)(), _explain)


def _start(name: str) -> None:
    load_object(name)(read_manifest().interface, open_panel)


def menu_entry() -> InterfaceEntry:
    """The menu entry, for a Workbench that reads entry points."""
    return read_manifest().interface


def _register_self_test() -> None:
    from snapcal_workbench.algorithms import mantid_self_test
    from snapcal_workbench.self_test.page import make_page

    mantid_self_test.register(make_page)


def _register_algorithms() -> None:
    from snapcal_workbench.algorithms import mantid_algorithms

    for entry in read_manifest().algorithms:
        load = _loader(entry.name, entry.object)
        _attempt(entry.name, partial(mantid_algorithms.register, entry.name, load, _host))


def _loader(name: str, where: str) -> Callable[[], Algorithm]:
    @lru_cache(maxsize=1)
    def load() -> Algorithm:
        try:
            found: Algorithm = load_object(where)
            return found
        except Exception as error:
            logger.error(f"SNAPCal: the algorithm {name} is not available: {error}")
            raise

    return load


def _host() -> Host:
    host: Host = importlib.import_module("snapcal_workbench.hosts.mantid_host").shared_host()
    return host


def _explain(reason: str) -> None:
    """Say in a message box, where there can be one, why there is no panel."""
    title = read_manifest().interface.title
    _attempt("a message box", lambda: load_object("snapcal_workbench.panel.menu:explain")(title, reason))


def _attempt(what: str, action: Callable[[], object], tell: Callable[[str], None] | None = None) -> object:
    """Do it; report what goes wrong to the log, and to `tell`, and go on."""
    try:
        return action()
    except NotOfferedError as missing:
        logger.information(f"SNAPCal: {missing}")
        return None
    except SnapcalError as error:
        problem = f"{what}: {error}"
    except Exception as error:
        problem = f"{what} is not available: {type(error).__name__}: {error}"
    logger.error(f"SNAPCal: {problem}")
    if tell is not None:
        tell(problem)
    return None
