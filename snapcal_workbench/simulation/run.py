"""Writing a simulated run: an SNS event NeXus file of an instrument's native pixels, bank by bank, without monitors.

Pulses come at 60 Hz and each event belongs to a random one. The random numbers of a bank follow from the seed and the
bank alone, so that the file does not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snapcal_workbench.calibration.chunks import in_order
from snapcal_workbench.calibration.peaks.crystal import reflections_from_cif
from snapcal_workbench.calibration.types import FloatArray, LogValue, Reflections, RunInfo
from snapcal_workbench.errors import InputError
from snapcal_workbench.formats.nexus.events import BankEvents, write_events
from snapcal_workbench.progress import Progress
from snapcal_workbench.simulation.beamline import SNAP_BEAMLINE, Beamline
from snapcal_workbench.simulation.bound import pixel_information
from snapcal_workbench.simulation.misalignment import Misalignment
from snapcal_workbench.simulation.model import Defects, RunModel, build_model
from snapcal_workbench.simulation.sample import SampleState
from snapcal_workbench.simulation.spectrum import PEAK_SHAPES, IncidentSpectrum, PeakProfile, PeakShape
from snapcal_workbench.simulation.truth import Truth

PULSE_RATE = 60.0
"""Pulses per second."""
DURATION = 300.0
"""Length of a simulated run, s."""
BEAM_CURRENT = 1.4e3
"""Of the protons, microampere: 1.4 MW at 1 GeV."""
SMALLEST_D = 0.3
"""Reflections down to this d-spacing (A) scatter into the bands; below they are too weak to matter."""

DEFAULT_EVENTS = 12_000_000
DEFAULT_BACKGROUND = 0.4

_START = datetime.fromisoformat("2024-01-15T09:00:00-05:00")


def simulate_run(
    path: Path,
    *,
    reflections: Reflections,
    run_number: str = "58882",
    title: str = "simulated powder",
    n_events: int = DEFAULT_EVENTS,
    seed: int = 1,
    background: float = DEFAULT_BACKGROUND,
    peak_shape: PeakShape | PeakProfile = "gaussian",
    misalignment: Misalignment | None = None,
    time_offset: float = 0.0,
    defects: Defects | None = None,
    logs: Mapping[str, LogValue] | None = None,
    sample: SampleState | None = None,
    beamline: Beamline = SNAP_BEAMLINE,
    experiment: str = "IPTS-00001",
    progress: Progress | None = None,
) -> Truth:
    """Simulate a run of a calibrant on an instrument that is misaligned by a known amount.

    Args:
        path: The file to write.
        reflections: Of the calibrant, down to `SMALLEST_D`; see `visible_reflections`.
        run_number: As digits.
        title: Title of the run.
        n_events: Expected number of the calibrant's Bragg events and of background events; the file has a Poisson
            number around it, and the events of foreign phases beside them.
        seed: Of all random numbers, those of the default misalignment included.
        background: Share of the events that have no structure.
        peak_shape: "gaussian", "back-to-back" or a profile with numbers of its own. With the exponentials
            the truth is T0, where they meet: the peaks' maxima and means lie later.
        misalignment: Default: `Misalignment(seed=seed)`.
        time_offset: TZERO of every pixel, us.
        defects: Dead and hot pixels; default: `Defects()`.
        logs: Logs that differ from those of the beam line.
        sample: What is in the beam; default: an ideal powder of the calibrant.
        beamline: The instrument and its surroundings.
        experiment: Experiment identifier.
        progress: Where to report to.

    Returns:
        The calibration that the events were made with, and what can be known of it.

    Raises:
        InputError: A value is not usable.
        PermissionDeniedError: We may not write there.
        StoreError: The file cannot be written.
        Cancelled: The user cancelled; no file is left.
    """
    progress = progress or Progress()
    progress.report(0.0, "Placing the modules")
    model = model_of_run(
        reflections=reflections,
        n_events=n_events,
        seed=seed,
        background=background,
        peak_shape=peak_shape,
        misalignment=misalignment,
        time_offset=time_offset,
        defects=defects,
        logs=logs,
        sample=sample,
        beamline=beamline,
    )
    run_info = _run_info(run_number, title, {**beamline.logs, **(logs or {})})
    write_run(
        path,
        model,
        run_info=run_info,
        seed=seed,
        beamline=beamline,
        experiment=experiment,
        progress=progress.part(0.1, 0.9),
    )
    truth = truth_of(model)
    progress.report(1.0, f"Simulated run {run_number}")
    return truth


def write_run(
    path: Path,
    model: RunModel,
    *,
    run_info: RunInfo,
    seed: int,
    beamline: Beamline = SNAP_BEAMLINE,
    experiment: str = "",
    progress: Progress | None = None,
) -> None:
    """Draw the events of a run and write them.

    Args:
        path: The file.
        model: What the run is expected to hold.
        run_info: What the run says of itself.
        seed: Of the random numbers.
        beamline: The instrument and its surroundings.
        experiment: Experiment identifier.
        progress: Where to report to.

    Raises:
        PermissionDeniedError: We may not write there.
        StoreError: The file cannot be written.
        Cancelled: The user cancelled; no file is left.
    """
    progress = progress or Progress()
    write_events(
        path,
        run_info=run_info,
        banks=_banks(model, seed, beamline.instrument.banks, progress),
        experiment=experiment,
        instrument=beamline.native.definition,
        beamline=beamline.port,
        log_units=beamline.log_units,
        progress=progress,
    )


def visible_reflections(cif_text: str, *, source: str = "") -> Reflections:
    """The reflections of a crystal that a simulated run can hold, from the text of its CIF."""
    return reflections_from_cif(cif_text, d_min=SMALLEST_D, d_max=100.0, source=source)


def model_of_run(
    *,
    reflections: Reflections,
    n_events: int = DEFAULT_EVENTS,
    seed: int = 1,
    background: float = DEFAULT_BACKGROUND,
    peak_shape: PeakShape | PeakProfile = "gaussian",
    misalignment: Misalignment | None = None,
    time_offset: float = 0.0,
    defects: Defects | None = None,
    logs: Mapping[str, LogValue] | None = None,
    sample: SampleState | None = None,
    beamline: Beamline = SNAP_BEAMLINE,
) -> RunModel:
    """What `simulate_run` with these arguments is expected to write.

    With the defaults the bound of a lite pixel is at most a quarter of the injected robust spread within every group of
    SNAP's Column grouping (see `bound.group_statistics`): 150 to 580 ppm against 1350 to 2570 ppm.
    """
    logs = {**beamline.logs, **(logs or {})}
    wavelength = beamline.log(beamline.instrument.logs.wavelength, logs)
    return build_model(
        reflections=reflections,
        nominal=beamline.geometry(logs),
        incident=IncidentSpectrum.of_band(wavelength, bandwidth=float(beamline.parameters["bandwidth"])),
        profile=_profile(peak_shape),
        misalignment=Misalignment(seed=seed) if misalignment is None else misalignment,
        defects=Defects() if defects is None else defects,
        n_events=n_events,
        background=background,
        time_offset=time_offset,
        seed=seed,
        resolution=beamline.resolution,
        sample=sample,
    )


def truth_of(model: RunModel) -> Truth:
    """The calibration that the events of a model are made with, and what they can tell of it."""
    native, lite = pixel_information(model)
    count = len(model.nominal)
    return Truth(
        detid=model.nominal.detid,
        difc=model.instrument.difc,
        difa=np.zeros(count),
        tzero=np.full(count, model.tzero),
        bragg=model.bragg,
        events=model.bragg + model.background + model.hot,
        information=native,
        lite_information=lite,
    )


def _profile(shape: PeakShape | PeakProfile) -> PeakProfile:
    if isinstance(shape, PeakProfile):
        return shape
    if shape not in PEAK_SHAPES:
        raise InputError(
            "The peaks of a simulated run have one of the known shapes.",
            found=repr(shape),
            fix=f"Choose one of: {', '.join(PEAK_SHAPES)}.",
        )
    return PeakProfile(shape)


def _run_info(run_number: str, title: str, logs: Mapping[str, LogValue]) -> RunInfo:
    return RunInfo(
        run_number=run_number,
        title=title,
        start_time=_START.isoformat(),
        end_time=(_START + timedelta(seconds=DURATION)).isoformat(),
        proton_charge=BEAM_CURRENT * DURATION / 3600.0,
        logs=logs,
        duration=DURATION,
    )


def _banks(model: RunModel, seed: int, names: Sequence[str], progress: Progress) -> Iterator[BankEvents]:
    shares = np.cumsum(model.peaks.share, axis=1)
    flat = (np.arange(len(shares))[:, None] + shares / np.maximum(shares[:, -1:], 1e-300)).ravel()
    sampler = _Sampler(model, flat, *model.incident.cumulative(), seed, names)
    yield from in_order(sampler.bank, range(len(names)), progress=progress, message="Simulating events")


class _Sampler:
    """Draws the events of one bank.

    Args:
        model: What the run is expected to hold.
        flat: float64[NODES * reflections]: node number + share of the peaks up to each reflection, ascending, so that
            one search for node + uniform number finds the reflection.
        wavelength: Wavelengths, A.
        share: Share of the incident neutrons below each.
        seed: Of the run.
        names: Names of the banks.
    """

    def __init__(
        self,
        model: RunModel,
        flat: FloatArray,
        wavelength: FloatArray,
        share: FloatArray,
        seed: int,
        names: Sequence[str],
    ) -> None:
        self.model, self.flat, self.wavelength, self.share = model, flat, wavelength, share
        self.seed, self.names = seed, names
        _ = model.node, model.per_wavelength

    def bank(self, module: int) -> BankEvents:
        """Events of a module in random order, cut into pulses."""
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([self.seed, module, 0xE7])))
        nominal = self.model.nominal
        assert nominal.layout is not None
        first, end = np.searchsorted(nominal.layout.module, [module, module + 1])
        own = slice(first, end)
        kinds = [
            (self.model.bragg, self._bragg),
            (self.model.background, self._background),
            (self.model.hot, self._hot),
        ]
        pixels = [np.repeat(np.arange(first, end), rng.poisson(expected[own])) for expected, _ in kinds]
        tof = np.concatenate([draw(p, rng) for p, (_, draw) in zip(pixels, kinds, strict=True)])
        ids = nominal.detid[np.concatenate(pixels)].astype(np.uint32)
        tof += np.float32(self.model.tzero)
        good = tof > 0
        order = rng.permutation(np.flatnonzero(good))
        times, index = _pulses(len(order), rng)
        return BankEvents(f"{self.names[module]}_events", ids[order], tof[order], times, index)

    def _bragg(self, pixel: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        model = self.model
        key = rng.random(len(pixel))
        node = model.node[pixel]
        key += node
        peak = np.searchsorted(self.flat, key, side="right") - node * len(model.peaks.d)
        d = model.peaks.d[peak]
        t0 = model.instrument.difc[pixel] * d
        normal = rng.standard_normal(len(pixel), np.float32)
        width = np.hypot(model.width[pixel], model.peaks.broadening[peak])
        delay = model.profile.draw_delay(normal, width * t0, d, rng)
        return (t0 + delay).astype(np.float32)

    def _background(self, pixel: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        wavelength = np.interp(rng.random(len(pixel)), self.share, self.wavelength)
        return (wavelength * self.model.per_wavelength[pixel]).astype(np.float32)

    def _hot(self, pixel: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        return rng.uniform(0.0, 1e6 / PULSE_RATE, len(pixel)).astype(np.float32)


def _pulses(n_events: int, rng: np.random.Generator) -> tuple[FloatArray, NDArray[np.uint64]]:
    """Times of the pulses (s since the start) and the first event of each; every event's pulse is random."""
    count = round(DURATION * PULSE_RATE)
    events = np.bincount(rng.integers(count, size=n_events), minlength=count)
    index = np.cumsum(events) - events
    return np.arange(count) / PULSE_RATE, index.astype(np.uint64)
