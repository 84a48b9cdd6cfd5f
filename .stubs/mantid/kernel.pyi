"""Type stubs of the few names of `mantid.kernel` that are used here."""

from typing import Any, ClassVar

class Direction:
    Input: ClassVar[int]
    Output: ClassVar[int]

class Property:
    EMPTY_DBL: ClassVar[float]
    EMPTY_INT: ClassVar[int]
    value: Any
    documentation: str
    allowedValues: list[str]

class FloatBoundedValidator:
    def __init__(self, *, lower: float = ..., upper: float = ...) -> None: ...

class IntBoundedValidator:
    def __init__(self, *, lower: int = ..., upper: int = ...) -> None: ...

class StringListValidator:
    def __init__(self, allowed: list[str]) -> None: ...

class PropertyCriterion:
    IsEqualTo: ClassVar[int]

class EnabledWhenProperty:
    def __init__(self, name: str, when: int, value: str) -> None: ...

class Logger:
    def error(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def notice(self, message: str) -> None: ...
    def information(self, message: str) -> None: ...

logger: Logger

class ConfigServiceImpl:
    def getUserFilename(self) -> str: ...
    def __getitem__(self, key: str) -> str: ...

ConfigService: ConfigServiceImpl
