"""Every file of the project keeps to the house's measures; each measure is shown to bite."""

from pathlib import Path, PurePath

import pytest

from tests.house import tree

# Tiers that cut through all rooms, beside the folders that mirror one.
TIERS = frozenset({"clients", "house", "live"})


def faults_of(path: Path, found: list[str]) -> list[str]:
    return [f"{path.relative_to(tree.ROOT)}: {fault}" for fault in found]


def test_files_and_functions_are_short() -> None:
    faults: list[str] = []
    for path in tree.code_files():
        text = tree.text_of(path)
        if text is not None:
            faults += faults_of(path, list(tree.size_faults(text, python=path.suffix == ".py")))
    assert not faults, "\n".join(faults)


def test_file_names_say_what_is_inside() -> None:
    faults: list[str] = []
    for path in tree.code_files():
        faults += faults_of(path, list(tree.name_faults(path.relative_to(tree.ROOT))))
    assert not faults, "\n".join(faults)


def test_public_names_are_documented() -> None:
    faults: list[str] = []
    for path in tree.python_files():
        text = tree.text_of(path) if path.is_relative_to(tree.SOURCE) else None
        if text is not None:
            faults += faults_of(path, list(tree.docstring_faults(text)))
    assert not faults, "\n".join(faults)


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    faults: list[str] = []
    for path in tree.python_files():
        text = tree.text_of(path) if path.is_relative_to(tree.SOURCE) else None
        if text is not None:
            faults += faults_of(path, list(tree.pronoun_faults(text)))
    assert not faults, "\n".join(faults)


def test_a_silenced_checker_has_its_reason() -> None:
    faults: list[str] = []
    for path in tree.python_files():
        text = tree.text_of(path) if path.is_relative_to(tree.SOURCE) else None
        if text is not None:
            faults += faults_of(path, list(tree.silence_faults(text)))
    assert not faults, "\n".join(faults)


def test_test_folders_mirror_rooms() -> None:
    tests = tree.ROOT / "tests"
    strays = set()
    for path in tree.python_files():
        if not path.is_relative_to(tests) or not path.name.startswith("test_"):
            continue
        folder = path.parent.relative_to(tests)
        if folder.parts and folder.parts[0] in TIERS:
            continue
        if folder == PurePath() or not (tree.SOURCE / folder).is_dir():
            strays.add(str(path.relative_to(tree.ROOT)))
    assert sorted(strays) == [], "tests stand in the folder of the room they test"


def test_locks_are_hashed_and_free_of_addresses() -> None:
    locks = [path for path in tree.files() if path.match("requirements/*.txt")]
    assert locks
    faults: list[str] = []
    for path in locks:
        faults += faults_of(path, list(tree.lock_faults(path.read_text())))
    assert not faults, "\n".join(faults)


def test_texts_hold_on_every_machine() -> None:
    faults: list[str] = []
    for path in tree.files():
        text = tree.text_of(path)
        if text is not None:
            faults += faults_of(path, list(tree.leak_faults(text)))
    assert not faults, "\n".join(faults)


def test_size_is_measured() -> None:
    long_function = "def f():\n" + "    x = 1\n" * 60
    assert len(list(tree.size_faults(long_function, python=True))) == 1
    assert list(tree.size_faults("def f():\n" + "    x = 1\n" * 59, python=True)) == []
    assert len(list(tree.size_faults("x\n" * 601, python=False))) == 1
    assert list(tree.size_faults("x\n" * 600, python=False)) == []


@pytest.mark.parametrize("name", ["utils.py", "helpers/x.py", "store/base.py", "manager.sh", "Common"])
def test_vague_names_are_found(name: str) -> None:
    assert list(tree.name_faults(Path(name)))


def test_missing_docstrings_are_found() -> None:
    text = "class A:\n    def b(self): ...\n    def _c(self): ...\ndef d():\n    def e(): ...\n"
    assert len(list(tree.docstring_faults(text))) == 4


@pytest.mark.parametrize("pronoun", tree.PRONOUNS)
def test_docstrings_that_begin_with_a_pronoun_are_found(pronoun: str) -> None:
    docstring = f'"""{pronoun} it is."""\n'
    text = f"{docstring}class A:\n    {docstring}    b = 1\n    {docstring}    def c(self):\n        {docstring}"
    assert len(list(tree.pronoun_faults(text))) == 4
    assert list(tree.pronoun_faults(f'"""Whose it is, and {pronoun}."""\nx = "{pronoun}"\n')) == []


def test_unpinned_unhashed_and_addressed_requirements_are_found() -> None:
    digest = "0" * 64
    assert list(tree.lock_faults(f"a==1.0 \\\n    --hash=sha256:{digest}\n    # via b\n")) == []
    assert list(tree.lock_faults(f"a==1.0 ; os_name == 'nt' \\\n    --hash=sha256:{digest}\n")) == []
    assert list(tree.lock_faults("a==1.0\n"))
    assert list(tree.lock_faults(f"a>=1.0 --hash=sha256:{digest}\n"))
    assert list(tree.lock_faults("--index-url http" + "://mirror.example/\n"))


def test_leaks_are_found() -> None:
    for leak in ["see /wo" + "rk/x", "../sha" + "red/x", "https://pypi" + ".org/x"]:
        assert list(tree.leak_faults(leak)), leak
    for fine in ["src/network/x", "the store's share/x", "/var/lib/pileus", "framework/x"]:
        assert list(tree.leak_faults(fine)) == [], fine


def test_a_silenced_checker_without_a_reason_is_found() -> None:
    noqa, ignore = "no" + "qa", "type: ig" + "nore"
    bare = f"import a  # {noqa}: F401\nb = c()  # {ignore}[arg-type]\nd = 1  # {noqa}\n"
    assert len(list(tree.silence_faults(bare))) == 3
    given = f"import a  # {noqa}: F401  (slow to load)\nb = c()  # {ignore}[arg-type]  # a literal\n"
    assert list(tree.silence_faults(given)) == []
