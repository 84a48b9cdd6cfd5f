"""Runs as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapcal_workbench.algorithms import load_run
from snapcal_workbench.errors import InputError, InputProblemError
from snapcal_workbench.options import MOST_RUNS, Request, build_request, expand_runs

PIECES = st.lists(st.tuples(st.integers(1, 99_999), st.integers(0, 20)), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("texts", "runs"),
    [
        (["58882"], ["58882"]),
        (["58882-58885,58890"], ["58882", "58883", "58884", "58885", "58890"]),
        ([" 58882 – 58883 ", "58890"], ["58882", "58883", "58890"]),
        (["58882-58882"], ["58882"]),
        (["/data/2024-01,02/SNAP_1-2.nxs.h5", "58882"], ["/data/2024-01,02/SNAP_1-2.nxs.h5", "58882"]),
        ([], []),
    ],
)
def test_ranges_become_runs(texts: list[str], runs: list[str]) -> None:
    assert expand_runs(texts) == tuple(runs)


@pytest.mark.parametrize("text", ["7000170001", "58882,7000170001", "58882-5888358884", "1234567890-58883"])
def test_a_number_that_is_too_long_is_told(text: str) -> None:
    with pytest.raises(InputProblemError, match="at most 9 digits") as caught:
        expand_runs([text])
    assert caught.value.found.startswith("10 digits: ")


@given(PIECES)
def test_any_ranges_become_what_they_say(pieces: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" if more else f"{first}" for first, more in pieces)
    assert expand_runs([text]) == tuple(str(first + i) for first, more in pieces for i in range(more + 1))


@pytest.mark.parametrize("text", ["58882-", "-58882", "58882,,58883", ",", "5-6-7", "58882-1e5"[:6] + "-"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="58882-58885,58890"):
        expand_runs([text])


def test_a_range_backwards_is_refused() -> None:
    with pytest.raises(InputError, match="Write 58882-58885"):
        expand_runs(["58885-58882"])


@pytest.mark.parametrize("texts", [["1-999999999"], [f"1-{MOST_RUNS + 1}"], ["1-150", "201-350"]])
def test_too_many_runs_are_refused_with_their_number(texts: list[str]) -> None:
    with pytest.raises(InputError, match=f"No more than {MOST_RUNS} runs") as caught:
        expand_runs(texts)
    assert any(number in caught.value.found for number in ("999,999,999", "201", "300"))


def test_a_request_and_an_algorithm_hold_single_runs() -> None:
    assert build_request({"runs": ["58882-58883"]}).runs == ("58882", "58883")
    assert Request().changed({"runs": ["58882-58883"]}).runs == ("58882", "58883")
    assert load_run.Inputs(runs=("58882-58883",), output_workspace="run").runs == ("58882", "58883")


def test_a_wrong_range_is_said_beside_the_runs() -> None:
    with pytest.raises(InputProblemError) as caught:
        build_request({"runs": ["58885-58882"]})
    assert caught.value.field == "runs"


def test_a_file_that_is_named_as_a_range_is_found_by_its_path(tmp_path: Path) -> None:
    assert expand_runs(["./1-2"]) == ("./1-2",)
