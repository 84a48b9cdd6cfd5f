"""The calibration's options as form fields, made from their models: nothing can be forgotten or mistyped here.

An option is known by its dotted name ("pixels.max_passes"). Its tooltip is the description of the model; a bold label
says that it differs from its default.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSpinBox, QWidget

from snapcal_workbench.options import CalibrationOptions
from snapcal_workbench.panel.widgets.layouts import combo, select
from snapcal_workbench.panel.widgets.text import PlainLabel

SECTIONS = {"peaks": "Peaks", "pixels": "Pixel calibration", "groups": "Group calibration"}
OTHERS = "Instrument"
LARGEST = 2**30

LABELS = {
    "peaks.crystal_d_min": "Reflections from d (Å)",
    "peaks.crystal_d_max": "Reflections to d (Å)",
    "peaks.intensity_fraction": "Weakest intensity (fraction)",
    "peaks.window": "Rule of the peak windows",
    "peaks.window_sigmas": "Half window (σ)",
    "peaks.fwhm_left": "Window below (FWHM)",
    "peaks.fwhm_right": "Window above (FWHM)",
    "peaks.tail_coefficient": "Tail coefficient",
    "peaks.gsas_alpha": "Tail α (GSAS)",
    "peaks.gsas_beta0": "Tail β₀ (GSAS)",
    "peaks.gsas_beta1": "Tail β₁ (GSAS)",
    "peaks.overlap": "Overlapping peaks go",
    "peaks.d_crop_low": "Crop d at the low end (Å)",
    "peaks.d_crop_high": "Crop d at the high end (Å)",
    "pixels.skip": "Leave out pixel calibration",
    "pixels.estimator": "Estimator",
    "pixels.reference": "Reference of a group",
    "pixels.bins_per_delta_d": "Bins across Δd",
    "pixels.threshold": "Converged below (bins)",
    "pixels.max_passes": "Passes at most",
    "pixels.max_shift": "Largest shift (relative)",
    "pixels.max_offset_bins": "Largest offset (bins)",
    "pixels.max_newly_masked": "Newly masked at most (share)",
    "pixels.memory_mib": "Memory (MiB)",
    "pixels.shrink": "Draw towards smooth field",
    "groups.peak_function": "Peak shape",
    "groups.peak_weights": "Peak fits by",
    "groups.model": "Terms of a group",
    "groups.shared_terms": "Shared TZERO and DIFA",
    "groups.weights": "Weights of the peaks",
    "groups.max_chi2": "Largest χ² of a peak",
    "groups.chi2_grows": "χ² limit grows with counts",
    "groups.min_peaks": "Peaks at least",
    "groups.preferred_peaks": "Peaks preferred",
    "groups.outlier_sigmas": "Outlier beyond (σ)",
    "groups.repeats": "Repetitions at most",
    "groups.tolerance": "Tolerance (relative)",
    "delta_theta": "Beam divergence (rad)",
}


def label_of(name: str) -> str:
    """What an input is called in the panel, by its dotted name."""
    return LABELS.get(name, name.rpartition(".")[2].replace("_", " ").capitalize())


class NumberEdit(QLineEdit):
    """A number as text; empty for none."""

    def value(self) -> float | str | None:
        """The number, None where the field is empty, and the text itself where it is no number."""
        text = self.text().strip().replace(",", ".")
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            return text

    def setValue(self, value: float | None) -> None:  # noqa: N802 - as Qt's number fields call it
        """Show a number."""
        self.setText("" if value is None else f"{value:.10g}")


class OptionField(QObject):
    """One option: its label, its widget, what it is now and what it would be by default.

    Signals:
        changed: The user or a call has changed it.
    """

    changed = Signal()

    def __init__(self, name: str, info: FieldInfo, parent: QObject) -> None:
        super().__init__(parent)
        self.name = name
        self.section = name.partition(".")[0] if "." in name else ""
        self.label = PlainLabel(label_of(name))
        self.widget = _widget(info)
        self.default: object = None
        extra = cast(dict[str, Any], info.json_schema_extra or {})
        self.enabled_when = cast(dict[str, Any], extra.get("enabled_when", {}))
        self._description = info.description or ""
        self.widget.setAccessibleName(self.label.text())
        self.label.setBuddy(self.widget)
        _changed_of(self.widget).connect(lambda *_: self._mark())

    @property
    def value(self) -> object:
        """What the field holds; a text where a number was expected but not given."""
        widget = self.widget
        if isinstance(widget, QCheckBox):
            return widget.isChecked()
        if isinstance(widget, QComboBox):
            return widget.currentText()
        return cast("QSpinBox | NumberEdit", widget).value()

    def set_value(self, value: Any) -> None:
        """Show a value."""
        widget = self.widget
        if isinstance(widget, QCheckBox):
            widget.setChecked(value)
        elif isinstance(widget, QComboBox):
            select(widget, value)
        else:
            cast("QSpinBox | NumberEdit", widget).setValue(value)

    def set_default(self, value: object) -> None:
        """Say what the option is by default."""
        self.default = value
        text = ("yes" if value else "no") if isinstance(value, bool) else "empty" if value is None else str(value)
        tip = f"{self._description}.\nDefault: {text}"
        self.widget.setToolTip(tip)
        self.label.setToolTip(tip)
        self._mark()

    def _mark(self) -> None:
        font = self.label.font()
        font.setBold(self.value != self.default)
        self.label.setFont(font)
        self.changed.emit()


class OptionFields(QObject):
    """All options of a calibration, as fields by their dotted names.

    Signals:
        changed: An option was changed.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.fields: dict[str, OptionField] = {}
        for name, info in option_infos():
            field = OptionField(name, info, self)
            self.fields[name] = field
            field.changed.connect(self._changed)
        self.set_defaults(CalibrationOptions())
        self.set_options(CalibrationOptions())

    def __getitem__(self, name: str) -> OptionField:
        return self.fields[name]

    @property
    def values(self) -> dict[str, object]:
        """Value by dotted name."""
        return {name: field.value for name, field in self.fields.items()}

    def set_options(self, options: CalibrationOptions) -> None:
        """Fill the fields."""
        for name, field in self.fields.items():
            field.set_value(_value_of(options, name))

    def set_defaults(self, options: CalibrationOptions) -> None:
        """Say what the options are by default."""
        for name, field in self.fields.items():
            field.set_default(_value_of(options, name))

    def _changed(self) -> None:
        for field in self.fields.values():
            needed = field.enabled_when
            if needed:
                field.widget.setEnabled(self.fields[f"{field.section}.{needed['field']}"].value == needed["is"])
        self.changed.emit()


def option_infos() -> list[tuple[str, FieldInfo]]:
    """Dotted name and description of every option."""
    found: list[tuple[str, FieldInfo]] = []
    for name, info in CalibrationOptions.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found += [(f"{name}.{inner}", each) for inner, each in info.annotation.model_fields.items()]
        else:
            found.append((name, info))
    return found


def _value_of(options: CalibrationOptions, name: str) -> Any:
    value: Any = options
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _widget(info: FieldInfo) -> QWidget:
    kind = info.annotation
    if get_origin(kind) is Literal:
        return combo("", "", get_args(kind), narrow=True)
    if kind is bool:
        return QCheckBox()
    if kind is int:
        number = QSpinBox()
        number.setRange(*_whole_range(info))
        return number
    edit = NumberEdit()
    if NoneType in get_args(kind):
        edit.setPlaceholderText("none")
    return edit


def _whole_range(info: FieldInfo) -> tuple[int, int]:
    low, high = 0, LARGEST
    for limit in info.metadata:
        low = max(low, getattr(limit, "ge", low), getattr(limit, "gt", low - 1) + 1)
        high = min(high, getattr(limit, "le", high), getattr(limit, "lt", high + 1) - 1)
    return low, high


def _changed_of(widget: QWidget) -> Any:
    if isinstance(widget, QCheckBox):
        return widget.toggled
    if isinstance(widget, QComboBox):
        return widget.currentTextChanged
    return cast(QSpinBox, widget).valueChanged if isinstance(widget, QSpinBox) else cast(QLineEdit, widget).textChanged
