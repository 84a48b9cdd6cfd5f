"""Any algorithm as a Mantid PythonAlgorithm: in the algorithm list, with a dialog, history, progress and cancel.

The properties come from `properties`. A Mantid algorithm runs in two ways, with the same code: the user runs it by
dialog or script, or the plugin runs it by `execute`, which hands its progress over and gets the outputs, or the very
error, back. Steps that an algorithm makes within itself are part of it: only what was asked for stands in the history.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mantid.api import (
    AlgorithmFactory,
    AlgorithmManager,
    AnalysisDataService,
    ITableWorkspaceProperty,
    MatrixWorkspaceProperty,
    PropertyMode,
    PythonAlgorithm,
    WorkspaceGroupProperty,
)
from mantid.api import Progress as MantidProgress
from mantid.kernel import (
    Direction,
    EnabledWhenProperty,
    FloatBoundedValidator,
    IntBoundedValidator,
    Property,
    PropertyCriterion,
    StringListValidator,
)
from pydantic import BaseModel, ValidationError

from snapcal_workbench.algorithms.properties import (
    PropertyDeclaration,
    input_properties,
    messages,
    model_of,
    property_values,
    result_properties,
)
from snapcal_workbench.errors import Cancelled, InputError, SnapcalError
from snapcal_workbench.progress import Progress
from snapcal_workbench.workspaces.parameters import CATEGORY
from snapcal_workbench.workspaces.protocol import Algorithm, Change, Host, I, O

REPORT_INTERVAL = 0.1
"""Shortest time between two reports to Mantid, s: more of them slow Workbench down."""
_STEP = 0.02
"""Width of a report: Mantid leaves out, without asking for a cancel, reports of less than one percent."""

_WORKSPACE_PROPERTIES: dict[str, Callable[..., object]] = {
    "DiffCalTable": ITableWorkspaceProperty,
    "FitTable": ITableWorkspaceProperty,
    "tuple": WorkspaceGroupProperty,
}
_EMPTY_NUMBERS = {"number": Property.EMPTY_DBL, "integer": Property.EMPTY_INT}


@dataclass
class _Call:
    """A run of an algorithm that the plugin asked for: its host, where to report to, and what came of it."""

    host: Host
    progress: Progress
    outputs: BaseModel | None = None
    error: BaseException | None = None


class _Here(threading.local):
    call: _Call | None = None
    inside: bool = False


_here = _Here()


def is_inside() -> bool:
    """Whether this thread is running one of the algorithms."""
    return _here.inside


def register(name: str, load: Callable[[], Algorithm], host: Callable[[], Host]) -> None:
    """Add an algorithm to Mantid's list.

    Args:
        name: As in Mantid's list.
        load: Imports the algorithm; called when Mantid first asks for its properties.
        host: The host that it runs in; called when it runs.
    """
    AlgorithmFactory.subscribe(algorithm_class(name, load, host))


def execute(algorithm: Algorithm[I, O], inputs: I, host: Host, progress: Progress) -> O:
    """Run a registered algorithm as a managed Mantid algorithm; returns its outputs.

    Raises:
        SnapcalError: What the algorithm itself raised.
        Cancelled: The user cancelled, here or in Mantid's list of running algorithms.
    """
    managed = AlgorithmManager.create(algorithm.name)
    managed.initialize()
    managed.setRethrows(True)
    declared = {declaration.name: declaration for declaration in input_properties(algorithm.inputs)}
    for name, value in property_values(tuple(declared.values()), inputs).items():
        managed.setProperty(name, _EMPTY_NUMBERS[declared[name].kind] if value is None else value)
    call = _here.call = _Call(host, progress)
    try:
        managed.execute()
    except (KeyboardInterrupt, RuntimeError, ValueError) as error:
        raise _reason(call, error, algorithm.name) from error
    finally:
        _here.call = None
    if not isinstance(call.outputs, algorithm.outputs):
        raise _reason(call, None, algorithm.name)
    return call.outputs


def _reason(call: _Call, error: BaseException | None, name: str) -> BaseException:
    if call.error is not None:
        return call.error
    if isinstance(error, KeyboardInterrupt) or call.progress.is_cancelled():
        return Cancelled("cancelled by the user")
    return InputError(f"{name} could not be run.", found=str(error or ""), fix="Look at the messages of Mantid's log.")


def algorithm_class(name: str, load: Callable[[], Algorithm], host: Callable[[], Host]) -> type[PythonAlgorithm]:
    """What Mantid makes the algorithm from: it looks for methods in the class itself, not in its bases."""

    class Registered(PythonAlgorithm):
        def category(self) -> str:
            return CATEGORY

        def summary(self) -> str:
            return load().summary

        def seeAlso(self) -> list[str]:
            return [other for other in load().see_also if AlgorithmFactory.exists(other)]

        def PyInit(self) -> None:
            algorithm = load()
            for declaration in (*input_properties(algorithm.inputs), *result_properties(algorithm.outputs)):
                _declare(self, declaration)

        def validateInputs(self) -> dict[str, str]:
            return _problems(self, load(), host)

        def PyExec(self) -> None:
            _run(self, load(), host)

    Registered.__name__ = Registered.__qualname__ = name
    return Registered


# -- declaring ----------------------------------------------------------------------------------------------------


def _declare(owner: PythonAlgorithm, declaration: PropertyDeclaration) -> None:
    direction = Direction.Output if declaration.output else Direction.Input
    if declaration.kind == "workspace":
        kind = _WORKSPACE_PROPERTIES.get(declaration.workspace, MatrixWorkspaceProperty)
        mode = PropertyMode.Optional if declaration.optional else PropertyMode.Mandatory
        owner.declareProperty(kind(declaration.name, "", direction, mode), doc=declaration.doc)
    else:
        default = _EMPTY_NUMBERS[declaration.kind] if declaration.default is None else declaration.default
        validator = _validator(declaration)
        if validator is None:
            owner.declareProperty(declaration.name, default, doc=declaration.doc, direction=direction)
        else:
            owner.declareProperty(declaration.name, default, validator, declaration.doc, direction)
    if declaration.group:
        owner.setPropertyGroup(declaration.name, declaration.group)
    if declaration.enabled_when is not None:
        other, value = declaration.enabled_when
        owner.setPropertySettings(declaration.name, EnabledWhenProperty(other, PropertyCriterion.IsEqualTo, value))


def _validator(declaration: PropertyDeclaration) -> object:
    """Mantid's validator; a number that may be empty has none, because Mantid's do not know an empty one."""
    if declaration.kind == "choice":
        return StringListValidator(list(declaration.choices))
    bounds = {"lower": declaration.lower, "upper": declaration.upper}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if not given or declaration.optional:
        return None
    if declaration.kind == "integer":
        return IntBoundedValidator(**{name: int(bound) for name, bound in given.items()})
    return FloatBoundedValidator(**given)


# -- running ------------------------------------------------------------------------------------------------------


def _value(owner: PythonAlgorithm, declaration: PropertyDeclaration) -> Any:
    if declaration.kind not in ("number", "integer", "switch"):
        return owner.getPropertyValue(declaration.name)
    value = owner.getProperty(declaration.name).value
    return None if declaration.optional and value == _EMPTY_NUMBERS.get(declaration.kind) else value


def _inputs(owner: PythonAlgorithm, algorithm: Algorithm) -> BaseModel:
    return model_of(algorithm.inputs, input_properties(algorithm.inputs), lambda each: _value(owner, each))


def _problems(owner: PythonAlgorithm, algorithm: Algorithm, default: Callable[[], Host]) -> dict[str, str]:
    declarations = input_properties(algorithm.inputs)
    try:
        _inputs(owner, algorithm)
        workspaces = (_here.call.host if _here.call is not None else default()).workspaces
    except ValidationError as error:
        return messages(declarations, error)
    except SnapcalError as error:
        return {declarations[0].name: str(error)}
    found = {}
    for declaration in declarations:
        name = _value(owner, declaration) if declaration.kind == "workspace" and not declaration.output else ""
        kind = workspaces.kind(name) if name and AnalysisDataService.doesExist(name) else declaration.workspace
        if {kind, declaration.workspace} not in ({declaration.workspace}, {"Events", "Spectra"}):
            found[declaration.name] = f"'{name}' is of kind {kind}; needed: {declaration.workspace}"
    return found


def _run(owner: PythonAlgorithm, algorithm: Algorithm, default: Callable[[], Host]) -> None:
    call, _here.call = _here.call, None
    reporter = Reporter(owner, call.progress if call is not None else Progress())
    try:
        host = call.host if call is not None else default()
        with _inside(), reporter.following(host):
            inputs = _inputs(owner, algorithm)
            work = algorithm.run if call is not None else _recorded(algorithm)
            outputs = work(inputs, host, reporter.progress)
            _hand_over(owner, algorithm, outputs)
    except BaseException as error:
        if call is not None:
            call.error = error
        if isinstance(error, Cancelled):
            raise KeyboardInterrupt(str(error)) from error
        if isinstance(error, SnapcalError):
            raise RuntimeError(str(error)) from error
        raise
    if call is not None:
        call.outputs = outputs


def _recorded(algorithm: Algorithm) -> Callable[[object, Host, Progress], BaseModel]:
    """The work of what the user runs by dialog or script, written into the host's history as the plugin's calls are."""
    return lambda inputs, host, progress: host.run(algorithm, inputs, progress)


@contextmanager
def _inside() -> Iterator[None]:
    before, _here.inside = _here.inside, True
    try:
        yield
    finally:
        _here.inside = before


def _hand_over(owner: PythonAlgorithm, algorithm: Algorithm, outputs: BaseModel) -> None:
    """Give Mantid the workspaces that were made, so that they carry the history, and the figures."""
    for declaration in input_properties(algorithm.inputs):
        if declaration.output:
            name = _value(owner, declaration)
            if name and AnalysisDataService.doesExist(name):
                owner.setProperty(declaration.name, AnalysisDataService.retrieve(name))
    dumped = outputs.model_dump(mode="json")
    for declaration in result_properties(algorithm.outputs):
        value = dumped[declaration.path[0]]
        owner.setProperty(declaration.name, json.dumps(value) if declaration.kind == "json" else value)


class Reporter:
    """Passes progress and messages to Mantid and to the plugin's own caller, and asks both whether to go on.

    Clearing the workspace list ends the run, too: nothing is left that it could work on.
    """

    def __init__(self, owner: PythonAlgorithm, caller: Progress) -> None:
        self._owner, self._caller = owner, caller
        self._lock = threading.Lock()
        self._last, self._fraction, self._message = 0.0, 0.0, ""
        self._cancelled = threading.Event()
        self.progress = Progress(self._report, self._say, self._is_cancelled, on_interim=caller.on_interim)

    @contextmanager
    def following(self, host: Host) -> Iterator[None]:
        """While this is entered, clearing the workspace list cancels."""

        def changed(change: Change) -> None:
            if change.kind == "clear":
                self._cancelled.set()

        end = host.workspaces.subscribe(changed)
        try:
            yield
        finally:
            end()

    def _report(self, fraction: float, message: str) -> None:
        with self._lock:
            self._fraction, self._message = fraction, message
        self._caller.on_report(self._caller.start + (self._caller.end - self._caller.start) * fraction, message)

    def _say(self, level: str, message: str) -> None:
        log = self._owner.log()
        (log.warning if level == "warning" else log.information)(message)
        self._caller.on_message(level, message)

    def _is_cancelled(self) -> bool:
        if not self._cancelled.is_set() and (self._caller.is_cancelled() or not self._told_mantid()):
            self._cancelled.set()
        return self._cancelled.is_set()

    def _told_mantid(self) -> bool:
        """Report to Mantid when it is time to; False when the user has cancelled there."""
        with self._lock:
            now = time.monotonic()
            if now - self._last < REPORT_INTERVAL:
                return True
            self._last = now
            start = max(0.0, min(self._fraction, 1.0) - _STEP)
            try:
                MantidProgress(self._owner, start=start, end=start + _STEP, nreports=1).report(self._message)
            except (KeyboardInterrupt, RuntimeError):
                return False
        return True
