"""What a session ran, as a Python script that runs it again."""

from __future__ import annotations

from collections.abc import Sequence
from pprint import pformat

from snapcal_workbench.session.iterations.iteration import Iteration

_HEAD = """\
from snapcal_workbench.hosts.default import default_host
from snapcal_workbench.progress import Progress
from snapcal_workbench.session import Session, build_request

session = Session(default_host())
"""


def script_of(iterations: Sequence[Iteration]) -> str:
    """A script that makes the iterations again, with all inputs written out, so that settings do not matter."""
    parts = [_HEAD]
    for iteration in iterations:
        inputs = pformat(iteration.request.model_dump(mode="json"), width=110, sort_dicts=False)
        parts.append(f"# {iteration.name}\nsession.calibrate(build_request({inputs}), Progress())\n")
    return "\n".join(parts)
