"""Documents and the Makefile say what is there."""

import re

import pytest

from tests.house import tree

DECISIONS = tree.ROOT / "docs" / "decisions"
DOCUMENTS = [tree.ROOT / "README.md", tree.ROOT / "ARCHITECTURE.md", *sorted((tree.ROOT / "docs").glob("*.md"))]


def decisions() -> list[str]:
    """List the file names of the decisions."""
    return sorted(path.name for path in DECISIONS.glob("*.md") if path.name != "README.md")


def test_every_decision_is_in_the_index_and_every_link_leads_somewhere() -> None:
    linked = re.findall(r"\]\(([^)#:]+\.md)\)", (DECISIONS / "README.md").read_text())
    assert sorted(linked) == decisions()


def test_decisions_are_numbered_once_and_have_their_four_parts() -> None:
    numbers = [name[:4] for name in decisions()]
    assert sorted(set(numbers)) == numbers
    for name in decisions():
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name), name
        headings = re.findall(r"^## (.+)$", (DECISIONS / name).read_text(), flags=re.MULTILINE)
        assert headings == ["Shortcoming", "Choice", "Alternatives", "What we gave up"], name


def test_every_make_target_is_explained() -> None:
    makefile = (tree.ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    targets = {target for line in phony for target in line.split()}
    explained = set(re.findall(r"^([a-z-]+):.*?## \S", makefile, flags=re.MULTILINE))
    assert {"setup", "demo", "test", "test-live", "check", "bench", "clean", "help"} <= targets
    assert targets == explained


def test_readme_names_the_commands() -> None:
    readme = (tree.ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme


def test_architecture_names_every_room() -> None:
    text = (tree.ROOT / "ARCHITECTURE.md").read_text()
    rooms = [path.name for path in tree.SOURCE.iterdir() if (path / "__init__.py").is_file()]
    assert [room for room in rooms if f"`{room}`" not in text] == []


def test_every_attempt_in_the_security_table_names_a_test_that_is_there() -> None:
    text = (tree.ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"^\| .+ \| .+ \| `(test_\w+)` \|$", text, flags=re.MULTILINE))
    tests = {path: set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)) for path in tree.python_files()}
    assert len(named) > 20
    assert sorted(named - set().union(*tests.values())) == []
    folder = tree.ROOT / "tests" / "live" / "security"
    attempts = set().union(*(found for path, found in tests.items() if path.is_relative_to(folder)))
    assert sorted(attempts - named) == [], "an attempt without its row"


def test_every_cell_of_the_reachability_table_names_a_live_test() -> None:
    section = (tree.ROOT / "docs" / "security.md").read_text().partition("## Reachability in a VPC")[2]
    rows = [
        row.strip("| ").split(" | ") for row in re.findall(r"^\|.+\|$", section.partition("\n## ")[0], re.MULTILINE)
    ]
    cells = [cell for _, _, _, *tested in rows[2:] for cell in tested]
    assert len(cells) > 60
    assert [cell for cell in cells if "`test_" not in cell and cell != "–"] == []
    live = "".join(
        path.read_text() for path in tree.python_files() if path.is_relative_to(tree.ROOT / "tests" / "live")
    )
    live_tests = set(re.findall(r"^def (test_\w+)", live, re.MULTILINE))
    assert sorted(set(re.findall(r"`(test_\w+)`", " ".join(cells))) - live_tests) == []


def test_no_sentence_of_a_document_begins_with_a_pronoun() -> None:
    faults = [f"{path.name}: {fault}" for path in DOCUMENTS for fault in tree.sentence_faults(path.read_text())]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("pronoun", tree.PRONOUNS)
def test_sentences_that_begin_with_a_pronoun_are_found(pronoun: str) -> None:
    bad = [
        *("{} it is.", "# {} runs", "- {} runs", "1. {} runs", "| a | {} runs |"),
        *("It is. {} runs.", "It *is.* **{}** runs.", "x\n\n    code\n\n{} runs."),
    ]
    assert [text for text in bad if len(list(tree.sentence_faults(text.format(pronoun)))) != 1] == []
    good = ["{} runs?", "It is\n{} runs.", "```\n{} runs\n```", "x\n\n    {} runs\n\nx", "`{} x` runs", "Say {}."]
    assert [text for text in good if list(tree.sentence_faults(text.format(pronoun)))] == []
