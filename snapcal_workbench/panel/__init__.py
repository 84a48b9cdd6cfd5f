"""The calibration panel: a Qt window over a session. Only this package imports Qt, through qtpy."""
