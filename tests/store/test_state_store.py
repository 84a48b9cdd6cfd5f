"""A version is published whole, read back as it was, and chosen as SNAPRed would choose it."""

from __future__ import annotations

import numpy as np


def test_saved_version_reads_back(store, keep, contents):
    """What is read is what was saved."""
    version = keep()
    stored = store.read(version)
    assert version == 1
    for name in ("detid", "difc", "difa", "tzero"):
        np.testing.assert_array_equal(getattr(stored.table, name), getattr(contents.table, name))
    np.testing.assert_array_equal(stored.mask.reason, contents.mask.reason)
    np.testing.assert_array_equal(stored.spectra.y, contents.spectra.y)
    np.testing.assert_array_equal(stored.pixel_results.shift, contents.pixel_results.shift)
    np.testing.assert_array_equal(stored.fits.centre, contents.fits.centre)
