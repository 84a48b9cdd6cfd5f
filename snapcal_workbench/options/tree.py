"""The tree of a model's fields by dotted names, as "pixels.max_passes": the one way to walk, read, set and name them.

A leaf is a field that is not a model itself; a section is a model that is a field. Nested dicts are the plain form of a
tree ("nested"), a dict by dotted names its flat form.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from snapcal_workbench.errors import InputError


@dataclass(frozen=True)
class Leaf:
    """One field at the end of a branch.

    Attributes:
        path: Names from the root, the field's own last.
        field: Its declaration.
        section_title: What its section is called; at the root what its declaration says, or "".
    """

    path: tuple[str, ...]
    field: FieldInfo
    section_title: str = ""

    @property
    def name(self) -> str:
        """Dotted name."""
        return ".".join(self.path)

    @property
    def label(self) -> str:
        """What people call it."""
        return self.field.title or self.path[-1].replace("_", " ").capitalize()

    @property
    def kind(self) -> Any:
        """Its type, without the None of one that may be empty."""
        return _without_none(self.field.annotation)

    @property
    def may_be_empty(self) -> bool:
        """Whether None is one of its values."""
        return self.kind != self.field.annotation

    @property
    def choices(self) -> tuple[str, ...]:
        """Its values where there are only a few."""
        return tuple(map(str, get_args(self.kind))) if get_origin(self.kind) is Literal else ()

    @property
    def extra(self) -> JsonDict:
        """What else is declared of it."""
        extra = self.field.json_schema_extra
        return extra if isinstance(extra, dict) else {}

    @property
    def condition(self) -> tuple[str, object] | None:
        """Dotted name and value of another leaf without which this one means nothing."""
        when = self.extra.get("enabled_when")
        return (".".join((*self.path[:-1], str(when["field"]))), when["is"]) if isinstance(when, dict) else None

    def bound(self, *names: str) -> float | None:
        """The limit that is declared by one of these names ("ge", "gt", "le", "lt")."""
        limits = (getattr(constraint, name, None) for constraint in self.field.metadata for name in names)
        return next((float(limit) for limit in limits if limit is not None), None)


def leaves(model: type[BaseModel]) -> Iterator[Leaf]:
    """All leaves of a model, in the order of their declaration."""
    return _leaves(model, (), "")


def _leaves(model: type[BaseModel], path: tuple[str, ...], title: str) -> Iterator[Leaf]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, (*path, name), field.title or "")
        else:
            leaf = Leaf((*path, name), field, title)
            yield leaf if title else replace(leaf, section_title=str(leaf.extra.get("section", "")))


def value_at(model: BaseModel, path: tuple[str, ...]) -> object:
    """The value of a leaf."""
    value: object = model
    for name in path:
        value = getattr(value, name)
    return value


def flattened(values: Mapping[str, object]) -> dict[str, object]:
    """Nested dicts in their flat form."""
    return dict(_flattened(values, ""))


def _flattened(values: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def nested(flat: Mapping[str, object], sources: Mapping[str, str] | None = None) -> dict[str, object]:
    """The flat form as nested dicts.

    Args:
        flat: Values by dotted names.
        sources: Where values are from, for the message.

    Raises:
        InputError: One name is a leaf and a section of others.
    """
    tree: dict[str, object] = {}
    for key, value in flat.items():
        *parents, name = key.split(".")
        branch = tree
        for parent in parents:
            below = branch.setdefault(parent, {})
            if not isinstance(below, dict):
                raise InputError(
                    f"Setting '{key}' lies below '{parent}', which has a value of its own.",
                    found=f"{below!r} ({(sources or {}).get(parent, 'another source')})",
                    fix="Give the options one by one, e.g. max_passes below [options.pixels].",
                )
            branch = below
        branch[name] = value
    return tree


def _without_none(annotation: object) -> object:
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not types.NoneType]
        if len(members) == 1 and len(get_args(annotation)) == 2:
            return members[0]
    return annotation
