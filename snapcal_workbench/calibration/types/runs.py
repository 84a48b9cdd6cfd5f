"""What a run says of itself, and the TOF range of it that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LogValue = float | int | str | bool | list


@dataclass(frozen=True)
class RunInfo:
    """What a run says of itself.

    Attributes:
        run_number: As digits, without padding; several summed runs joined with "+"; "" when unknown.
        title: Title of the run.
        start_time: ISO 8601 text as in the file.
        end_time: ISO 8601 text as in the file.
        proton_charge: In microampere hours.
        duration: In seconds; 0 when unknown.
        logs: Last value of every log (process variable) that was read.
        unreadable_logs: Names of logs that are there but have no value.
        source: Path of the file or name of the workspace that the data came from.
    """

    run_number: str = ""
    title: str = ""
    start_time: str = ""
    end_time: str = ""
    proton_charge: float = 0.0
    logs: Mapping[str, LogValue] = field(default_factory=dict)
    source: str = ""
    duration: float = 0.0
    unreadable_logs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TofWindow:
    """The TOF range (us) that was kept, and the gaps in it (removed prompt pulses), each (start, end)."""

    minimum: float
    maximum: float
    gaps: tuple[tuple[float, float], ...] = ()
