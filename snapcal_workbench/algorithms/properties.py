"""An algorithm's models as a list of properties, the form in which Mantid knows inputs and outputs.

A *property* has a name in CamelCase, a type, a default and a documentation; it stands for one field. The fields of
nested models (the options) are a *group* of properties, and carry its name: `pixels.max_passes` is PixelsMaxPasses.
Properties of the output model begin with "Result". What no simple property can hold is JSON text. No Mantid here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from snapcal_workbench.options import Leaf, leaves, nested, value_at

PropertyKind = Literal["text", "integer", "number", "switch", "choice", "list", "json", "workspace"]
Path = tuple[str, ...]
_SIMPLE: dict[object, PropertyKind] = {str: "text", int: "integer", float: "number", bool: "switch"}
_RESERVED = {"Version": "CalibrationVersion"}
"""Names that Mantid's Python functions keep for themselves, and what stands for them."""
_EMPTY: dict[PropertyKind, object] = {
    "text": "",
    "integer": 0,
    "number": 0.0,
    "switch": False,
    "json": "",
    "choice": "",
}


@dataclass(frozen=True)
class PropertyDeclaration:
    """One property.

    Attributes:
        name: CamelCase.
        path: Where the value belongs in the model.
        kind: "list" is text separated by commas, "workspace" the name of one.
        default: As a property has it: text for a list and for JSON, None for a number that may be empty.
        doc: One line with units.
        group: Group box in the dialog; "" for none.
        optional: Whether a number may be empty, or a workspace left out.
        lower: Smallest value; pydantic alone knows whether it is allowed itself.
        upper: Largest value.
        choices: The values of a "choice".
        workspace: Kind of the workspace: class name of its value, "tuple" for a group of workspaces.
        output: Whether the algorithm makes it.
        enabled_when: (name of another property, its value as text) that this one has a meaning with.
    """

    name: str
    path: Path
    kind: PropertyKind
    default: object
    doc: str
    group: str = ""
    optional: bool = False
    lower: float | None = None
    upper: float | None = None
    choices: tuple[str, ...] = ()
    workspace: str = ""
    output: bool = False
    enabled_when: tuple[str, str] | None = None


def input_properties(model: type[BaseModel]) -> tuple[PropertyDeclaration, ...]:
    """The properties of an input model, in the order of its fields."""
    declared = tuple(_of_leaf(leaf) for leaf in leaves(model))
    names = [declaration.name for declaration in declared]
    assert len(set(names)) == len(names), f"two fields of {model.__qualname__} have one property name"
    return declared


def result_properties(model: type[BaseModel]) -> tuple[PropertyDeclaration, ...]:
    """The properties of an output model; what is not a single value is JSON."""
    declared = []
    for name, field in model.model_fields.items():
        kind = _SIMPLE.get(field.annotation, "json")
        declared.append(
            PropertyDeclaration(
                f"Result{camel_case(name)}", (name,), kind, _EMPTY[kind], _doc(field, kind), "Results", output=True
            )
        )
    return tuple(declared)


def camel_case(name: str) -> str:
    """ "d_crop_low" as DCropLow."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _of_leaf(leaf: Leaf) -> PropertyDeclaration:
    path, field, extra = leaf.path, leaf.field, leaf.extra
    kind = "workspace" if "workspace" in extra else _kind(leaf)
    declaration = PropertyDeclaration(
        name=_name(path),
        path=path,
        kind=kind,
        default=None,
        doc=_doc(field, kind),
        group=camel_case(path[-2]) if len(path) > 1 else "",
        optional=bool(extra.get("optional", leaf.may_be_empty)),
        lower=leaf.bound("ge", "gt"),
        upper=leaf.bound("le", "lt"),
        choices=leaf.choices,
        workspace=str(extra.get("workspace", "")),
        output=extra.get("direction") == "output",
        enabled_when=_condition(leaf),
    )
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return replace(declaration, default=_EMPTY.get(kind, ""))
    return replace(declaration, default=to_property(declaration, default))


def _kind(leaf: Leaf) -> PropertyKind:
    if leaf.choices:
        return "choice"
    if leaf.kind == tuple[str, ...]:
        return "list"
    return _SIMPLE.get(leaf.kind, "json")


def _name(path: Path) -> str:
    name = "".join(camel_case(part) for part in path[-2:])
    return _RESERVED.get(name, name)


def _doc(field: FieldInfo, kind: PropertyKind) -> str:
    form = {"list": " (separated by commas)", "json": " (JSON)"}.get(kind, "")
    return (field.description or "") + form


def _condition(leaf: Leaf) -> tuple[str, str] | None:
    if leaf.condition is None:
        return None
    name, value = leaf.condition
    return _name(tuple(name.split("."))), str(int(value)) if isinstance(value, bool) else str(value)


def to_property(declaration: PropertyDeclaration, value: Any) -> object:
    """A value of the model as the property holds it; None is an empty number."""
    if declaration.kind == "list":
        return ",".join(value)
    if declaration.kind == "json":
        return json.dumps(TypeAdapter(Any).dump_python(value, mode="json"))
    return value


def from_property(declaration: PropertyDeclaration, value: object) -> object:
    """What a property holds as a value for the model; text that is no JSON stays text, which the model refuses."""
    if declaration.kind == "list":
        return tuple(part.strip() for part in str(value).split(",") if part.strip())
    if declaration.kind != "json":
        return value
    try:
        return json.loads(str(value))
    except ValueError:
        return value


def property_values(declarations: tuple[PropertyDeclaration, ...], model: BaseModel) -> dict[str, object]:
    """The properties of which a model differs from the default, by name, and all workspaces that it names."""
    values = {d.name: to_property(d, value_at(model, d.path)) for d in declarations}
    return {d.name: values[d.name] for d in declarations if values[d.name] != d.default}


def model_of(
    model: type[BaseModel],
    declarations: tuple[PropertyDeclaration, ...],
    value_of: Callable[[PropertyDeclaration], object],
) -> BaseModel:
    """The model that the properties' values make.

    Args:
        model: The input model.
        declarations: Its properties.
        value_of: The value of a property; None for an empty number.

    Raises:
        pydantic.ValidationError: They do not fit; see `messages`.
    """
    values = {".".join(d.path): from_property(d, value_of(d)) for d in declarations}
    return model.model_validate(nested(values))


def messages(declarations: tuple[PropertyDeclaration, ...], error: ValidationError) -> dict[str, str]:
    """What is wrong, by property; what belongs to no single one stands beside the first."""
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        name = _property_at(declarations, problem["loc"])
        message = "It must be given" if _is_missing(problem) else problem["msg"]
        found[name] = f"{found[name]}; {message}" if name in found else message
    return found


def _is_missing(problem: Mapping[str, object]) -> bool:
    return problem["type"] in ("string_too_short", "too_short") and not problem["input"]


def _property_at(declarations: tuple[PropertyDeclaration, ...], place: tuple[int | str, ...]) -> str:
    for length in range(len(place), 0, -1):
        for declaration in declarations:
            if declaration.path[:length] == place[:length]:
                return declaration.name
    return declarations[0].name
