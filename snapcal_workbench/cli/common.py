"""What several commands share: where their settings come from, and parameters that mean the same in each."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapcal_workbench.errors import InputError

if TYPE_CHECKING:
    from snapcal_workbench.options import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for a script")]
Runs = Annotated[
    list[str], typer.Argument(help="Run numbers, ranges as 58882-58885,58890, or NeXus files; several are summed")
]
Directory = Annotated[Path | None, typer.Option("--session", help="Folder of the session")]


@dataclass(frozen=True)
class SettingsSource:
    """Where a command's settings come from: `--config` and `--set`."""

    config: Path | None = None
    overrides: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The words of a command line that say the same."""
        config = ["--config", str(self.config)] if self.config else []
        return [*config, *(word for text in self.overrides for word in ("--set", text))]

    def load(self) -> Settings:
        """The effective settings.

        Raises:
            InputError: A setting does not exist or does not fit.
        """
        from snapcal_workbench.options import Settings, nested

        return Settings.load(self.config, **nested(dict(pair(text, "ipts_root=/SNS") for text in self.overrides)))


def pair(text: str, example: str) -> tuple[str, str]:
    """Name and value of NAME=VALUE. Raises InputError, with the example, where it is none."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError("A name and a value are given as NAME=VALUE.", found=text, fix=f"For example: {example}")
    return name.strip(), value.strip()


def user_name() -> str:
    """The login name, as the default author."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
