"""Finding runs: the right proposal or an error that says where it was looked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from snapcal_workbench.errors import InputError, NotFoundError
from snapcal_workbench.instrument.runs import find_run
from snapcal_workbench.options import Settings


def test_a_run_is_found_in_its_proposal(tree: Settings, add_run: Callable[..., Path]) -> None:
    path = add_run(58882, ipts=24179)
    for text in ("58882", 58882, " 058882 "):
        found = find_run(text, tree)
        assert (found.run_number, found.path, found.kind) == ("58882", path, "native")
        assert found.ipts == tree.ipts_root / "SNAP" / "IPTS-24179"
        assert found.lite_path is None


def test_a_neighbours_proposal_is_never_given(tree: Settings, add_run: Callable[..., Path]) -> None:
    add_run(58881)
    add_run(58883)
    add_run(158882)
    with pytest.raises(NotFoundError) as caught:
        find_run("58882", tree)
    assert "SNAP_58882.nxs.h5" in str(caught.value)
    assert str(tree.ipts_root / "SNAP") in str(caught.value)
    assert "1 proposals" in str(caught.value)


def test_a_tree_without_the_folder_of_the_proposals_is_told(tree: Settings) -> None:
    elsewhere = tree.model_copy(update={"ipts_root": tree.ipts_root / "elsewhere"})
    with pytest.raises(NotFoundError) as caught:
        find_run("58882", elsewhere)
    assert caught.value.found.startswith(f"no folder {elsewhere.ipts_root / 'SNAP'}")
    assert "ipts_root" in caught.value.fix


@pytest.mark.parametrize("digits", ["7000170001", "7" * 5000])
def test_a_run_number_that_is_too_long_is_told(tree: Settings, digits: str) -> None:
    with pytest.raises(InputError, match="at most 9 digits") as caught:
        find_run(digits, tree)
    assert caught.value.found.startswith(f"{len(digits)} digits: 7")
    assert len(str(caught.value)) < 300


def test_the_legacy_file_serves_where_there_is_no_other(tree: Settings, add_run: Callable[..., Path]) -> None:
    legacy = tree.ipts_root / "SNAP" / "IPTS-7" / "data" / "SNAP_58882_event.nxs"
    legacy.parent.mkdir(parents=True)
    legacy.touch()
    assert find_run("58882", tree).kind == "legacy"
    assert find_run("58882", tree).path == legacy
    native = add_run(58882, ipts=7)
    assert find_run("58882", tree).path == native


def test_a_run_in_two_proposals_is_an_error_that_lists_both(tree: Settings, add_run: Callable[..., Path]) -> None:
    paths = [add_run(58882, ipts=1), add_run(58882, ipts=2)]
    with pytest.raises(InputError) as caught:
        find_run("58882", tree)
    assert all(str(path) in str(caught.value) for path in paths)


def test_a_linked_proposal_is_not_a_second_one(tree: Settings, add_run: Callable[..., Path]) -> None:
    path = add_run(58882, ipts=1)
    (tree.ipts_root / "SNAP" / "IPTS-2").symlink_to(tree.ipts_root / "SNAP" / "IPTS-1")
    assert find_run("58882", tree).path == path


@pytest.mark.parametrize(
    "text", ["", "abc", "58882a", "-58882", "5.8e4", "58 882", "٥٨٨٨٢", "1234567890", "0", "000001"]
)
def test_nonsense_is_refused(tree: Settings, text: str) -> None:
    with pytest.raises(InputError):
        find_run(text, tree)


def test_a_run_before_the_first_known_one_is_refused(tree: Settings, add_run: Callable[..., Path]) -> None:
    add_run(46341)
    with pytest.raises(InputError, match="46342"):
        find_run("46341", tree)
    assert find_run("46341", tree.model_copy(update={"minimum_run": 1})).run_number == "46341"


def test_a_path_is_taken_as_it_is(tree: Settings, add_run: Callable[..., Path], tmp_path: Path) -> None:
    path = add_run(58882, ipts=5)
    found = find_run(str(path), tree)
    assert (found.run_number, found.kind, found.path) == ("58882", "path", path)
    assert found.ipts == tree.ipts_root / "SNAP" / "IPTS-5"
    other = tmp_path / "copy.nxs.h5"
    other.write_bytes(path.read_bytes())
    found = find_run(other, tree)
    assert (found.run_number, found.ipts) == ("", None)


def test_a_path_that_does_not_exist_is_an_error(tree: Settings, tmp_path: Path) -> None:
    for given in (tmp_path / "absent.nxs.h5", str(tmp_path / "absent"), "absent.nxs"):
        with pytest.raises(NotFoundError, match="absent"):
            find_run(given, tree)


def test_no_proposals_at_all_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=str(tmp_path / "nowhere" / "SNAP")):
        find_run("58882", Settings(ipts_root=tmp_path / "nowhere"))


def test_the_lite_file_is_found_only_on_request(tree: Settings, add_run: Callable[..., Path]) -> None:
    native = add_run(58882, ipts=3)
    lite = tree.ipts_root / "SNAP" / "IPTS-3" / "shared" / "lite" / "SNAP_58882.lite.nxs.h5"
    lite.parent.mkdir(parents=True)
    lite.touch()
    assert find_run("58882", tree).lite_path is None
    asked = find_run("58882", tree.model_copy(update={"read_lite_from_ipts": True}))
    assert (asked.path, asked.lite_path) == (native, lite)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_unreadable_proposals_are_named(tree: Settings, add_run: Callable[..., Path], tmp_path: Path) -> None:
    closed = add_run(58882, ipts=9).parents[1]
    message = _as_nobody(tree, closed)
    assert str(closed) in message
    assert "may not be read" in message


def _as_nobody(settings: Settings, closed: Path) -> str:
    """The error of looking for the run in a child process that may not enter the folder `closed`."""
    ours = [folder for folder in closed.parents if folder.owner() == closed.owner() and len(folder.parts) > 2]
    for folder in ours:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o055)
    closed.chmod(0)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setegid(65534)
                os.seteuid(65534)
            find_run("58882", settings)
        except BaseException as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    closed.chmod(0o755)
    with os.fdopen(reader) as pipe:
        return pipe.read()
