"""Which crystals are in the beam: is it the calibrant that was named, and what else is there."""
