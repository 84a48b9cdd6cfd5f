"""The user's Mantid properties get one entry, and keep every other byte."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snapcal_workbench.errors import PermissionDeniedError
from snapcal_workbench.installation import KEY, configured_folders, plan_install, plan_uninstall, plugin_folder

OTHER = "/opt/old/site-packages/snapcal_workbench/workbench"


@pytest.fixture
def properties(tmp_path: Path) -> Path:
    return tmp_path / "Mantid.user.properties"


def folder() -> str:
    return plugin_folder().as_posix()


def test_the_folder_holds_one_thin_file() -> None:
    assert [path.name for path in plugin_folder().glob("*.py")] == ["snapcal_plugin.py"]


def test_without_a_file_one_is_made(properties: Path) -> None:
    target = properties.parent / "new" / properties.name
    assert plan_install(target).apply() is None
    assert target.read_text() == f"{KEY} = {folder()}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", "{key} = {folder}\n"),
        (b"a = 1\n", "a = 1\n{key} = {folder}\n"),
        (b"a = 1", "a = 1\n{key} = {folder}\n"),
        (b"a = 1\r\n", "a = 1\r\n{key} = {folder}\r\n"),
        (b"%(key)s=\nb = 2\n", "{key}={folder}\nb = 2\n"),
        (b"%(key)s = /x;/y\nb = 2\n", "{key} = {folder};/x;/y\nb = 2\n"),
        (b"%(key)s = /x;\n", "{key} = {folder};/x;\n"),
        (b"# %(key)s = /x\n", "# {key} = /x\n{key} = {folder}\n"),
        (b"%(key)s = /x;\\\n  /y\nb = 2\n", "{key} = {folder};/x;\\\n  /y\nb = 2\n"),
        (b"%(key)s = /old\n%(key)s = /x\n", "{key} = /old\n{key} = {folder};/x\n"),
    ],
)
def test_the_entry_is_added_where_mantid_reads_it(properties: Path, before: bytes, after: str) -> None:
    properties.write_bytes(before.replace(b"%(key)s", KEY.encode()))
    plan_install(properties).apply()
    assert properties.read_bytes().decode() == after.format(key=KEY, folder=folder())
    assert folder() in configured_folders(properties)


def test_installing_twice_changes_nothing(properties: Path) -> None:
    plan_install(properties).apply()
    again = plan_install(properties)
    assert not again.changes
    assert again.difference() == ([], [])


@pytest.mark.parametrize("before", [b"a = 1\n", b"%(key)s = /x;/y\nb = 2", b"\xff\xfe = bytes\n%(key)s=/x\r\n"])
def test_uninstalling_gives_the_same_bytes_back(properties: Path, before: bytes) -> None:
    data = before.replace(b"%(key)s", KEY.encode())
    properties.write_bytes(data)
    plan_install(properties).apply()
    plan_uninstall(properties).apply()
    assert properties.read_bytes() == data


def test_uninstalling_takes_out_our_entry_wherever_it_stands(properties: Path) -> None:
    properties.write_text(f"{KEY} = /x;{folder()};/y\n")
    plan_uninstall(properties).apply()
    assert properties.read_text() == f"{KEY} = /x;/y\n"


def test_another_installation_of_the_plugin_is_replaced(properties: Path) -> None:
    properties.write_text(f"{KEY} = {OTHER};/x\n")
    plan_install(properties).apply()
    assert configured_folders(properties) == [folder(), "/x"]


lines = st.lists(
    st.one_of(
        st.binary(max_size=20).filter(lambda line: b"\n" not in line and b"\r" not in line),
        st.sampled_from([KEY.encode() + b" = /a;/b", KEY.encode() + b"=/c;\\", b"  /d", b"#" + KEY.encode()]),
    ),
    max_size=6,
)


@given(lines=lines, end=st.sampled_from([b"\n", b"\r\n"]))
@example(lines=[b"\\"], end=b"\n")
@example(lines=[b"a = b\\", b""], end=b"\r\n")
def test_all_other_lines_and_entries_stay_whatever_the_file_holds(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes
) -> None:
    path = tmp_path_factory.mktemp("properties") / "p"
    path.write_bytes(end.join(lines) + end)
    before = configured_folders(path)
    plan_install(path).apply()
    assert configured_folders(path) == [folder(), *before]
    plan_uninstall(path).apply()
    assert configured_folders(path) == before
    others = [line for line in lines if KEY.encode() not in line]
    kept = path.read_bytes()
    assert all(line in kept for line in others)


def test_each_change_keeps_a_backup(properties: Path) -> None:
    properties.write_text("a = 1\n")
    first = plan_install(properties).apply()
    second = plan_uninstall(properties).apply()
    assert first is not None
    assert second is not None
    assert first.read_text() == "a = 1\n"
    assert folder() in second.read_text()


def test_permissions_and_a_link_stay(properties: Path) -> None:
    target = properties.parent / "real"
    target.write_text("a = 1\n")
    target.chmod(0o600)
    properties.symlink_to(target)
    plan_install(properties).apply()
    assert properties.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert folder() in target.read_text()


def test_a_failed_write_leaves_the_file_and_no_litter(properties: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    properties.write_text("a = 1\n")

    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionDeniedError, match="not yours"):
        plan_install(properties).apply()
    assert properties.read_text() == "a = 1\n"
    assert {path.name for path in properties.parent.iterdir()} == {
        properties.name,
        f"{properties.name}.snapcal-backup1",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(properties: Path) -> None:
    properties.parent.chmod(0o500)
    with pytest.raises(PermissionDeniedError, match=str(properties.parent)):
        plan_install(properties).apply()
