"""Names of the workspaces that the plugin makes, as SNAPRed's users know them.

Tokens are joined by "_" and lower-cased, the run is zero-filled to six digits ("058882"; of summed runs the first
stands for all), a version is "v0001". The outputs of a finished iteration n get the suffix "_<n:02d>".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from snapcal_workbench.errors import InputError
from snapcal_workbench.instrument.model import PixelMode


def check_name(name: str) -> None:
    """Raise InputError unless a workspace can have this name."""
    if not name.strip() or any(not c.isprintable() or c in "/\\" for c in name):
        raise InputError(
            "A workspace needs a name without slashes and control characters.",
            found=repr(name),
            fix="Choose another name.",
        )


def run_token(run_number: str) -> str:
    """The run as it stands in names: its first run number, zero-filled; "unknown" without one."""
    digits = re.match(r"\d+", run_number)
    return digits.group().zfill(6) if digits else "unknown"


def version_token(version: int) -> str:
    """A version as it stands in names: "v0001"."""
    return f"v{version:04d}"


def raw_run(run_number: str, mode: PixelMode) -> str:
    """The loaded run."""
    return f"tof_all_{mode.token}raw_{run_token(run_number)}"


def grouping(name: str, run_number: str, mode: PixelMode) -> str:
    """The pixel grouping."""
    return f"grouping_{_token(name)}_{mode.token}{run_token(run_number)}"


def _token(text: str) -> str:
    return re.sub(r"[^0-9a-z.-]+", "-", text.lower()).strip("-") or "group"


@dataclass(frozen=True)
class OutputNames:
    """Names of one calibration's outputs.

    Attributes:
        run_number: The calibrated run.
        group: Name of the pixel grouping.
        suffix: "" or "_01", … for a finished iteration, "_v0001" for a saved version.
    """

    run_number: str
    group: str
    suffix: str = ""

    @classmethod
    def of_iteration(cls, run_number: str, group: str, number: int) -> OutputNames:
        """Names of the outputs of a finished iteration (from 1)."""
        return cls(run_number, group, f"_{number:02d}")

    @classmethod
    def of_version(cls, run_number: str, group: str, version: int) -> OutputNames:
        """Names of the outputs of a saved version."""
        return cls(run_number, group, f"_{version_token(version)}")

    @property
    def _run(self) -> str:
        return run_token(self.run_number)

    @property
    def table(self) -> str:
        """Calibration table (DIFC, DIFA, TZERO)."""
        return f"diffract_consts_{self._run}{self.suffix}"

    @property
    def mask(self) -> str:
        """Mask, with the reasons."""
        return f"diffract_consts_mask_{self._run}{self.suffix}"

    @property
    def output(self) -> str:
        """Focused spectra in d-spacing, made after the group correction."""
        return f"dsp_{_token(self.group)}_{self._run}{self.suffix}"

    @property
    def diagnostic(self) -> str:
        """Workspace group of the fit diagnostics."""
        return f"diagnostic_{_token(self.group)}_{self._run}{self.suffix}"

    @property
    def fit_table(self) -> str:
        """Fitted parameters of each peak."""
        return f"diagnostic_{_token(self.group)}_{self._run}_fitparam{self.suffix}"

    @property
    def fitted(self) -> str:
        """Fitted curves within the peak windows."""
        return f"diagnostic_{_token(self.group)}_{self._run}_fitted{self.suffix}"

    @property
    def results(self) -> str:
        """What the pixel calibration found for each pixel."""
        return f"pixel_results_{self._run}{self.suffix}"

    @property
    def offsets(self) -> str:
        """Map of the pixels' offsets, in bins."""
        return f"offsets_{self._run}{self.suffix}"

    @property
    def difc_change(self) -> str:
        """Map of the change of DIFC, in ppm of the starting value."""
        return f"difc_change_{self._run}{self.suffix}"

    @property
    def mask_reason(self) -> str:
        """Map of the reasons why pixels are masked."""
        return f"mask_reason_{self._run}{self.suffix}"

    def roles(self) -> dict[str, str]:
        """All names by role, in the order in which they are made; the diagnostic group last."""
        roles = ("table", "mask", "output", "fit_table", "fitted", "results", "offsets", "difc_change", "mask_reason")
        return {role: getattr(self, role) for role in (*roles, "diagnostic")}
