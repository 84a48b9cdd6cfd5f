"""Identity of an instrument state: from logs to the id, as a schema says.

Words:

- A *log* is a process variable (PV) of the run; its value is the last one recorded.
- A *schema* (`stateIdSchema` of the instrument parameters) lists the logs that define a state, in order, with their
  `type` (number, integer, boolean, string, array with `items`), `resolution` to which they are rounded, `alias` under
  which they are hashed, `default` where the log is absent, and `ignore` for those that are kept but not hashed.
- The *state id* is the SHAKE-256 hash, in hexadecimal digits, of the JSON text of the rounded values. The text is part
  of the format: with `use_legacy_rounding` it holds floats such as 2.3000000000000003, which must not be cleaned.
- *Derived* values (`derivedPVs`), such as the beam divergence, are looked up by the rounded values of some logs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Required, TypedDict, TypeVar, cast

import numpy as np

from snapcal_workbench.errors import FileFormatError, NotFoundError

Alternatives = Mapping[str, tuple[str, ...]]
"""Logs that stand in, in this order, for one that a run lacks."""

MOST_DIGITS = 128
"""Longest state id: longer ones say no more, and the name of a folder may have 255 characters."""
FINEST_RESOLUTION = 1e-9
LARGEST_NUMBER = 1e12
"""Beyond these a log is not that of a device, and the whole multiple of a resolution no longer exact."""
DEEPEST_ARRAY = 4


B = TypeVar("B")


class Rule(TypedDict, total=False):
    """A log's entry in a schema; see the words above."""

    type: Required[str]
    items: Rule
    resolution: float
    alias: str
    default: object
    ignore: bool


class Schema(TypedDict, total=False):
    """Which logs make the state id, of how many digits."""

    length: Required[int]
    properties: Required[Mapping[str, Rule]]
    use_legacy_rounding: bool
    derivedPVs: Mapping[str, object]


def effective_schema(schema: Mapping[str, object] | None, built_in: B) -> Schema | B:
    """The schema of the instrument parameters, or the built-in one if that has no length or no properties.

    Raises:
        FileFormatError: The schema uses something that is not defined.
    """
    if not schema or "length" not in schema or "properties" not in schema:
        return built_in
    length, properties = schema["length"], schema["properties"]
    if type(length) is not int or not 1 <= length <= MOST_DIGITS or not isinstance(properties, Mapping):
        raise _bad_schema(f"length {length!r:.40}, properties {type(properties).__name__}")
    for log, rule in properties.items():
        _check_rule(log, rule)
    return cast(Schema, schema)


def _check_rule(log: str, rule: object, depth: int = 0) -> None:
    rule = rule if isinstance(rule, Mapping) else {}
    kind = rule.get("type")
    if kind == "array" and depth < DEEPEST_ARRAY:
        return _check_rule(log, rule.get("items"), depth + 1)
    if kind not in ("number", "integer", "boolean", "string"):
        raise _bad_schema(f"type {kind!r:.40} of '{log:.80}'")
    if not isinstance(rule.get("alias", ""), str):
        raise _bad_schema(f"alias {rule['alias']!r:.40} of '{log:.80}'")
    resolution = rule.get("resolution", 0.0)
    known = isinstance(resolution, (int, float)) and (resolution == 0 or FINEST_RESOLUTION <= resolution <= 1e12)
    if not known or (resolution and kind != "number"):
        raise _bad_schema(f"resolution {resolution!r:.40} of '{log:.80}' ({kind})")
    return None


def _bad_schema(found: str) -> FileFormatError:
    return FileFormatError(
        "The state id schema of the instrument parameters cannot be followed, so the state id would be wrong.",
        found=found,
        fix="Correct 'stateIdSchema' of the instrument parameters: types number, integer, boolean, string, array with "
        "items; "
        f"resolution 0, or {FINEST_RESOLUTION:g} and more, for numbers only; length up to {MOST_DIGITS}.",
    )


def state_values(
    logs: Mapping[str, object],
    schema: Schema,
    *,
    alternatives: Alternatives,
    without_value: Collection[str] = (),
) -> dict[str, object]:
    """Values of the schema's logs in its order and types, not rounded to their resolution.

    Args:
        logs: Value by name.
        schema: From `effective_schema`.
        alternatives: Logs that stand in for one that is not there.
        without_value: Logs that the run has, but with no value; named in the error.

    Raises:
        NotFoundError: Logs are missing; names all of them.
        FileFormatError: A log is not of the type that the schema asks for.
    """
    properties = schema["properties"]
    names = {log: _name_of(log, logs, alternatives) for log in properties}
    missing = [log for log, name in names.items() if name is None and "default" not in properties[log]]
    if missing:
        raise _missing_logs(missing, alternatives, without_value)
    return {
        log: _typed(logs[name] if name is not None else properties[log]["default"], properties[log], name or log)
        for log, name in names.items()
    }


def log_value(logs: Mapping[str, object], log: str, alternatives: Alternatives) -> float:
    """A log, or the first alternative that the run has, as a number.

    Raises:
        NotFoundError: The run has none of them.
        FileFormatError: It is not a number.
    """
    name = _name_of(log, logs, alternatives)
    if name is None:
        raise _missing_logs([log], alternatives)
    return _number(logs[name], name)


def with_alternatives(logs: Iterable[str], alternatives: Alternatives) -> set[str]:
    """These logs and all that can stand in for them."""
    return {name for log in logs for name in (log, *alternatives.get(log, ()))}


def _name_of(log: str, logs: Mapping[str, object], alternatives: Alternatives) -> str | None:
    return next((name for name in (log, *alternatives.get(log, ())) if name in logs), None)


def _missing_logs(
    missing: Iterable[str], alternatives: Alternatives, without_value: Collection[str] = ()
) -> NotFoundError:
    def shown(log: str) -> str:
        names = (log, *alternatives.get(log, ()))
        return " or ".join(f"{name} (there, but without a value)" if name in without_value else name for name in names)

    return NotFoundError(
        "The run lacks logs that the instrument state follows from.",
        found="no " + "; no ".join(map(shown, missing)),
        fix="Use a run whose file has them, or add the values to the file's DASlogs.",
    )


def _typed(value: object, rule: Rule, name: str) -> object:
    """A log's value as the JSON type of its rule; a series counts by its last value."""
    if rule["type"] == "array":
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, (list, tuple)):
            raise _wrong_type(name, "a list", value)
        return [_typed(item, rule["items"], name) for item in value]
    if rule["type"] == "string":
        return _text(_last(value, name), name)
    number = _number(value, name)
    if rule["type"] == "boolean":
        return bool(number)
    return number if rule["type"] == "number" else round(number)


def _last(value: object, name: str) -> object:
    while isinstance(value, (list, tuple, np.ndarray)):
        if len(value) == 0:
            raise _wrong_type(name, "one value", "an empty list")
        value = value[-1]
    return value


def _number(value: object, name: str) -> float:
    value = _last(value, name)
    if isinstance(value, (int, float, np.integer, np.floating, np.bool_)) and bool(
        -LARGEST_NUMBER <= value <= LARGEST_NUMBER
    ):
        return float(value)
    raise _wrong_type(name, f"a number within +-{LARGEST_NUMBER:g}", value)


def _text(value: object, name: str) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return str(value)
    raise _wrong_type(name, "a text", value)


def _wrong_type(name: str, expected: str, value: object) -> FileFormatError:
    return FileFormatError(
        f"Log '{name}', from which the instrument state follows, must be {expected}.",
        found=repr(value)[:80],
        fix="Check the log in the run's file.",
    )


def rounded(value: object, rule: Rule, *, legacy: bool) -> object:
    """A typed value rounded to its resolution, half to even; lists element by element.

    Args:
        value: As `state_values` returns it.
        rule: The log's entry in the schema.
        legacy: Whether the product of the whole multiple and the resolution is left as it is. Otherwise it is rounded
            to max(0, 1 - int(log10(resolution))) decimals, 0 for resolutions of 1 and more; that is the format's rule,
            even where it has too few decimals (multiples of 0.25 get one).
    """
    if isinstance(value, list):
        return [rounded(item, rule["items"], legacy=legacy) for item in value]
    resolution = rule.get("resolution", 0.0)
    if not resolution or not isinstance(value, (int, float)):
        return value
    multiple = round(value / resolution) * resolution
    if legacy:
        return multiple
    decimals = max(0, 1 - int(math.log10(resolution))) if resolution < 1.0 else 0
    return round(multiple, decimals)


def hashed_text(values: Mapping[str, object], schema: Schema) -> str:
    """The JSON text of which the state id is the hash."""
    properties, legacy = schema["properties"], bool(schema.get("use_legacy_rounding", False))
    return json.dumps(
        {
            rule.get("alias", log): rounded(values[log], rule, legacy=legacy)
            for log, rule in properties.items()
            if not rule.get("ignore", False)
        }
    )


def state_id_of(values: Mapping[str, object], schema: Schema) -> str:
    """The state id: the first `length` hexadecimal digits of the SHAKE-256 hash of `hashed_text`."""
    digits = schema["length"]
    return hashlib.shake_256(hashed_text(values, schema).encode()).hexdigest((digits + 1) // 2)[:digits]


def _not_negative(value: float) -> float:
    if not 0 <= float(value) <= LARGEST_NUMBER:
        raise ValueError(f"the value {value!r:.40}")
    return float(value)


def derived_value(rule: Mapping[str, Any], values: Mapping[str, object], schema: Schema, name: str) -> float:
    """The value of a derived quantity for the rounded values of its key logs.

    Args:
        rule: `keyPVs` (log names) and `items` ([[key values], value]).
        values: As `state_values` returns them.
        schema: Of these values.
        name: Of the quantity, for the error.

    Raises:
        FileFormatError: The rule is not of that form, or has no item for these logs.
    """
    legacy = bool(schema.get("use_legacy_rounding", False))
    try:
        key = [rounded(values[log], schema["properties"][log], legacy=legacy) for log in rule["keyPVs"]]
        items = [(list(item_key), _not_negative(value)) for item_key, value in rule["items"]]
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise _bad_schema(f"derivedPVs.{name}: {type(error).__name__} {error}") from None
    for item_key, value in items:
        if item_key == key:
            return value
    raise FileFormatError(
        f"The instrument parameters have no {name} for this state.",
        found=", ".join(f"{log} = {value}" for log, value in zip(rule["keyPVs"], key, strict=True)),
        fix=f"Add an item for it to derivedPVs.{name} of 'stateIdSchema' of the instrument parameters.",
    )
