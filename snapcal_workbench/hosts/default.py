"""Which host this process has."""

from __future__ import annotations

import importlib
import sys

from snapcal_workbench.hosts.embedded import EmbeddedHost
from snapcal_workbench.options import Settings
from snapcal_workbench.workspaces.protocol import Host


def default_host(settings: Settings | None = None) -> Host:
    """Mantid's where the program has imported Mantid (Workbench has), else the embedded one."""
    if "mantid" in sys.modules:
        return importlib.import_module("snapcal_workbench.hosts.mantid_host").shared_host(settings)
    return EmbeddedHost(settings)
