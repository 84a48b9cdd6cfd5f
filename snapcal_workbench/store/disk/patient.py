"""Work on the disk of the versions: within its time limit, and with every error of the disk in a sentence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from snapcal_workbench.formats.disk.writing import reported
from snapcal_workbench.options import Settings
from snapcal_workbench.patience import with_patience

R = TypeVar("R")
P = ParamSpec("P")


class HasSettings(Protocol):
    """Something with settings."""

    settings: Settings


H = TypeVar("H", bound=HasSettings)


def on_disk(settings: Settings, work: Callable[[], R]) -> R:
    """Do work on the disk of the versions.

    Raises:
        StoreError: The disk fails, or does not answer.
    """

    def reporting() -> R:
        with reported(f"The versions in {settings.powder_home} cannot be used."):
            return work()

    return with_patience(settings.disk_time_limit, settings.powder_home, reporting)


def patient(method: Callable[Concatenate[H, P], R]) -> Callable[Concatenate[H, P], R]:
    """A method that works on the disk of the versions of its settings."""

    @functools.wraps(method)
    def call(self: H, *args: P.args, **kwargs: P.kwargs) -> R:
        return on_disk(self.settings, lambda: method(self, *args, **kwargs))

    return call
