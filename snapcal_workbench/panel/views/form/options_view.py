"""The calibration's options as form fields, made from their models: nothing can be forgotten or mistyped here.

An option is known by its dotted name ("pixels.max_passes"). Its tooltip is the description of the model; a bold label
says that it differs from its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic.fields import FieldInfo
from qtpy.QtCore import QObject, Signal, SignalInstance
from qtpy.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSpinBox, QWidget

from snapcal_workbench.options import CalibrationOptions, Leaf, Request, leaves, value_at
from snapcal_workbench.panel.widgets.layouts import combo, select
from snapcal_workbench.panel.widgets.text import PlainLabel, unmarked

LARGEST = 2**30

OPTIONS = {leaf.name: leaf for leaf in leaves(CalibrationOptions)}
"""All options by their dotted names."""
INPUTS = {leaf.name.removeprefix("options."): leaf for leaf in leaves(Request)}
"""All inputs of a calibration by the names that `Request.changed` takes."""
SECTIONS = tuple(dict.fromkeys(leaf.section_title for leaf in OPTIONS.values()))


def label_of(name: str) -> str:
    """What an input is called, by its dotted name."""
    return INPUTS[name].label if name in INPUTS else name


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

    def setValue(self, value: float | str | None) -> None:  # noqa: N802 - as Qt's number fields call it
        """Show what `value` gave."""
        self.setText("" if value is None else value if isinstance(value, str) else f"{value:.10g}")


class OptionField(QObject):
    """One option: its label, its widget, what it is now and what it would be by default.

    Signals:
        changed: The user or a call has changed it.
    """

    changed = Signal()

    def __init__(self, leaf: Leaf, parent: QObject) -> None:
        super().__init__(parent)
        self.name = leaf.name
        self.section = leaf.section_title
        self.label = PlainLabel(leaf.label)
        self.widget = _widget(leaf)
        self.default: object = None
        self.condition = leaf.condition
        self._description = leaf.field.description or ""
        self._fixed, self._own = False, cast(object, None)
        self.widget.setAccessibleName(self.label.text())
        self.label.setBuddy(self.widget)
        _changed_of(self.widget).connect(lambda *_: self._mark())

    @property
    def value(self) -> object:
        """What the user has chosen; a text where a number was expected but not given."""
        return self._own if self._fixed else self._shown()

    def _shown(self) -> object:
        widget = self.widget
        if isinstance(widget, QCheckBox):
            return widget.isChecked()
        if isinstance(widget, QComboBox):
            return widget.currentText()
        return cast("QSpinBox | NumberEdit", widget).value()

    def set_value(self, value: Any) -> None:
        """Take a value of the user, which is shown unless the calibrant fixes another one."""
        if self._fixed:
            self._own = value
            self._mark()
        else:
            self._show(value)

    @property
    def fixed(self) -> bool:
        """Whether the calibrant decides."""
        return self._fixed

    def fix(self, value: object, by: str) -> None:
        """Show the value that a calibrant fixes; None gives the field back to the user, with the user's own value."""
        own, self._fixed = self.value, False
        blocked = self.widget.blockSignals(True)
        self._show(own if value is None else value)
        self.widget.blockSignals(blocked)
        self._own, self._fixed = own, value is not None
        self.widget.setEnabled(value is None)
        self._say_tip(f"\nFixed by the calibrant {by}." if self._fixed else "")

    def _show(self, value: Any) -> None:
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
        self._say_tip("")
        self._mark()

    def _say_tip(self, more: str) -> None:
        value = self.default
        text = ("yes" if value else "no") if isinstance(value, bool) else "empty" if value is None else str(value)
        tip = unmarked(f"{self._description}.\nDefault: {text}{more}")
        self.widget.setToolTip(tip)
        self.label.setToolTip(tip)

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
        for name, leaf in OPTIONS.items():
            field = OptionField(leaf, self)
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
            field.set_value(value_at(options, OPTIONS[name].path))

    def set_defaults(self, options: CalibrationOptions) -> None:
        """Say what the options are by default."""
        for name, field in self.fields.items():
            field.set_default(value_at(options, OPTIONS[name].path))

    def fix(self, fixed: Mapping[str, object], by: str) -> None:
        """Show what a calibrant fixes, by dotted name; all other options are the user's."""
        for name, field in self.fields.items():
            if field.fixed or name in fixed:
                field.fix(fixed.get(name), by)
        self._enable()

    def _changed(self) -> None:
        self._enable()
        self.changed.emit()

    def _enable(self) -> None:
        for field in self.fields.values():
            if field.condition and not field.fixed:
                other, value = field.condition
                field.widget.setEnabled(self.fields[other].value == value)


def _widget(leaf: Leaf) -> QWidget:
    if leaf.choices:
        return combo("", "", leaf.choices, narrow=True)
    if leaf.kind is bool:
        return QCheckBox()
    if leaf.kind is int and not leaf.may_be_empty:
        number = QSpinBox()
        number.setRange(*_whole_range(leaf.field))
        return number
    edit = NumberEdit()
    if leaf.may_be_empty:
        edit.setPlaceholderText("none")
    return edit


def _whole_range(info: FieldInfo) -> tuple[int, int]:
    low, high = 0, LARGEST
    for limit in info.metadata:
        low = max(low, getattr(limit, "ge", low), getattr(limit, "gt", low - 1) + 1)
        high = min(high, getattr(limit, "le", high), getattr(limit, "lt", high + 1) - 1)
    return low, high


def _changed_of(widget: QWidget) -> SignalInstance:
    if isinstance(widget, QCheckBox):
        return widget.toggled
    if isinstance(widget, QComboBox):
        return widget.currentTextChanged
    return cast(QSpinBox, widget).valueChanged if isinstance(widget, QSpinBox) else cast(QLineEdit, widget).textChanged
