"""Mantid's processed NeXus files: reading and writing workspaces outside of Mantid.

`processed_reader` says what is read and how, `processed_writer` what is written so that Mantid's LoadNexusProcessed
takes it; `tables` has the table type.
"""

from snapcal_workbench.formats.processed.reader import ProcessedValue, read_processed, read_single_counts
from snapcal_workbench.formats.processed.writer import processed_image, write_processed
from snapcal_workbench.formats.tables import Table, fit_table_to_table, table_to_fit_table

__all__ = [
    "ProcessedValue",
    "Table",
    "fit_table_to_table",
    "processed_image",
    "read_processed",
    "read_single_counts",
    "table_to_fit_table",
    "write_processed",
]
