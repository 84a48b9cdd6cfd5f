"""The seam between the algorithms and the program that they run in."""

from snapcal_workbench.workspaces.names import OutputNames
from snapcal_workbench.workspaces.parameters import Parameters, makes, reads
from snapcal_workbench.workspaces.protocol import Algorithm, Change, Group, Host, LoadedRun, Value, WorkspaceList

__all__ = [
    "Algorithm",
    "Change",
    "Group",
    "Host",
    "LoadedRun",
    "OutputNames",
    "Parameters",
    "Value",
    "WorkspaceList",
    "makes",
    "reads",
]
