"""Commands and processes of a cloud know no provider by its name: they ask the kits that are installed."""

import ast
import subprocess
import sys
from collections.abc import Iterator

from pileus.app import kits
from tests.house import tree

ROOMS = ("app", "cli")
HEAVY = ("libvirt", "ovs", "ovsdbapp", "sqlalchemy", "pileus.providers.local.provider")


def named(text: str, names: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Each string in the code that is a provider's name alone, with its line."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names:
            yield node.lineno, node.value


def test_app_and_cli_name_no_provider() -> None:
    names = frozenset(kits.installed())
    assert {"local", "stub"} <= names
    sites = [
        f"{path.relative_to(tree.SOURCE)}:{line}: '{name}'"
        for path in tree.python_files()
        if path.is_relative_to(tree.SOURCE) and path.relative_to(tree.SOURCE).parts[0] in ROOMS
        for line, name in named(path.read_text(), names)
    ]
    assert not sites, "\n".join(sites)


def test_a_name_is_found() -> None:
    text = 'if provider == "stub" or x in ("local", "locally"):\n    "stub of a sentence"\n'
    assert list(named(text, frozenset({"local", "stub"}))) == [(1, "stub"), (1, "local")]


def test_a_name_of_its_own_leads_to_each_kit() -> None:
    assert {kit.name for kit in kits.every()} == set(kits.installed())
    assert kits.load().name in kits.installed()
    assert not kits.load(kits.THROWAWAY).needs_root


def test_a_kit_is_loaded_quickly() -> None:
    """Commands look at every kit that is installed."""
    text = "import sys; from pileus.app import kits; list(kits.every()); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", text], check=True, capture_output=True, text=True)
    modules = done.stdout.split()
    assert "pileus.providers.local.kit" in modules
    assert not set(HEAVY) & set(modules)
