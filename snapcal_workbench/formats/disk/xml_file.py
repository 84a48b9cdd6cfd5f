"""Reading XML files: apart from other reading, since few commands need it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from snapcal_workbench.formats.disk.files import damaged, read_bytes

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element  # only the type; reading is done by defusedxml


def read_xml(path: Path, what: str, root: str) -> Element:
    """The root element of an XML file, read without expanding entities.

    Args:
        path: The file.
        what: What it should be.
        root: Name of the root element.

    Raises:
        NotFoundError: There is no file, or we may not read it.
        FileFormatError: It is not well-formed XML, or has another root element.
    """
    try:
        element = fromstring(read_bytes(path, what))
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise damaged(path, what, f"not readable as XML: {error}") from error
    if element.tag != root:
        raise damaged(path, what, f"the root element <{element.tag:.40}> instead of <{root}>")
    return element
