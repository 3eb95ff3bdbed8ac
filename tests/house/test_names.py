"""A public class name has one meaning in the whole of `src`, and is imported under that name."""

import ast
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from tests.house import tree


class Repeated(NamedTuple):
    """A name that may stand in several modules below `folder`, and the one meaning that it has there."""

    folder: str
    meaning: str


REPEATED = {
    "Assigned": Repeated("model/", "what verbs and placement decided about a noun: one of its three parts"),
    "CloudEnd": Repeated("bus/", "the cloud's end of a transport between cloud and hosts"),
    "HostEnd": Repeated("bus/", "a host's end of a transport between cloud and hosts"),
    "Seen": Repeated("model/", "what was observed of a noun: one of its three parts"),
    "State": Repeated("model/", "the states that a noun passes through, as EC2 has them; computed, never stored"),
    "Wanted": Repeated("model/", "what a noun is to be: one of its three parts"),
    "Watched": Repeated("store/", "a driver's connection to a database server, cut off when the server is silent"),
}


def public_classes(module: ast.Module) -> list[str]:
    """List the public classes at the top level of a module, also below an `if`, `try` or `with` there."""
    names = []
    statements = list(module.body)
    for statement in statements:
        if isinstance(statement, ast.ClassDef) and not statement.name.startswith("_"):
            names.append(statement.name)
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            statements += [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.stmt)]
    return names


def repeated_names(modules: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """Map each public class name that stands more than once to the paths of its modules, in order."""
    paths = defaultdict(list)
    for path, module in sorted(modules.items()):
        for name in public_classes(module):
            paths[name].append(path)
    return {name: places for name, places in paths.items() if len(places) > 1}


def name_faults(modules: Mapping[str, ast.Module]) -> list[str]:
    """Find names with several classes that the table does not allow where they stand."""
    return [
        f"{name} stands in {', '.join(paths)}; give each class a name of its own"
        for name, paths in repeated_names(modules).items()
        if name not in REPEATED or not all(path.startswith(REPEATED[name].folder) for path in paths)
    ]


def alias_faults(modules: Mapping[str, ast.Module]) -> list[str]:
    """Find public classes of `src` that a module imports under another name, though no other class has theirs."""
    classes = {name for module in modules.values() for name in public_classes(module)} - REPEATED.keys()
    return [
        f"{path}:{node.lineno}: {alias.name} is imported as {alias.asname}"
        for path, module in sorted(modules.items())
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pileus.")
        for alias in node.names
        if alias.name in classes and alias.asname not in (None, alias.name)
    ]


def source_modules() -> dict[str, ast.Module]:
    """Parse the modules of `src` by their paths below the package."""
    return {
        str(path.relative_to(tree.SOURCE)): ast.parse(path.read_text())
        for path in tree.python_files()
        if path.is_relative_to(tree.SOURCE)
    }


def test_public_class_names_have_one_meaning() -> None:
    faults = name_faults(source_modules())
    assert not faults, "\n".join(faults)


def test_classes_are_imported_under_their_names() -> None:
    faults = alias_faults(source_modules())
    assert not faults, "\n".join(faults)


def test_the_table_holds_only_names_that_are_repeated() -> None:
    assert REPEATED.keys() - repeated_names(source_modules()).keys() == set()


def test_a_second_class_of_a_name_is_found() -> None:
    engine = ast.parse("class Engine: ...\n")
    hidden = ast.parse("if True:\n    class Engine: ...\n")
    assert len(name_faults({"store/a.py": engine, "model/b.py": hidden})) == 1
    assert name_faults({"store/a.py": engine, "model/b.py": ast.parse("class _Engine: ...\n")}) == []


def test_a_repeated_name_outside_its_folder_is_found() -> None:
    wanted = ast.parse("class Wanted: ...\n")
    assert name_faults({"model/image.py": wanted, "model/port.py": wanted}) == []
    assert len(name_faults({"model/image.py": wanted, "app/up.py": wanted})) == 1


def test_an_import_under_another_name_is_found() -> None:
    source = {"store/a.py": ast.parse("class Database: ...\n")}
    renamed = ast.parse("from pileus.store.a import Database as Engine\n")
    assert len(alias_faults({**source, "app/b.py": renamed})) == 1
    assert alias_faults({**source, "app/b.py": ast.parse("from pileus.store.a import Database\n")}) == []
