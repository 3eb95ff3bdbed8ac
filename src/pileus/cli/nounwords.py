"""The words by which people call nouns: `security-groups`, `SecurityGroup` and `group` are one noun."""

from __future__ import annotations

ALIASES = {"key": "keypair", "address": "floatingip", "group": "securitygroup"}
"""The nouns that the commands call by another word."""


def kind(word: str) -> str:
    """The noun that a word means: in the singular or the plural, with dashes, underscores, capitals, or without.

    A word that means no noun comes back without these, for the cloud to refuse.

    >>> kind("Security-Groups"), kind("addresses"), kind("key_pair")
    ('securitygroup', 'floatingip', 'keypair')
    """
    letters = word.lower().translate(_SIGNS)
    endings = [letters.removesuffix(ending) for ending in ("", "s", "es")]
    for singular in endings:
        if singular in ALIASES:
            return ALIASES[singular]
    return letters if letters.endswith("ss") else letters.removesuffix("s")


_SIGNS = str.maketrans("", "", "-_ ")


def plural(word: str) -> str:
    """The word in a path of the REST face for the noun that a person calls `word`."""
    return f"{kind(word)}s"


def is_noun(word: str) -> bool:
    """Whether the word means a noun of the model."""
    from pileus.model.nouns import NOUNS  # noqa: PLC0415  (commands start quickly)

    return kind(word) in NOUNS


def of_words(words: list[str], least: int) -> tuple[str, list[str]]:
    """The noun that the first of `words` may say, an instance otherwise, and the rest, which has `least` words."""
    if len(words) > least and is_noun(words[0]):
        return kind(words[0]), words[1:]
    return "instance", words
