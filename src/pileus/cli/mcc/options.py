"""Options as Ruby's OptionParser reads them, and its words for what it cannot read.

Long options may be cut short while only one fits, and written with capitals; `--opt=value` and `-ovalue` work; options
may stand behind arguments; `--` ends them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONG = re.compile(r"--([^=]*)(?:=(.*))?", re.DOTALL)


class Option(NamedTuple):
    """One option: `-short`, `--long`, what its value is called (empty: it has none), and what it does.

    `exact` ones are not found by a part of their name: they are none of the original's.
    """

    short: str
    long: str
    value: str
    text: str
    exact: bool = False


class Usage(NamedTuple):
    """The text of --help: `banner`, the options between lines of text, and more text."""

    banner: str
    head: tuple[str, ...]
    options: tuple[Option, ...]
    tail: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Every line, ended."""
        shown = [f"    {_words(option):<33}{option.text}" for option in self.options]
        return "".join(f"{line}\n" for line in (self.banner, *self.head, *shown, *self.tail))


class Refused(Exception):
    """The command line cannot be read; the text says which part."""


def parse(usage: Usage, words: Sequence[str]) -> dict[str, str]:
    """Values by long name, empty for options without one; what is no option is ignored. Raises Refused.

    Ends at `help`, whatever follows.
    """
    option_values: dict[str, str] = {}
    remaining_words = list(words)
    while remaining_words and "help" not in option_values:
        word = remaining_words.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            _long(usage, word, remaining_words, option_values)
        elif word.startswith("-") and len(word) > 1:
            _short(usage, word, remaining_words, option_values)
    return option_values


def _long(usage: Usage, word: str, remaining_words: list[str], option_values: dict[str, str]) -> None:
    matched = _LONG.fullmatch(word)
    name, argument = matched.groups() if matched else ("", None)
    option = _complete(usage, name.replace("_", "-").lower(), word)
    if not option.value and argument is not None:
        raise Refused(f"needless argument: {word}")
    option_values[option.long] = _value(option, argument, word, remaining_words)


def _short(usage: Usage, word: str, remaining_words: list[str], option_values: dict[str, str]) -> None:
    letter, rest = word[1], word[2:]
    option = next((each for each in usage.options if each.short == letter), None)
    if option is None:
        # One letter is a long option cut short as well.
        option = _complete(usage, letter, word)
    if option.value:
        option_values[option.long] = _value(option, rest or None, word, remaining_words)
        return
    if rest.startswith("="):
        raise Refused(f"needless argument: {word}")
    option_values[option.long] = ""
    if rest:
        remaining_words.insert(0, f"-{rest.lstrip('-')}")


def _complete(usage: Usage, name: str, word: str) -> Option:
    exact = [each for each in usage.options if each.long == name]
    fitting = exact or [each for each in usage.options if not each.exact and each.long.startswith(name)]
    if len(fitting) > 1:
        raise Refused(f"ambiguous option: {word}")
    if not fitting:
        raise Refused(f"invalid option: {word}")
    return fitting[0]


def _value(option: Option, argument: str | None, word: str, remaining_words: list[str]) -> str:
    if not option.value:
        return ""
    if argument is not None:
        return argument
    if not remaining_words:
        raise Refused(f"missing argument: {word}")
    return remaining_words.pop(0)


def _words(option: Option) -> str:
    long = f"--{option.long} {option.value}".strip()
    return f"-{option.short}, {long}" if option.short else f"    {long}"
