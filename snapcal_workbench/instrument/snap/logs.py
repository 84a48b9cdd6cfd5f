"""The logs that tell SNAP's state, and the rules that SNAPRed has built in for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snapcal_workbench.instrument.model import StateLogs
from snapcal_workbench.instrument.state_id import Schema

WAVELENGTH_LOG = "BL3:Chop:Skf1:WavelengthUserReq"
FREQUENCY_LOG = "BL3:Det:TH:BL:Frequency"
GUIDE_LOG = "BL3:Mot:OpticsPos:Pos"

LEGACY_SCHEMA: Schema = {
    "length": 16,
    "use_legacy_rounding": True,
    "properties": {
        "det_arc1": {"type": "number", "resolution": 0.5, "alias": "vdet_arc1"},
        "det_arc2": {"type": "number", "resolution": 0.5, "alias": "vdet_arc2"},
        WAVELENGTH_LOG: {"type": "number", "resolution": 0.1, "alias": "WavelengthUserReq"},
        FREQUENCY_LOG: {"type": "integer", "alias": "Frequency"},
        GUIDE_LOG: {"type": "integer", "alias": "Pos"},
        "det_lin1": {"type": "number", "ignore": True},
        "det_lin2": {"type": "number", "ignore": True},
    },
}
"""The schema that holds where the instrument parameters have none of their own."""

LOGS = StateLogs(
    wavelength=WAVELENGTH_LOG,
    positions={"det_arc1": 0.01, "det_arc2": 0.01, "det_lin1": 1e-4, "det_lin2": 1e-4},
    alternatives={
        WAVELENGTH_LOG: ("BL3:Chop:Gbl:WavelengthReq", "BL3:Det:TH:BL:Lambda"),
        GUIDE_LOG: ("optics",),
    },
    schema=LEGACY_SCHEMA,
    delta_theta={"keyPVs": [GUIDE_LOG], "items": [[[1], 6.40e-3], [[2], 2.00e-3]]},
    units={
        **dict.fromkeys(("det_arc1", "det_arc2"), "deg"),
        **dict.fromkeys(("det_lin1", "det_lin2"), "m"),
        **dict.fromkeys((WAVELENGTH_LOG, "BL3:Chop:Gbl:WavelengthReq", "BL3:Det:TH:BL:Lambda"), "A"),
        FREQUENCY_LOG: "Hz",
    },
)
"""Positions in deg and m: so far apart, summed runs have DIFC that differ by 1e-4, about. The divergences are
SNAPRed's: guide in, guide out."""


def older_state(value: Mapping[str, Any]) -> dict[str, object] | None:
    """Logs by name of a detector state as SNAPRed's older records have it; None for another form."""
    if not {"arc", "wav", "freq", "guideStat", "lin"} <= value.keys():
        return None
    try:
        (arc1, arc2), (lin1, lin2) = value["arc"], value["lin"]
    except (TypeError, ValueError) as error:
        raise ValueError(f"not the older form of a detector state: {error}") from None
    return {
        "det_arc1": arc1,
        "det_arc2": arc2,
        WAVELENGTH_LOG: value["wav"],
        FREQUENCY_LOG: value["freq"],
        GUIDE_LOG: value["guideStat"],
        "det_lin1": lin1,
        "det_lin2": lin2,
    }
