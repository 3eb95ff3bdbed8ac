"""Nouns are known by the words that people have for them."""

from __future__ import annotations

import pytest

from pileus.cli import nounwords
from pileus.cli.compute import NOUNS as COMPUTE
from pileus.cli.networking import NOUNS
from pileus.model.nouns import NOUNS as MODEL


@pytest.mark.parametrize("kind", MODEL)
def test_every_noun_in_the_singular_and_the_plural(kind: str) -> None:
    assert nounwords.kind(kind) == nounwords.kind(f"{kind}s") == nounwords.kind(f"{kind}S".title()) == kind
    assert nounwords.plural(kind) == f"{kind}s"


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("security-groups", "securitygroup"),
        ("Security_Group", "securitygroup"),
        ("groups", "securitygroup"),
        ("keys", "keypair"),
        ("key-pair", "keypair"),
        ("addresses", "floatingip"),
        ("floating-ips", "floatingip"),
        ("glass", "glass"),
        ("", ""),
    ],
)
def test_words_of_people(word: str, kind: str) -> None:
    assert nounwords.kind(word) == kind


def test_the_commands_own_words_are_known() -> None:
    own = {noun.word: noun.kind for noun in (*COMPUTE, *NOUNS) if noun.word}
    assert own == nounwords.ALIASES


@pytest.mark.parametrize(
    ("words", "least", "noun", "rest"),
    [
        (["web", "a=b"], 2, "instance", ["web", "a=b"]),
        (["images", "web", "a=b"], 2, "image", ["web", "a=b"]),
        (["image", "a=b"], 2, "instance", ["image", "a=b"]),
        (["web"], 1, "instance", ["web"]),
        (["router", "web"], 1, "router", ["web"]),
    ],
)
def test_a_noun_may_be_left_out(words: list[str], least: int, noun: str, rest: list[str]) -> None:
    assert nounwords.of_words(words, least) == (noun, rest)
