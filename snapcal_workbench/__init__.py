"""Diffraction calibration of the SNAP time-of-flight powder diffractometer.

The package is imported by Mantid Workbench at start-up, so this module imports neither Mantid, nor Qt, nor numpy.
"""

__version__ = "1.1.0"
