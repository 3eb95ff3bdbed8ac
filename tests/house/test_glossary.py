"""The glossary explains each word by code that is there, and has a row for each number that is compared."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import msgspec
import pytest

from pileus.model.noun import Revision
from pileus.store import tables
from tests.house import tree

GLOSSARY = tree.ROOT / "docs" / "glossary.md"
SEVEN = ("Noun", "Caller", "Verb", "Face", "Provider", "Loop", "Store")
LONGEST = 25
"""Words that a meaning has at most."""

NUMBERED = (
    "bus.messages",
    "host.book",
    "model.host",
    "model.image",
    "model.instance",
    "model.network",
    "model.noun",
    "model.provider",
    "model.spec",
    "objects.files",
    "store.journalreader",
    "store.reader",
    "store.store",
)
"""The modules whose structs carry counters: each field that is an int or a Revision is a counter or an amount."""

AMOUNTS = frozenset(
    {
        *(
            "bandwidth",
            "disk",
            "index",
            "launch_index",
            "launchtemplate_version",
            "memory",
            "metadata_hops",
            "min_disk",
        ),
        *("min_memory", "mtu", "number", "port", "port_max", "port_min", "removals", "size", "vcpus", "virtual_size"),
    }
)
"""Fields of these structs that are plain amounts, positions or ids."""

ELSEWHERE = frozenset({"reached", "until"})
"""Rows of counters that are neither such fields nor numbers in `meta`."""

NUMBER_CALLS = frozenset({"keep_meta", "meta", "sequence"})
"""The methods of transactions that are given the name of a number."""

VARIABLES = {"left_name": None, "name": None, "self._name": "api:…"}
"""Arguments of these calls that are variables, and the number's name where no other call tells it."""

_REFERENCE = re.compile(r"`((?:[a-z]+\.)+\w+(?:\.\w+)*)`")


def rows(heading: str) -> list[list[str]]:
    """List the cells of each row of the table below a heading of the glossary."""
    section = GLOSSARY.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def names(cell: str) -> list[str]:
    """List the names in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def module_of(reference: str) -> tuple[Path | None, list[str]]:
    """Return the file of the longest part of a reference that is a module or a package, and the other parts."""
    parts = reference.split(".")
    root = tree.ROOT if parts[0] == "tests" else tree.SOURCE
    for length in range(len(parts), 0, -1):
        path = root.joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file, parts[length:]
    return None, parts


@cache
def parsed(path: Path) -> ast.Module:
    """Parse a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def targets(statement: ast.stmt) -> Iterator[str]:
    """List the names, and the attributes of `self`, that a statement assigns."""
    assigned = statement.targets if isinstance(statement, ast.Assign) else []
    assigned = [statement.target] if isinstance(statement, ast.AnnAssign) else assigned
    for target in (node for each in assigned for node in ast.walk(each)):
        if isinstance(target, ast.Name):
            yield target.id
        elif isinstance(target, ast.Attribute):
            yield target.attr


def is_defined(reference: str) -> bool:
    """Whether a reference names a module, or a name or member that a module defines."""
    path, members = module_of(reference)
    if path is None:
        return False
    scope: ast.AST = parsed(path)
    for member in members:
        body = list(ast.walk(scope)) if isinstance(scope, ast.ClassDef) else getattr(scope, "body", [])
        definitions = [node for node in body if isinstance(node, ast.ClassDef | tree.Function) and node.name == member]
        if definitions:
            scope = definitions[0]
        elif any(member in targets(node) for node in body if isinstance(node, ast.stmt)):
            scope = ast.Pass()
        else:
            return False
    return True


def number_fields() -> set[str]:
    """List the fields of the structs in NUMBERED that are ints or revisions."""
    fields: set[str] = set()
    for name in NUMBERED:
        module = importlib.import_module(f"pileus.{name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__:
                hints = get_type_hints(value)
                fields |= {
                    field for field in value.__struct_fields__ if hints[field] in (int, Revision, dict[str, Revision])
                }
    return fields


def stored_name(argument: ast.expr, module: ModuleType) -> str | None:
    """Return the name in `meta` that a call's first argument gives; None for a variable that others explain."""
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    text = ast.unparse(argument)
    if text in VARIABLES:
        return VARIABLES[text]
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name):
        made: Any = getattr(module, argument.func.id)("example")
        return re.sub(r"(?<=[ :]).+", "…", made)
    return str(getattr(module, text))


def stored_names() -> set[str]:
    """List the names of the numbers in `meta`, as calls of the store give them."""
    found = {str(row["name"]) for row in tables.FIRST_META}
    for path in sorted(tree.SOURCE.rglob("*.py")):
        calls = NUMBER_CALLS | ({"_step"} if path.name == "writer.py" else set())
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in calls:
                if not node.args or ast.unparse(node.func.value) not in ("tx", "self"):
                    continue
                module = path.relative_to(tree.SOURCE.parent).with_suffix("")
                name = stored_name(node.args[0], importlib.import_module(".".join(module.parts)))
                if name is not None:
                    found.add(name)
    return found


@pytest.mark.parametrize("heading", ["Words", "Counters", "Other numbers in `meta`"])
def test_each_table_is_sorted_and_has_each_row_once(heading: str) -> None:
    first_cells = [row[0].replace("`", "").casefold() for row in rows(heading)]
    assert first_cells == sorted(set(first_cells))


def test_each_word_has_a_short_sentence_and_a_reference() -> None:
    for word, meaning, where in rows("Words"):
        assert meaning.endswith("."), word
        assert len(meaning.split()) <= LONGEST, word
        assert not meaning.startswith(tuple(f"{pronoun} " for pronoun in tree.PRONOUNS)), word
        assert names(where), word


def test_the_seven_words_are_in_the_glossary() -> None:
    assert set(SEVEN) <= {row[0] for row in rows("Words")}


def test_each_reference_is_defined() -> None:
    references = {reference for row in rows("Words") for reference in names(row[2])}
    dotted = _REFERENCE.findall(GLOSSARY.read_text(encoding="utf-8"))
    references |= {name for name in dotted if not name.endswith((".json", ".jsonl"))}
    assert len(references) > len(rows("Words")) // 2
    assert sorted(reference for reference in references if not is_defined(reference)) == []


def test_a_reference_to_nothing_is_found() -> None:
    assert is_defined("bus.messages.Order.revision")
    assert not is_defined("bus.messages.Order.colour")
    assert not is_defined("bus.letters.Order")


def test_each_counter_has_its_row() -> None:
    listed = {name for row in rows("Counters") for name in names(row[0])}
    others = {name for row in rows("Other numbers in `meta`") for name in names(row[0])}
    counters, stored = number_fields(), stored_names()
    assert sorted(counters - listed - AMOUNTS) == [], "a field without its row"
    assert sorted(stored - listed - others) == [], "a number in `meta` without its row"
    assert sorted((listed | others) - counters - stored - ELSEWHERE) == [], "a row of nothing"
    assert counters >= AMOUNTS, "an amount that is gone"
