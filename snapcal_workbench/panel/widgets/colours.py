"""Colours of widgets that a theme leaves undecided."""

from __future__ import annotations

from qtpy.QtGui import QColor, QPalette

FADED = 0.38
"""How much of the text's colour is left in what is disabled; with half of it nothing can be read on a dull screen, at
twice it looks as if it could be pressed. It is the share that Material Design gives."""
_ROLES = (
    (QPalette.ColorRole.WindowText, QPalette.ColorRole.Window),
    (QPalette.ColorRole.ButtonText, QPalette.ColorRole.Button),
    (QPalette.ColorRole.Text, QPalette.ColorRole.Base),
)


def faded(theme: QPalette) -> QPalette:
    """The colours of disabled text by roles, for a theme that has them like those of other text, as dark ones do."""
    palette = QPalette()
    for text, ground in _ROLES:
        strong, behind = theme.color(QPalette.ColorGroup.Active, text), theme.color(QPalette.ColorGroup.Active, ground)
        palette.setColor(QPalette.ColorGroup.Disabled, text, _between(behind, strong, FADED))
    return palette


def _between(low: QColor, high: QColor, share: float) -> QColor:
    mixed = [
        round(a + share * (b - a))
        for a, b in ((low.red(), high.red()), (low.green(), high.green()), (low.blue(), high.blue()))
    ]
    return QColor(*mixed)
