"""Command lines as Ruby's OptionParser reads them: each line was compared with what that library does."""

from __future__ import annotations

import pytest

from pileus.cli.mcc.options import Option, Refused, Usage, parse

USAGE = Usage(
    "Usage: x",
    ("text",),
    (
        Option("i", "image", "IMAGE", "an image"),
        Option("t", "instance-type", "TYPE", "a type"),
        Option("k", "public-key", "KEY", "a key"),
        Option("n", "name", "NAME", "a name"),
        Option("a", "all", "", "all"),
        Option("h", "help", "", "help"),
        Option("", "json", "", "ours", exact=True),
    ),
    ("", "end"),
)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("-i x", {"image": "x"}),
        ("-ix", {"image": "x"}),
        ("-i=x", {"image": "=x"}),
        ("--im x", {"image": "x"}),
        ("--IMAGE x", {"image": "x"}),
        ("--instance_type x", {"instance-type": "x"}),
        ("--image=x=y", {"image": "x=y"}),
        ("--image=", {"image": ""}),
        ("-i -k", {"image": "-k"}),
        ("-p k", {"public-key": "k"}),
        ("-anq", {"all": "", "name": "q"}),
        ("-aa", {"all": ""}),
        ("one -a two", {"all": ""}),
        ("-- -x", {}),
        ("- -a", {"all": ""}),
        ("--json", {"json": ""}),
        ("-h --nonsense", {"help": ""}),
    ],
)
def test_lines_that_can_be_read(line: str, found: dict[str, str]) -> None:
    assert parse(USAGE, line.split()) == found


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--foo", "invalid option: --foo"),
        ("--foo=b", "invalid option: --foo=b"),
        ("-x", "invalid option: -x"),
        ("-xfoo", "invalid option: -xfoo"),
        ("-i", "missing argument: -i"),
        ("--na", "missing argument: --na"),
        ("--i x", "ambiguous option: --i"),
        ("--all=1", "needless argument: --all=1"),
        ("-a=1", "needless argument: -a=1"),
        ("--js", "invalid option: --js"),
        ("-j", "invalid option: -j"),
    ],
)
def test_lines_that_cannot(line: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(USAGE, line.split())
    assert str(caught.value) == why


def test_usage_stands_in_rubys_columns() -> None:
    assert str(USAGE).splitlines()[:4] == [
        "Usage: x",
        "text",
        "    -i, --image IMAGE                an image",
        "    -t, --instance-type TYPE         a type",
    ]
    assert str(USAGE).endswith("        --json                       ours\n\nend\n")
