"""Copies, with this machine's own shell in the place of a guest's."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

import pytest

from pileus.cli import copying
from pileus.cli.copying import CopyPath
from pileus.cli.problem import Problem


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files, an empty folder, and a link to a file beside it."""
    (tmp_path / "out.txt").write_text("outside")
    folder = tmp_path / "tree"
    (folder / "sub/empty").mkdir(parents=True)
    (folder / "a").write_bytes(os.urandom(200_000))
    (folder / "sub/b c").write_text("two")
    (folder / "sub/b c").chmod(0o750)
    (folder / "link").symlink_to("../out.txt")
    return folder


def contents(folder: Path) -> dict[str, bytes | None]:
    """The files below a folder with their bytes, and its folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("copy", [copying.upload, copying.download])
def test_a_tree_is_copied_whole_and_links_are_followed(tmp_path: Path, tree: Path, copy: object) -> None:
    assert callable(copy)
    (tmp_path / "into").mkdir()
    copy(list, [str(tree)], str(tmp_path / "into"), recursive=True)
    copy(list, [str(tree)], str(tmp_path / "renamed"), recursive=True)
    for copied in (tmp_path / "into/tree", tmp_path / "renamed"):
        assert contents(copied) == contents(tree)
        assert not (copied / "link").is_symlink()
        assert (copied / "sub/b c").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("copy", [copying.upload, copying.download])
def test_files_are_copied_into_a_folder_or_under_another_name(tmp_path: Path, tree: Path, copy: object) -> None:
    assert callable(copy)
    (tmp_path / "into").mkdir()
    copy(list, [str(tree / "a"), str(tree / "sub/b c")], f"{tmp_path}/into/", recursive=False)
    copy(list, [str(tree / "a")], str(tmp_path / "other"), recursive=False)
    assert contents(tmp_path / "into") == {"a": (tree / "a").read_bytes(), "b c": b"two"}
    assert (tmp_path / "other").read_bytes() == (tree / "a").read_bytes()


def test_mistakes_are_said(tmp_path: Path, tree: Path) -> None:
    gone, folder, file = str(tmp_path / "none"), str(tree), str(tree / "a")
    cases = [
        (copying.upload, [gone], str(tmp_path), f"There is no {gone} on this machine."),
        (copying.upload, [folder], str(tmp_path), f"{folder} is a folder: -r copies folders."),
        (copying.upload, [file], f"{gone}/", f"{gone}/ is no folder in the instance."),
        (copying.upload, [file, file], gone, f"{gone} is no folder in the instance."),
        (copying.upload, [file], f"{gone}/a/b", f"{gone}/a/b was not copied whole: the command in the instance"),
        (copying.download, [folder], str(tmp_path), f"{folder} is a folder: -r copies folders."),
        (copying.download, [file], f"{gone}/", f"{gone}/ is no folder on this machine."),
        (copying.download, [gone], str(tmp_path), f"{gone} was not copied whole: the command in the instance ended"),
    ]
    for copy, sources, target, message in cases:
        with pytest.raises(Problem) as refused:
            copy(list, sources, target, recursive=False)
        assert refused.value.message.startswith(message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.txt", "tree"]


@pytest.mark.parametrize("name", ["../evil", "x/../../evil", "/evil"])
def test_a_guest_s_archive_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    (tmp_path / "archive").write_bytes(archive.getvalue())
    (tmp_path / "into").mkdir()

    def hostile(words: object) -> list[str]:
        del words
        return [sys.executable, "-c", f"print(open({str(tmp_path / 'archive')!r}).read(), end='')"]

    with pytest.raises(Problem, match="leads elsewhere"):
        copying.download(hostile, ["/x"], str(tmp_path / "into"), recursive=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["archive", "into"]


def test_links_of_a_guest_s_archive_are_not_made(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        link = tarfile.TarInfo("x/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        file = tarfile.TarInfo("x/file")
        file.mode = 0o4755
        tar.addfile(file)
    (tmp_path / "archive").write_bytes(archive.getvalue())
    copying.download(lambda _: ["cat", str(tmp_path / "archive")], ["/x"], str(tmp_path / "x"), recursive=True)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["file"]
    assert (tmp_path / "x/file").stat().st_mode & 0o7777 == 0o755


def test_a_file_of_two_names_is_copied_under_both(tmp_path: Path, tree: Path) -> None:
    """tar sends the second name as a link to the first."""
    (tree / "again").hardlink_to(tree / "a")
    copying.download(list, [str(tree)], str(tmp_path / "copy"), recursive=True)
    assert contents(tmp_path / "copy") == contents(tree)


def test_another_name_of_a_file_that_was_not_sent_reads_nothing_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in ("x/secret", "x/../../secret"):
            link = tarfile.TarInfo("x/link")
            link.type, link.linkname = tarfile.LNKTYPE, name
            tar.addfile(link)
    (tmp_path / "archive").write_bytes(archive.getvalue())
    (tmp_path / "x").mkdir()
    (tmp_path / "x/secret").write_text("of this machine")
    with pytest.raises(Problem, match="leads elsewhere"):
        copying.download(lambda _: ["cat", str(tmp_path / "archive")], ["/x"], str(tmp_path / "x"), recursive=True)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["secret"]
    assert "'x/link' is neither a file nor a folder" in capsys.readouterr().err


def test_the_folder_of_all_others_is_copied_with_the_names_in_it(tmp_path: Path, tree: Path) -> None:
    def root(_words: object) -> list[str]:
        return ["tar", "-chf", "-", "-C", str(tree), "--", "."]

    copying.download(root, ["/"], str(tmp_path / "copy"), recursive=True)
    assert contents(tmp_path / "copy") == contents(tree)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("web:/tmp/a", CopyPath("/tmp/a", "web")),
        ("web:", CopyPath(".", "web")),
        ("web:a:b", CopyPath("a:b", "web")),
        ("./a:b", CopyPath("./a:b")),
        (":a", CopyPath(":a")),
        ("a", CopyPath("a")),
    ],
)
def test_a_path_is_this_machines_or_an_instances(text: str, path: CopyPath) -> None:
    assert copying.parse(text) == path
