"""The checkout as the house tests see it: which files there are, and what is wrong with one.

Each `*_faults` function takes what it judges and returns one sentence per fault, so that the tests can also
show that it bites.
"""

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pileus"
CODE_FOLDERS = ("src", "tests", "bench", "bin", ".ci")
CODE_SUFFIXES = (".py", ".sh", "")

FILE_LINES = 600
FUNCTION_LINES = 60
VAGUE_NAMES = frozenset({"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"})
PRONOUNS = ("What", "Who", "Whoever", "Whom", "Those")
_SILENCED = re.compile(r"#\s*(?:noqa|type: ignore\[)[^(#]*\Z")
_PRONOUN = re.compile(rf"(?:{'|'.join(PRONOUNS)})\b")
_MARKDOWN_CODE = re.compile(r"^```[\s\S]*?^```$|(?<=\n\n) {4}.+(?:\n(?: {4}.*)?)*|<!--[\s\S]*?-->", flags=re.MULTILINE)
_MARKDOWN_BLOCK = re.compile(r"^\s*(?:#+|[-*]|\d+\.|>)\s+|\||\n[ \t]*\n", flags=re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+")

# Written in pieces, so that this file does not contain what it looks for.
_LEAKS = {
    "a path of one machine": re.compile(r"(?<![\w.~}-])/wo" + r"rk/|(?<![\w./-])(?:\.\./)*sha" + r"red/"),
    "a package registry's host": re.compile(
        "|".join(
            re.escape(f"{name}.{domain}")
            for name, domain in [
                ("pypi", "org"),
                ("pythonhosted", "org"),
                ("deb.debian", "org"),
                ("security.debian", "org"),
                ("archive.ubuntu", "com"),
                ("registry.npmjs", "org"),
                ("proxy.golang", "org"),
                ("docker", "io"),
                ("ghcr", "io"),
                ("quay", "io"),
            ]
        )
    ),
}

_PINNED = re.compile(r"[\w.\[\],-]+==\S+( *;[^-]+)?( +--hash=sha256:[0-9a-f]{64})+")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files() -> list[Path]:
    """List the project's files: what git tracks or would track, and what still exists."""
    listed = subprocess.run(
        [
            *("git", "-c", f"safe.directory={ROOT}"),
            *("ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def code_files() -> list[Path]:
    """List programs and modules: Python and shell below the folders that hold code."""
    return [
        path for path in files() if path.relative_to(ROOT).parts[0] in CODE_FOLDERS and path.suffix in CODE_SUFFIXES
    ]


def python_files() -> list[Path]:
    """List the Python modules of the project."""
    return [path for path in code_files() if path.suffix == ".py"]


def text_of(path: Path) -> str | None:
    """Read a file, or return None when it is not UTF-8 text or has just gone."""
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return None


def size_faults(text: str, *, python: bool) -> Iterator[str]:
    """Find a file longer than 600 lines and functions longer than 60, `def` and docstring included."""
    lines = len(text.splitlines())
    if lines > FILE_LINES:
        yield f"{lines} lines; {FILE_LINES} are allowed"
    if not python:
        return
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield f"line {error.lineno} is no Python: {error.msg}"
        return
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{node.name} (line {node.lineno}) has {length} lines; {FUNCTION_LINES} are allowed"


def name_faults(path: Path) -> Iterator[str]:
    """Find names that say nothing about what is inside."""
    for part in path.parts:
        if part.split(".")[0].lower() in VAGUE_NAMES:
            yield f"{part!r} does not say what is inside"


def docstring_faults(text: str) -> Iterator[str]:
    """Find a module, and public classes, functions and methods in it, without a docstring."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return  # size_faults names it
    if ast.get_docstring(tree) is None:
        yield "the module has no docstring"
    yield from _undocumented(tree.body, "")


def _undocumented(body: Iterable[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _undocumented(node.body, prefix)
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None and not _is_overload(node):
            yield f"{prefix}{node.name} (line {node.lineno}) has no docstring"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node.body, f"{prefix}{node.name}.")


def pronoun_faults(text: str) -> Iterator[str]:
    """Find docstrings, of attributes too, that begin with a pronoun instead of a noun or a verb."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return  # size_faults names it
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            continue
        docstring = node.value.value
        if isinstance(docstring, str) and (pronoun := _PRONOUN.match(docstring.lstrip())):
            yield f"the docstring in line {node.lineno} begins with {pronoun.group()!r}"


def sentence_faults(markdown: str) -> Iterator[str]:
    """Find sentences, headings, list items and cells of a document that begin with a pronoun and are no questions."""
    text = re.sub(r"`[^`]+`", "code", _MARKDOWN_CODE.sub("\n\n", markdown))
    for block in _MARKDOWN_BLOCK.split(text):
        for sentence in _SENTENCE_END.split(block):
            words = " ".join(sentence.split()).lstrip("*_[(\"'")
            if _PRONOUN.match(words) and "?" not in words:
                yield f"a sentence begins with a pronoun: {words[:60]}"


def silence_faults(text: str) -> Iterator[str]:
    """Find lines on which a checker is silenced by a comment that gives no reason after the rule's name."""
    for number, line in enumerate(text.splitlines(), start=1):
        if silenced := _SILENCED.search(line):
            yield f"line {number} gives no reason: {silenced.group()}"


def _is_overload(node: Function | ast.ClassDef) -> bool:
    return any(ast.unparse(decorator).split(".")[-1] == "overload" for decorator in node.decorator_list)


def lock_faults(text: str) -> Iterator[str]:
    """Find requirements of a lock that are not pinned and hashed, and addresses in it."""
    if "://" in text or "--index" in text.replace("--no-emit-index-url", ""):
        yield "names an address; mirrors come from the machine's own configuration"
    for entry in text.replace("\\\n", " ").splitlines():
        requirement = entry.split("#")[0].strip()
        if requirement and not re.fullmatch(
            r"[\w.\[\],-]+==\S+( *;[^-]+)?( +--hash=sha256:[0-9a-f]{64})+", requirement
        ):
            yield f"not pinned with a hash: {requirement[:60]}"


def leak_faults(text: str) -> Iterator[str]:
    """Find texts that hold on one machine or in one network only."""
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern in _LEAKS.items():
            if pattern.search(line):
                yield f"line {number} names {what}: {line.strip()[:80]}"
