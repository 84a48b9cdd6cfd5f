"""The command line's options for the inputs of a calibration, made from their one declaration, `options.Request`.

What is given stays text: the model reads it, as it does that of a file or a variable, and says what does not fit. What
is not given must be told from what is given as the default, since a preset or the iteration before then counts; so the
options are made here, and not by a library that makes models from the command line and fills in the defaults itself.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, get_type_hints

import typer

from snapcal_workbench.cli.common import pair
from snapcal_workbench.options import PRESETS, Leaf, Request, flattened, leaves

_FLAGS = {
    "lite": "--lite/--native",
    "masks": "--mask",
    "excluded_peaks": "--exclude",
    "peaks.crystal_d_min": "--d-min",
    "peaks.crystal_d_max": "--d-max",
    "pixels.skip": "--skip-pixels/--no-skip-pixels",
}
"""Options that are not called as the last part of their name."""
_METAVARS = {"excluded_peaks": "GROUP:H,K,L", "masks": "FILE"}
_KINDS = {int: "INT", float: "FLOAT"}
_ARGUMENTS = ("runs",)
_OF_THE_PANEL = ("workspace",)
_INPUTS = "Inputs"

Others = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="object option by its name in `snapcal config`", rich_help_panel=_INPUTS
    ),
]


@dataclass(frozen=True)
class _Input:
    """One input as an option of a command."""

    name: str
    leaf: Leaf

    @property
    def parameter(self) -> str:
        return self.name.replace(".", "_")

    @property
    def annotation(self) -> object:
        option = typer.Option(
            _flag(self.name, self.leaf),
            help=_help(self.name, self.leaf),
            metavar=None if self.leaf.kind is bool else _metavar(self.name, self.leaf),
            rich_help_panel=self.leaf.section_title or _INPUTS,
            show_default=False,
        )
        return Annotated[_type(self.leaf), option]


def inputs() -> Iterator[_Input]:
    """All inputs that the command line takes as options."""
    for leaf in leaves(Request):
        name = leaf.name.removeprefix("options.")
        if name not in (*_ARGUMENTS, *_OF_THE_PANEL):
            yield _Input(name, leaf)


def takes_inputs(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all inputs of a calibration as options.

    Args:
        command: Gets those that were given as `given`: values by the names that `Request.changed` takes.
    """
    known = {made.parameter: made for made in inputs()}

    @functools.wraps(command)
    def with_inputs(others: list[str] | None, **values: object) -> None:
        given = {
            made.name: tuple(value) if isinstance(value, list) else value
            for parameter, made in known.items()
            if (value := values.pop(parameter, None)) not in (None, [])
        }
        command(**values, given=given | dict(pair(text, "--option pixels.threshold=0.3") for text in others or ()))

    own, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(p.replace(annotation=hints[p.name], kind=keyword) for p in own.parameters.values() if p.name != "given"),
        *(inspect.Parameter(key, keyword, default=None, annotation=made.annotation) for key, made in known.items()),
        inspect.Parameter("others", keyword, default=None, annotation=Others),
    ]
    with_inputs.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer reads
    with_inputs.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_inputs


def _flag(name: str, leaf: Leaf) -> str:
    plain = "--" + leaf.path[-1].replace("_", "-")
    return _FLAGS.get(name) or (f"{plain}/--no-{plain[2:]}" if leaf.kind is bool else plain)


def _type(leaf: Leaf) -> object:
    if leaf.kind is bool:
        return bool | None
    return list[str] | None if _is_list(leaf) else str | None


def _is_list(leaf: Leaf) -> bool:
    return str(leaf.kind).startswith("tuple")


def _metavar(name: str, leaf: Leaf) -> str:
    return _METAVARS.get(name) or ("WORD" if leaf.choices else _KINDS.get(leaf.kind, "TEXT"))


def _help(name: str, leaf: Leaf) -> str:
    """What an input is, its limits, and its default, in each preset where they differ."""
    remarks = [*_limits(leaf), *_defaults(name)]
    return (leaf.field.description or "") + (f" ({'; '.join(remarks)})" if remarks else "")


def _limits(leaf: Leaf) -> Iterator[str]:
    if leaf.choices:
        yield f"one of: {', '.join(leaf.choices)}"
    if _is_list(leaf):
        yield "may be given several times"
    for names, word in ((("gt",), "above"), (("ge",), "at least"), (("lt",), "below"), (("le",), "at most")):
        limit = leaf.bound(*names)
        if limit is not None:
            yield f"{word} {limit:g}"


def _defaults(name: str) -> Iterator[str]:
    standard, snapred = (flattened(PRESETS[preset].model_dump()) for preset in ("standard", "snapred"))
    if name in standard:
        yield f"default: {_shown(standard[name])}"
        if snapred[name] != standard[name]:
            yield f"snapred: {_shown(snapred[name])}"


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
