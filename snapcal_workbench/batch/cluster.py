"""Where the workers of a batch come from: processes of this machine, a Dask scheduler that runs, or SLURM.

A worker does one task at a time and may use so much memory and no more: its nanny, a process that watches it, ends it
beyond that, and the task counts as one that lost its worker. Dask is imported here alone, when a batch starts.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from snapcal_workbench.calibration.chunks import usable_cores
from snapcal_workbench.errors import InputError
from snapcal_workbench.options import Settings

if TYPE_CHECKING:
    from distributed import Client

LOST_AT_MOST = 2
"""Workers that a task may lose and be given to another. At Dask's own 3 a task that needs too much memory is tried four
times; at 1 a machine that is switched off twice costs a task."""
SLURM_MEMORY = 8.0
"""GiB of a SLURM worker where nothing is set: lite pixels of a long run take half of it."""
PATIENCE = 20.0
"""Seconds in which a scheduler must answer."""
_ADDRESS = re.compile(r"([a-z]+://)?\S+:\d{1,5}", re.ASCII)
_GIB = 1 << 30
_UNTOUCHED_BY_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
_NO_PAGE = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
"""Of the scheduler: any free port of this machine alone, not Dask's own one, which another batch has."""
_CONFIG = {
    "distributed.scheduler.allowed-failures": LOST_AT_MOST,
    "distributed.scheduler.worker-saturation": 1.0,  # a task that waits at a worker must not count as lost with it
    "distributed.worker.memory.target": False,  # results are small: there is nothing to put on disk
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,  # memory that Python keeps would stop a worker for good
    "distributed.worker.memory.terminate": 0.95,
    "distributed.comm.timeouts.connect": PATIENCE,
}


@dataclass(frozen=True)
class Cluster:
    """What workers a batch has.

    Attributes:
        kind: Where they come from.
        workers: How many, at most; of a scheduler that runs those that it has.
        memory: Bytes that each may use; 0 where whoever started them has said it.
        threads: Threads of each.
        scheduler: Address of a scheduler that runs.
        settings: Say how SLURM is asked.
    """

    kind: Literal["local", "slurm", "scheduler"]
    workers: int
    memory: int
    threads: int
    scheduler: str
    settings: Settings

    @classmethod
    def of(
        cls, settings: Settings, *, scheduler: str = "", workers: int | None = None, memory: float | None = None
    ) -> Cluster:
        """The workers that the settings ask for, but for what is given.

        Args:
            settings: Where things are.
            scheduler: Address of a Dask scheduler that runs.
            workers: How many.
            memory: GiB that each may use.

        Raises:
            InputError: Dask is not installed, a number is too small, or the address is none.
        """
        _require("distributed")
        address = scheduler or settings.batch_scheduler
        if address:
            return cls("scheduler", 0, 0, 1, _checked(address), settings)
        count = workers or settings.batch_workers
        if settings.batch_cluster == "slurm":
            _require("dask_jobqueue")
            return cls("slurm", count or 1, _bytes(memory or settings.batch_memory or SLURM_MEMORY), 1, "", settings)
        from distributed.system import MEMORY_LIMIT

        count = count or usable_cores()
        share = int(0.9 * MEMORY_LIMIT) // count  # a tenth is left for the machine and for this process
        given = memory or settings.batch_memory
        return cls("local", count, _bytes(given) if given else share, max(1, usable_cores() // count), "", settings)

    def for_tasks(self, count: int) -> Cluster:
        """The same, without workers that would have no task."""
        return Cluster(
            self.kind, min(self.workers, max(count, 1)), self.memory, self.threads, self.scheduler, self.settings
        )

    @property
    def text(self) -> str:
        """In one sentence."""
        if self.kind == "scheduler":
            return f"Workers of the scheduler at {self.scheduler}; their memory is what they were started with."
        where = "on this machine" if self.kind == "local" else "from SLURM"
        number = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{number} {where}, each of {threads} and at most {self.memory / _GIB:.2f} GiB of memory."

    @contextmanager
    def client(self, folder: Path) -> Iterator[Client]:
        """Start the workers, and end them with the block.

        Args:
            folder: Of the batch: what workers from a queue print goes there.

        Raises:
            InputError: They cannot be started, or the scheduler does not answer.
        """
        import dask
        from distributed import Client

        with (
            dask.config.set(_CONFIG),
            tempfile.TemporaryDirectory(prefix="snapcal-batch-") as scratch,
            _started(self, folder, scratch) as address,
        ):
            try:
                client = Client(address, timeout=PATIENCE, set_as_default=False)
            except (OSError, ValueError) as error:
                raise _no_workers(f"{self.text} {error}") from error
            with client:
                yield client


@contextmanager
def _started(cluster: Cluster, folder: Path, scratch: str) -> Iterator[Any]:
    """What a client connects to."""
    if cluster.kind == "scheduler":
        yield cluster.scheduler
        return
    made = _local(cluster, scratch) if cluster.kind == "local" else _slurm(cluster, folder)
    try:
        yield made
    finally:
        made.close(timeout=5)


def _local(cluster: Cluster, scratch: str) -> Any:
    from distributed import LocalCluster

    try:
        return LocalCluster(
            n_workers=cluster.workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=cluster.memory,
            scheduler_kwargs=_NO_PAGE,
            worker_dashboard_address=None,
            silence_logs=logging.CRITICAL,
            local_directory=scratch,
            preload=_UNTOUCHED_BY_CTRL_C,
        )
    except (OSError, RuntimeError, TimeoutError) as error:
        raise _no_workers(str(error)) from error


def _slurm(cluster: Cluster, folder: Path) -> Any:
    from dask_jobqueue import SLURMCluster

    settings, logs = cluster.settings, folder / "workers"
    logs.mkdir(parents=True, exist_ok=True)
    try:
        made = SLURMCluster(
            queue=settings.slurm_partition or None,
            account=settings.slurm_account or None,
            walltime=settings.slurm_walltime,
            cores=1,
            processes=1,
            memory=f"{cluster.memory}B",
            job_extra_directives=list(settings.slurm_directives),
            job_script_prologue=[*settings.slurm_prologue, "export DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE=False"],
            log_directory=str(logs),
            scheduler_options={"dashboard": False},
            silence_logs=logging.CRITICAL,
        )
        made.adapt(minimum_jobs=1, maximum_jobs=cluster.workers)  # asks for another job where one has ended
    except (OSError, RuntimeError, ValueError) as error:
        raise _no_workers(f"SLURM: {error}") from error
    return made


def _no_workers(found: str) -> InputError:
    return InputError(
        "The workers of the batch could not be started.",
        found=found,
        fix="Check --scheduler, and the settings that begin with batch_ and slurm_ (`snapcal config`).",
    )


def _checked(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise InputError(
            "The address of a Dask scheduler is tcp://HOST:PORT.",
            found=repr(address)[:80],
            fix="Take the one that `dask scheduler` prints when it starts.",
        )
    return address


def _bytes(gib: float) -> int:
    if not gib >= 0.25:
        raise InputError(
            "A worker needs memory.", found=f"{gib:g} GiB", fix="Give it 0.25 GiB or more: Python alone takes that."
        )
    return int(gib * _GIB)


def _require(module: str) -> None:
    try:
        __import__(module)
    except ImportError as error:
        raise InputError(
            "`snapcal batch` runs on Dask, which is not installed.",
            found=str(error),
            fix="Install it: pip install 'snapcal-workbench[batch]'",
        ) from error
