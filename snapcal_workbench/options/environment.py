"""What environment variables say of the settings."""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from snapcal_workbench.errors import InputError


def from_environment(model: type[BaseModel], prefix: str) -> dict[str, object]:
    """Values of a model's fields that variables give, as `<prefix>NAME` or `<prefix>SECTION__NAME`; nested dicts.

    Raises:
        InputError: A variable is not of the form that its field takes.
    """
    source = EnvSettingsSource(
        cast(type[BaseSettings], model), env_prefix=prefix, env_prefix_target="all", env_nested_delimiter="__"
    )
    try:
        return source()
    except SettingsError as error:
        raise InputError(
            "An environment variable of the settings cannot be read.",
            found=str(error),
            fix=f"Write nested options one by one, e.g. {prefix}OPTIONS__PIXELS__MAX_PASSES=3.",
        ) from None
