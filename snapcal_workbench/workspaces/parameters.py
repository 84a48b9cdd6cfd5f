"""Inputs and outputs of an algorithm: pydantic models.

Workspaces are passed by name. A field that names a workspace is made by `reads` or `makes`, which
say of which kind it is; fields that are themselves models (the options) are groups of properties. From these
declarations `mantid_algorithms` makes the properties, documentation and validation of a Mantid PythonAlgorithm.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

CATEGORY = "Diffraction\\Calibration"


class Parameters(BaseModel):
    """Base of the input and output models."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def reads(kind: type, description: str, *, optional: bool = False) -> Any:
    """A field that names a workspace which is read; "" for none where it is optional."""
    extra: JsonDict = {"workspace": kind.__name__, "direction": "input", "optional": optional}
    if optional:
        return Field("", description=description, json_schema_extra=extra)
    return Field(min_length=1, description=description, json_schema_extra=extra)


def makes(kind: type, description: str, *, optional: bool = False) -> Any:
    """A field that names a workspace which is made; "" for none where it is optional."""
    extra: JsonDict = {"workspace": kind.__name__, "direction": "output", "optional": optional}
    if optional:
        return Field("", description=description, json_schema_extra=extra)
    return Field(min_length=1, description=description, json_schema_extra=extra)
