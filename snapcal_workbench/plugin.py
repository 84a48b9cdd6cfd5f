"""What Mantid runs at its start: registers the algorithms and, inside Workbench, the panel's menu entry.

The thin file that `snapcal install` writes calls `register`. A part that fails is reported in Mantid's log and left
out; nothing here may keep Mantid from starting.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from mantid.kernel import logger

from snapcal_workbench.errors import SnapcalError
from snapcal_workbench.manifest import InterfaceEntry, load_object, read_manifest


def register() -> None:
    """Add everything that the manifest names to Mantid."""
    if _attempt("algorithms", _register_algorithms) and "workbench" in sys.modules:
        for name in read_manifest().start:
            _attempt(name, partial(_start, name))


def open_panel() -> Any:
    """Open the panel, or bring the open one to the front; returns its window, or None when it cannot be opened."""
    return _attempt("the panel", lambda: load_object(read_manifest().interface.object)())


def _start(name: str) -> None:
    load_object(name)(read_manifest().interface, open_panel)


def menu_entry() -> InterfaceEntry:
    """The menu entry, for a Workbench that reads entry points."""
    return read_manifest().interface


def _register_algorithms() -> bool:
    from snapcal_workbench.algorithms import mantid_algorithms

    for entry in read_manifest().algorithms:
        load = _loader(entry.name, entry.object)
        _attempt(entry.name, partial(mantid_algorithms.register, entry.name, load, _host))
    return True


def _loader(name: str, where: str) -> Callable[[], Any]:
    @lru_cache(maxsize=1)
    def load() -> Any:
        try:
            return load_object(where)
        except Exception as error:
            logger.error(f"SNAPCal: the algorithm {name} is not available: {error}")
            raise

    return load


def _host() -> Any:
    return importlib.import_module("snapcal_workbench.hosts.mantid_host").shared_host()


def _attempt(what: str, action: Callable[[], Any]) -> Any:
    """Do it; report what goes wrong and go on."""
    try:
        return action()
    except SnapcalError as error:
        logger.error(f"SNAPCal: {what}: {error}")
    except Exception as error:
        logger.error(f"SNAPCal: {what} is not available: {type(error).__name__}: {error}")
    return None
