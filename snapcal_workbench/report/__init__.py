"""Pictures of a calibration (matplotlib, no display) and the HTML report."""
