"""File formats: h5py and XML in, arrays out."""
