"""The reference is what the code says now, and leaves nothing out."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from typing import Any

from pileus.app import faces, kits, settings
from pileus.faces.ec2 import errors as ec2_errors
from pileus.faces.wire import refusals
from pileus.model.errors import ERRORS
from pileus.model.faults import FAULTS
from pileus.model.finding import MEANINGS
from tests.house import tree

FOLDER = tree.ROOT / "docs" / "reference"
ANEW = "run python docs/reference/make.py"


@cache
def generator() -> Any:
    """The program that writes the pages."""
    spec = importlib.util.spec_from_file_location("reference_make", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_pages_are_what_the_code_says_now() -> None:
    made = generator().pages()
    behind = [name for name, text in made.items() if not (FOLDER / name).exists() or page(name) != text]
    assert behind == [], f"{', '.join(behind)}: {ANEW}"
    assert {path.name for path in FOLDER.glob("*.md")} == set(made)


def test_every_verb_is_named_and_explained() -> None:
    verbs = list(generator().verbs())
    assert {("instance.launch", "launch"), ("tag", "put")} <= {(module, node.name) for module, node in verbs}
    text = page("verbs.md")
    for module, node in verbs:
        part = text.partition(f"\n## {module}\n")[2].partition("\n## ")[0]
        assert f"`{node.name}(" in part, f"{module}.{node.name}: {ANEW}"
        assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


def test_the_verbs_room_holds_verbs_alone() -> None:
    others = [
        (module, node.name)
        for module, node in generator().verbs()
        if not {parameter.arg for parameter in node.args.args} & {"caller", "core"}
    ]
    assert others == []


def test_every_setting_is_named_and_explained() -> None:
    rows = [line for line in page("settings.md").splitlines() if line.startswith("| `")]
    explained = {row.split("|")[2].strip(" `") for row in rows if row.split("|")[5].strip()}
    assert explained == settings.variables(kits.every()) | faces.variables(), ANEW


def test_every_error_code_is_named_and_every_fault_has_one_meaning() -> None:
    codes = {error.code for error in ERRORS} | set(refusals.OWN)
    codes |= {code for code, _ in ec2_errors.TABLE.values()}
    faults = generator().fault_codes()
    assert faults == set(FAULTS), "every code of a Fault has its meaning in pileus.model.faults, and no other"
    for code in codes | faults:
        assert f"`{code}`" in page("errors.md"), f"{code}: {ANEW}"


def test_every_code_that_the_doctor_finds_has_its_meaning_and_is_named() -> None:
    found = generator().finding_codes()
    assert found == set(MEANINGS), "every code of a Finding has its meaning in pileus.model.finding, and no other"
    for code in found:
        assert f"`{code}`" in page("findings.md"), f"{code}: {ANEW}"


def test_fault_codes_are_found_in_every_form() -> None:
    text = (
        'GONE: Final = "ThingGone"\n'
        "def f(full, found, error):\n"
        '    code = "ThingBusy" if found else "ThingBroken"\n'
        "    raise Fault(code, GONE) from disk_fault(error, 'ThingLost', '')\n"
        '    raise Fault("Full" if full else "Empty", "Some Text")\n'
    )
    found = set(generator()._codes_in(ast.parse(text)))
    assert found == {"ThingGone", "ThingBusy", "ThingBroken", "ThingLost", "Full", "Empty"}
    assert set(generator()._codes_in(ast.parse('NAME = "ThingGone"\nprint(NAME)\n'))) == set()
