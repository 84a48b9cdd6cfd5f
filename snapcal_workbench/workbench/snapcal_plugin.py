"""Loaded by Mantid from `user.python.plugins.directories`: registers the algorithms (AlgorithmFactory.subscribe) and,
inside Workbench, the menu entry. Everything else is in the package, which reports what goes wrong in Mantid's log.
"""

from snapcal_workbench.plugin import register

register()
