"""The science, on plain arrays: no file, no Mantid, no Qt."""
