"""State of the instrument during a run: detector positions, wavelength band, and what follows from them.

`InstrumentState` has the shape of `instrumentState` in a calibration record: dumped by alias it is that object.
Wavelengths in A, times in us, lengths in m, detector angles (arcs) in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from snapcal_workbench.calibration.types import Geometry, ParticleBounds, Resolution, RunInfo, TofWindow
from snapcal_workbench.calibration.units import WAVELENGTH_PER_TOF
from snapcal_workbench.errors import FileFormatError, SnapcalError
from snapcal_workbench.instrument.known import INSTRUMENTS
from snapcal_workbench.instrument.model import Instrument, PixelMode
from snapcal_workbench.instrument.parameters import InstrumentParameters
from snapcal_workbench.instrument.state_id import (
    derived_value,
    effective_schema,
    log_value,
    state_id_of,
    state_values,
)
from snapcal_workbench.options import CalibrationOptions, PeakOptions

STANDARD_DELTA_THETA = CalibrationOptions().delta_theta
"""Beam divergence (rad) of the standard preset."""
SHORTEST_WAVELENGTH = 0.05
"""Shortest wavelength (A) of the band; a band that would start at or below 0 has no logarithm."""

LONGEST_WAVELENGTH = 100.0
"""Longest wavelength (A) that can be meant: no moderator makes such neutrons, and their TOF would have endless gaps."""


class _Record(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow")


class StateId(_Record):
    """A state id; a bare text is read as well."""

    hex: str = Field(pattern=r"^[0-9a-f]+$")
    decoded_key: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return {"hex": value} if isinstance(value, str) else value


class DetectorState(_Record):
    """Logs that define the state, not rounded, and the id they lead to; the older form is read as well."""

    pvs: dict[str, object] = Field(alias="PVs")
    state_id: StateId | None = None

    def number(self, log: str) -> float:
        """The value of a log that is a number; errors as of `log_value`."""
        return log_value(self.pvs, log, {})

    @model_validator(mode="before")
    @classmethod
    def _from_older_form(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        for instrument in INSTRUMENTS.values():
            logs = instrument.older_state(value)
            if logs is not None:
                return _newer_form(logs, instrument)
        return value


def _newer_form(logs: Mapping[str, object], instrument: Instrument) -> dict[str, object]:
    schema = instrument.logs.schema
    try:
        values = state_values(logs, schema, alternatives=instrument.logs.alternatives)
    except SnapcalError as error:
        raise ValueError(f"not the older form of a detector state: {error}") from None
    return {"PVs": values, "stateId": state_id_of(values, schema)}


class Limits(_Record):
    """A range."""

    minimum: float
    maximum: float


class RecordedBounds(_Record):
    """Wavelength (A) and TOF (us) of the neutrons that can be recorded."""

    wavelength: Limits
    tof: Limits


class GsasParameters(_Record):
    """Moderator tail: alpha, (beta_0, beta_1)."""

    alpha: float
    beta: tuple[float, float]


class FwhmMultipliers(_Record):
    """Half widths of the peak windows in units of the peak's half width."""

    left: float
    right: float


class InstrumentState(_Record):
    """The state of the instrument, in the shape of a calibration record's `instrumentState`."""

    id: StateId
    instrument_config: InstrumentParameters
    detector_state: DetectorState
    gsas_parameters: GsasParameters
    particle_bounds: RecordedBounds
    default_grouping_slice_value: float = 5.0
    fwhm_multipliers: FwhmMultipliers
    peak_tail_coefficient: float

    @property
    def state_id(self) -> str:
        """Hexadecimal digits of the state id; the name of the state's folder."""
        return self.id.hex

    @property
    def bounds(self) -> ParticleBounds:
        """The neutrons that can be recorded."""
        wavelength, tof = self.particle_bounds.wavelength, self.particle_bounds.tof
        return ParticleBounds(wavelength.minimum, wavelength.maximum, tof.minimum, tof.maximum)

    @property
    def window(self) -> TofWindow:
        """TOF range to keep, with a gap [n/f, n/f + width] after each prompt pulse (n = 0, 1, …) that falls in it."""
        low, high = self.particle_bounds.tof.minimum, self.particle_bounds.tof.maximum
        period, width = 1e6 / self.instrument_config.frequency, self.instrument_config.width
        pulses = (n * period for n in range(math.floor(high / period) + 1))
        gaps = tuple((max(p, low), min(p + width, high)) for p in pulses if width > 0 and p + width > low and p < high)
        return TofWindow(low, high, gaps)

    def geometry(self, mode: PixelMode) -> Geometry:
        """Geometry of the pixels of a mode, with the detector positions of this state.

        Raises:
            NotFoundError: The state lacks a position; names it.
            FileFormatError: A position is not a number.
        """
        known, logs = mode.instrument.logs, self.detector_state.pvs
        positions = {log: log_value(logs, log, known.alternatives) for log in known.positions}
        return mode.place(positions, self.instrument_config.l1)

    def with_logs(self, logs: Mapping[str, float]) -> InstrumentState:
        """The same state with other values of some logs."""
        pvs = {**self.detector_state.pvs, **logs}
        return self.model_copy(update={"detector_state": self.detector_state.model_copy(update={"pvs": pvs})})

    def resolution(self, mode: PixelMode, *, delta_theta: float | None = STANDARD_DELTA_THETA) -> Resolution:
        """Terms of the resolution.

        Args:
            mode: How the pixels are counted; says which box they have and whether their solid angle enters.
            delta_theta: Beam divergence (rad) for instrument parameters that have none in `stateIdSchema.derivedPVs`;
                None: the one that is built in for the instrument's logs.

        Raises:
            FileFormatError: The parameters have divergences, but none for this state.
        """
        parameters = self.instrument_config
        return Resolution(
            delta_t_over_t=parameters.del_t_over_t,
            delta_l=parameters.del_l_over_l * (parameters.l1 + parameters.l2),
            delta_theta=self._delta_theta(mode.instrument, delta_theta),
            l1=parameters.l1,
            l2=parameters.l2,
            pixel_size=mode.pixel_size,
            with_solid_angle=mode.with_solid_angle,
        )

    def _delta_theta(self, instrument: Instrument, default: float | None) -> float:
        own = self.instrument_config.state_id_schema or {}
        schema = effective_schema(own, instrument.logs.schema)
        derived = own.get("derivedPVs")
        rule = derived.get("deltaTheta") if isinstance(derived, dict) else None
        if rule is None and default is not None:
            return default
        return derived_value(rule or instrument.logs.delta_theta, self.detector_state.pvs, schema, "deltaTheta")

    def with_peak_options(self, peaks: PeakOptions) -> InstrumentState:
        """The same state with the peak shape and window values that a calibration used."""
        return self.model_copy(update=_peak_fields(peaks))


def instrument_state(run_info: RunInfo, parameters: InstrumentParameters, instrument: Instrument) -> InstrumentState:
    """The state that a run was measured in.

    Args:
        run_info: The run, with its logs.
        parameters: The instrument parameters that apply to it.
        instrument: Which it was measured with.

    Raises:
        NotFoundError: Logs are missing; names all of them.
        FileFormatError: A log or the parameters' schema cannot be understood.
    """
    known = instrument.logs
    schema = effective_schema(parameters.state_id_schema, known.schema)
    values = state_values(
        run_info.logs, schema, alternatives=known.alternatives, without_value=run_info.unreadable_logs
    )
    state_id = StateId(hex=state_id_of(values, schema))
    for log in (*known.positions, known.wavelength):
        if log not in values:
            values[log] = log_value(run_info.logs, log, known.alternatives)
    return InstrumentState(
        id=state_id,
        instrument_config=parameters,
        detector_state=DetectorState(pvs=values, state_id=state_id),
        particle_bounds=_bounds(log_value(values, known.wavelength, {}), parameters, known.wavelength),
        **_peak_fields(PeakOptions()),
    )


def _bounds(wavelength: float, parameters: InstrumentParameters, log: str) -> RecordedBounds:
    """Wavelength -+ bandwidth / 2, low end cropped; TOF = lambda (L1 + L2) / k."""
    low = max(wavelength - parameters.bandwidth / 2 + parameters.low_wavelength_crop, SHORTEST_WAVELENGTH)
    high = wavelength + parameters.bandwidth / 2
    if not low < high <= LONGEST_WAVELENGTH:
        raise FileFormatError(
            f"The wavelength log and the instrument parameters leave no neutrons of up to {LONGEST_WAVELENGTH:g} A.",
            found=f"{log} {wavelength} A, bandwidth {parameters.bandwidth} A",
            fix="Check the log in the run's file and 'bandwidth' in the instrument parameters.",
        )
    per_wavelength = (parameters.l1 + parameters.l2) / WAVELENGTH_PER_TOF
    return RecordedBounds(
        wavelength=Limits(minimum=low, maximum=high),
        tof=Limits(minimum=low * per_wavelength, maximum=high * per_wavelength),
    )


def _peak_fields(peaks: PeakOptions) -> dict[str, object]:
    return {
        "gsas_parameters": GsasParameters(alpha=peaks.gsas_alpha, beta=(peaks.gsas_beta0, peaks.gsas_beta1)),
        "fwhm_multipliers": FwhmMultipliers(left=peaks.fwhm_left, right=peaks.fwhm_right),
        "peak_tail_coefficient": peaks.tail_coefficient,
    }
