"""What lets the GUI thread answer while other threads compute and draw; no Qt here."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from contextlib import suppress

COLLECTIONS = 10_000, 2, 4
"""Thresholds of the garbage collection: each visits few enough objects."""
LIBRARIES = "snapcal_workbench.calibration.pixels.likelihood.estimate", "snapcal_workbench.report.html"
"""What a calibration loads, with the libraries behind it."""


def favour_the_gui() -> None:
    """Let the GUI thread have the interpreter when it asks for it.

    A thread in Python gives way after a millisecond instead of five, since one click needs it several times. A garbage
    collection stops all threads for as long as it visits and frees objects. So what is there already (all of Workbench:
    a collection of it takes a third of a second) and the libraries are kept out of it, with those that a calibration
    needs loaded now; and figures, of which each leaves thousands of objects behind, are collected before many are old.
    """
    sys.setswitchinterval(1e-3)
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
    threading.Thread(target=_load_libraries, daemon=True, name="snapcal libraries").start()


def _load_libraries() -> None:
    with suppress(ImportError):  # said by the calibration that needs it
        for name in LIBRARIES:
            importlib.import_module(name)
    gc.freeze()
