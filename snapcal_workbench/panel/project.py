"""The open panel in Workbench's projects: its state is saved with the project and comes back with it.

The window offers `get_state() -> dict` (JSON values) and `set_state(dict)`. Only what was typed in is saved: iterations
are in the session's folder and workspaces in the project itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

from snapcal_workbench.manifest import InterfaceEntry, NotOfferedError

STATE_VERSION = 1
"""Goes up when older states can no longer be read."""


class NotReadableError(ValueError):
    """The saved state is of another version."""


class _Tags(list[str]):
    """Names of window classes; older versions of Workbench read the list, newer ones call it."""

    def __call__(self) -> list[str]:
        return list(self)


class Savable(Protocol):
    """A window whose inputs a project keeps."""

    def get_state(self) -> dict[str, object]: ...
    def set_state(self, state: dict[str, object]) -> None: ...


def add_to_workbench(interface: InterfaceEntry, show: Callable[[], Savable | None]) -> None:
    """Register encoder and decoder with Workbench's projects.

    Args:
        interface: Names the class of the window.
        show: Opens the panel and returns its window.

    Raises:
        NotOfferedError: This release has no such factories.
    """
    try:
        encoders = importlib.import_module("mantidqt.project.encoderfactory").EncoderFactory
        decoders = importlib.import_module("mantidqt.project.decoderfactory").DecoderFactory
    except (ImportError, AttributeError) as error:
        raise NotOfferedError(f"projects of this Workbench do not save windows of plugins ({error})") from error
    encoder, decoder = coders(interface, show)
    encoders.register_encoder(encoder)
    decoders.register_decoder(decoder)


def coders(interface: InterfaceEntry, show: Callable[[], Savable | None]) -> tuple[type, type]:
    """The classes that Workbench makes encoder and decoder from."""

    class _Tagged:
        tags = _Tags([interface.window_class])

        @classmethod
        def has_tag(cls, tag: str) -> bool:
            return tag in cls.tags

    class Encoder(_Tagged):
        def encode(self, window: Savable, project_path: str | None = None) -> dict[str, object]:
            return {"encoder_version": STATE_VERSION, "state": window.get_state()}

    class Decoder(_Tagged):
        @staticmethod
        def decode(saved: dict[str, Any], project_path: str | None = None) -> Savable | None:
            version = saved.get("encoder_version")
            if version != STATE_VERSION:
                raise NotReadableError(f"the saved panel is of version {version}, this plugin reads {STATE_VERSION}")
            window = show()
            if window is not None:
                window.set_state(saved["state"])
            return window

    return Encoder, Decoder
