"""The plugin's manifest, `plugin.json`: what it adds to Mantid Workbench, as data.

An *object* is written "module:name"; it is imported only when it is used, so that a part that cannot be imported takes
nothing else with it.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from snapcal_workbench.errors import FileFormatError

ObjectName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
"""What is imported, as "module:name"."""


class NotOfferedError(Exception):
    """What a part of the plugin needs, and this release of Mantid does not offer; the rest works without it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InterfaceEntry(_Part):
    """The entry in Workbench's menu Interfaces."""

    title: str = Field(min_length=1, description="Text of the menu entry")
    category: str = Field(min_length=1, description="Submenu that it stands in")
    object: ObjectName = Field(
        description="Opens the panel, or brings the open one to the front, and returns its window; has no arguments"
    )
    window_class: str = Field(min_length=1, description="Class of the window, by which a saved project names it")
    self_test: ObjectName | Literal[""] = Field("", description="Runs the self-test and shows its page; no arguments")


class AlgorithmEntry(_Part):
    """An algorithm in Mantid's list."""

    name: str = Field(pattern=r"^[A-Z][A-Za-z0-9]*$", description="Name in Mantid's list and in Python")
    object: ObjectName = Field(description="The `workspaces.algorithm.Algorithm`")


class Manifest(_Part):
    """What the plugin is and what it adds."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="Identifier, which is also the name of the distribution")
    name: str = Field(min_length=1, description="Name that people read")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+", description="Version of the plugin")
    mantid: str = Field(pattern=r"^>=\d+\.\d+", description="Versions of Mantid that it is written for")
    interface: InterfaceEntry = Field(description="The entry in the menu Interfaces")
    start: tuple[ObjectName, ...] = Field(
        (), description="Called with the interface entry, and a function that opens it, when Workbench has a window"
    )
    algorithms: tuple[AlgorithmEntry, ...] = Field(description="The algorithms")
    help: str = Field(min_length=1, description="Where the use of the plugin is described: a page or a file")


@lru_cache(maxsize=1)
def read_manifest() -> Manifest:
    """The manifest of this installation.

    Raises:
        FileFormatError: It is damaged.
    """
    path = files("snapcal_workbench") / "plugin.json"
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, OSError) as error:
        raise FileFormatError(
            "The plugin's manifest cannot be read.", found=f"{path}: {error}", fix="Install the plugin again."
        ) from error


def load_object(name: str) -> Any:
    """Import the object "module:name".

    Raises:
        ImportError: The module cannot be imported.
        AttributeError: It has no such object.
    """
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
