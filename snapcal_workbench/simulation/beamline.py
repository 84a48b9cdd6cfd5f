"""What a simulation needs to know of an instrument beyond what it is: a state that it is used in, and its surroundings.

The numbers of SNAP are those of its measured state 04bd2c53f6bf6754. Those of POWGEN are of one of its usual bands
(centre 1.333 A at 60 Hz) and give the resolution that it is built for, 0.1 % at 90 degrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snapcal_workbench.calibration.types import Geometry, IntArray, LogValue, Resolution
from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.model import Instrument, PixelMode
from snapcal_workbench.instrument.powgen import FREQUENCY_LOG, POWGEN, WAVELENGTH_LOG
from snapcal_workbench.instrument.powgen.geometry import COLUMN_OF_BANK
from snapcal_workbench.instrument.snap import SNAP
from snapcal_workbench.instrument.snap.logs import GUIDE_LOG, LEGACY_SCHEMA
from snapcal_workbench.instrument.state_id import log_value


@dataclass(frozen=True, eq=False)
class Beamline:
    """An instrument as it stands at its simulated facility.

    Attributes:
        instrument: The instrument.
        folder: Its name in folders and files.
        port: Where it stands at the source, as event files have it.
        logs: Of the simulated state, by name.
        log_units: Units of logs that have some.
        parameters: Content of its instrument parameters, without version and index entry.
        resolution: That the simulated peaks have.
        groupings: Group of each module by the name of the grouping, the default one first.
    """

    instrument: Instrument
    folder: str
    port: str
    logs: Mapping[str, LogValue]
    log_units: Mapping[str, str]
    parameters: Mapping[str, Any]
    resolution: Resolution
    groupings: Mapping[str, IntArray]

    @property
    def native(self) -> PixelMode:
        """The mode whose pixels the simulated files have."""
        return self.instrument.modes[0].native

    def log(self, name: str, logs: Mapping[str, LogValue]) -> float:
        """A log of a run, or the first that can stand in for it."""
        return log_value(logs, name, self.instrument.logs.alternatives)

    def geometry(self, logs: Mapping[str, LogValue]) -> Geometry:
        """Geometry of the native pixels as the logs say."""
        positions = {name: self.log(name, logs) for name in self.instrument.logs.positions}
        return self.native.place(positions, float(self.parameters["L1"]))


_SNAP_COLUMNS = np.array([1, 2, 3, 6, 5, 4], np.int32)
"""Group of the modules' columns: the West columns are counted from the far end, as SNAP's grouping files do."""

SNAP_BEAMLINE = Beamline(
    instrument=SNAP,
    folder="SNAP",
    port="BL3",
    logs={
        "det_arc1": -65.3,
        "det_arc2": 104.95,
        "det_lin1": 0.045,
        "det_lin2": 0.043,
        "BL3:Chop:Skf1:WavelengthUserReq": 2.1,
        "BL3:Chop:Gbl:WavelengthReq": 2.1,
        "BL3:Det:TH:BL:Lambda": 2.1,
        "BL3:Det:TH:BL:Frequency": 59.999996185302734,
        "BL3:Mot:OpticsPos:Pos": 1,
        "optics": 1,
    },
    log_units={
        "BL3:Chop:Skf1:WavelengthUserReq": "Angstrom",
        "BL3:Chop:Gbl:WavelengthReq": "Angstrom",
        "BL3:Det:TH:BL:Lambda": "Angstrom",
        "BL3:Det:TH:BL:Frequency": "Hz",
    },
    parameters={
        "facility": "SNS",
        "bandwidth": 3.0,
        "maxBandwidth": 3.2,
        "L1": SNAP.l1,
        "L2": 0.5,
        "delTOverT": 0.002,
        "delLOverL": 6.452e-5,
        "width": 1600.0,
        "frequency": 60.4,
        "lowWavelengthCrop": 0.05,
        "stateIdSchema": {
            **LEGACY_SCHEMA,
            "derivedPVs": {"deltaTheta": {"keyPVs": [GUIDE_LOG], "items": [[[1], 3.2e-3], [[2], 6.667e-4]]}},
        },
    },
    resolution=Resolution(
        delta_t_over_t=0.002,
        delta_l=6.452e-5 * 15.5,
        delta_theta=3.2e-3,
        l1=SNAP.l1,
        l2=0.5,
        pixel_size=SNAP.native.pixel_size,
        with_solid_angle=True,
    ),
    groupings={
        "Column": np.repeat(_SNAP_COLUMNS, 3),
        "Bank": np.repeat(np.array([1, 2], np.int32), 9),
        "All": np.ones(len(SNAP.banks), np.int32),
    },
)
"""SNAP with the guide in; the widths are those of the native pixels, as measured peaks confirm."""

POWGEN_BEAMLINE = Beamline(
    instrument=POWGEN,
    folder="PG3",
    port="BL11A",
    logs={WAVELENGTH_LOG: 1.333, FREQUENCY_LOG: 60.0},
    log_units={WAVELENGTH_LOG: "Angstrom", FREQUENCY_LOG: "Hz"},
    parameters={
        "facility": "SNS",
        "bandwidth": 1.066,
        "maxBandwidth": 1.066,
        "L1": POWGEN.l1,
        "L2": 3.2,
        "delTOverT": 5e-4,
        "delLOverL": 1e-5,
        "width": 0.0,
        "frequency": 60.0,
        "lowWavelengthCrop": 0.0,
        "stateIdSchema": {
            **POWGEN.logs.schema,
            "derivedPVs": {"deltaTheta": POWGEN.logs.delta_theta},
        },
    },
    resolution=Resolution(
        delta_t_over_t=5e-4,
        delta_l=1e-5 * 63.2,
        delta_theta=1e-3,
        l1=POWGEN.l1,
        l2=3.2,
        pixel_size=POWGEN.native.pixel_size,
        with_solid_angle=False,
    ),
    groupings={
        "Column": COLUMN_OF_BANK,
        "Bank": np.arange(1, len(POWGEN.banks) + 1, dtype=np.int32),
        "All": np.ones(len(POWGEN.banks), np.int32),
    },
)

BEAMLINES: dict[str, Beamline] = {beamline.instrument.name: beamline for beamline in (SNAP_BEAMLINE, POWGEN_BEAMLINE)}


def beamline_of(name: str) -> Beamline:
    """The simulated beam line of an instrument; letter case does not matter.

    Raises:
        InputError: There is none.
    """
    for known, beamline in BEAMLINES.items():
        if known.lower() == name.strip().lower():
            return beamline
    raise InputError(
        f"There is no simulation of the instrument {name!r:.40}.",
        found=f"simulated instruments: {', '.join(BEAMLINES)}",
        fix="Correct the setting 'instrument'.",
    )
