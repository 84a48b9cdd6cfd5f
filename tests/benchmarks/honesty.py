"""What the calibration says of runs that try to deceive it: never silently wrong.

Run: python -m tests.benchmarks.honesty [--events 3e6] [--seeds 1 2] [--only TEXT]

Each case of `tests.honesty` is simulated with known truth, calibrated as a scientist would, and compared with it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.honesty import CASES, run_case


def main() -> None:
    """Print a row for each case and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, default=3e6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    figures = f"{'worst ppm':>9} {'masked':>7} {'pull':>5} {'wrong':>5} {'corner':>6}  s"
    print(f"{'case':38} {'seed':>4} {'ends':7} {'verdict':15} {figures}")
    silent = 0
    for seed in given.seeds:
        for case in CASES:
            if given.only not in case.name:
                continue
            clock = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                found = run_case(case, Path(folder) / "tree", events=int(given.events), seed=seed)
            silent += found.how == "silent"
            print(
                f"{case.name:38} {seed:4d} {found.how:7} {found.word:15} {found.worst_ppm:9.0f} {found.masked:7.1%} "
                f"{found.pull:5.2f} {found.wrong:5d} {found.corner:6.2f}  {time.monotonic() - clock:.0f}",
                flush=True,
            )
            print(f"    {found.why[:300]}", flush=True)
    print(f"{silent} silently wrong")


if __name__ == "__main__":
    main()
