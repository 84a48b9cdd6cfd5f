"""What an algorithm is: a pydantic model in, a pydantic model out, and a function between them.

Workspaces are passed by name. A field that names a workspace is made by `reads` or `makes`, which
say of which kind it is; fields that are themselves models (the options) are groups of properties. From these
declarations `mantid_algorithms` makes the properties, documentation and validation of a Mantid PythonAlgorithm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from snapcal_workbench.progress import Progress

if TYPE_CHECKING:
    from snapcal_workbench.workspaces.protocol import Host

I = TypeVar("I", bound=BaseModel)  # noqa: E741 - inputs
O = TypeVar("O", bound=BaseModel)  # noqa: E741 - outputs

CATEGORY = "Diffraction\\Calibration"


class Parameters(BaseModel):
    """Base of the input and output models."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Algorithm(Generic[I, O]):
    """One algorithm, in every host.

    Attributes:
        name: As in Mantid's algorithm list.
        summary: One sentence.
        inputs: Model of the inputs.
        outputs: Model of the outputs.
        run: Does the work; raises SnapcalError for what a user can mend, and Cancelled.
        see_also: Related algorithms.
    """

    name: str
    summary: str
    inputs: type[I]
    outputs: type[O]
    run: Callable[[I, Host, Progress], O]
    see_also: tuple[str, ...] = ()


def reads(kind: type, description: str, *, optional: bool = False) -> Any:
    """A field that names a workspace which is read; "" for none where it is optional."""
    extra: dict[str, Any] = {"workspace": kind.__name__, "direction": "input", "optional": optional}
    if optional:
        return Field("", description=description, json_schema_extra=extra)
    return Field(min_length=1, description=description, json_schema_extra=extra)


def makes(kind: type, description: str, *, optional: bool = False) -> Any:
    """A field that names a workspace which is made; "" for none where it is optional."""
    extra: dict[str, Any] = {"workspace": kind.__name__, "direction": "output", "optional": optional}
    if optional:
        return Field("", description=description, json_schema_extra=extra)
    return Field(min_length=1, description=description, json_schema_extra=extra)
