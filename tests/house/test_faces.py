"""The application names no face: not in an import, not in a name, not in a text that a program reads."""

import ast
import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.house import tree

FACES = frozenset(
    name
    for group in ("pileus.faces", "pileus.guestfaces")
    for name in tomllib.loads((tree.ROOT / "pyproject.toml").read_text())["project"]["entry-points"][group]
)

WORDS = frozenset({"rest", "metadata"})
"""Faces that are called as English words are: they are looked for in imports, and in texts without spaces."""

OTHERS = frozenset({"ec2_id", "importlib.metadata"})
"""Names that stand for something else: the public id of a noun, and a module of Python's library."""


def parts_of(name: str) -> set[str]:
    """The words of a name or of a text, in small letters."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return set(re.split(r"[^a-z0-9]+", apart.lower()))


def docstrings(module: ast.Module) -> set[ast.expr]:
    """The texts that nothing reads: docstrings, of attributes too."""
    return {
        node.value for node in ast.walk(module) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def names_in(module: ast.Module) -> Iterator[tuple[int, str, frozenset[str]]]:
    """Each name and text of a module with its line, and the faces that are looked for in it."""
    silent = docstrings(module)
    for node in ast.walk(module):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.ImportFrom):
            yield line, node.module or "", FACES
        if isinstance(node, ast.alias):
            yield line, node.name, FACES
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in silent:
            yield line, node.value, FACES - WORDS if " " in node.value else FACES
        for field in ("id", "attr", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str) and not isinstance(node, ast.alias):
                yield line, name, FACES - WORDS


def named_faces(source: str) -> list[str]:
    """The places where a module names a face."""
    return sorted(
        {
            f"line {line}: {text!r} names {', '.join(sorted(found))}"
            for line, text, faces in names_in(ast.parse(source))
            if text not in OTHERS and (found := faces & parts_of(text))
        }
    )


def test_there_are_faces() -> None:
    assert {"ec2", "rest", "mcc", "metadata"} <= FACES


def test_no_file_of_the_application_names_a_face() -> None:
    folder = tree.SOURCE / "app"
    faults = [
        f"{path.relative_to(tree.SOURCE)}, {fault}"
        for path in tree.python_files()
        if path.is_relative_to(folder)
        for fault in named_faces(path.read_text())
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "source",
    [
        "from pileus.faces.rest import errors\n",
        "from pileus.faces import metadata\n",
        "import pileus.cli.mcc.usage\n",
        "cloud.ec2.handle(request)\n",
        "mcc_port = 1\n",
        "class MccDoor: ...\n",
        "def f(ec2): ...\n",
        'urls["rest"]\n',
        'x = "PILEUS_MCC_LISTEN"\n',
        'x = "the mcc tools are answered"\n',
    ],
)
def test_a_face_that_is_named_is_found(source: str) -> None:
    assert named_faces(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""The EC2 face."""\n',
        "import importlib.metadata\n",
        "noun.ec2_id\n",
        'say("the rest is empty")\n',
        "rest = 1\n",
    ],
)
def test_other_words_are_none(source: str) -> None:
    assert named_faces(source) == []
