"""`pileus image`, `key` and `flavor`: the commands that are rows of a table; others stand beside them."""

from __future__ import annotations

from pileus.cli.nouncommands import TAGS, Field, NounCommand, NounCommands

_DESCRIPTION = Field("description", "A description.")

IMAGE = NounCommands(
    "image",
    "Images.",
    (
        NounCommand(
            "copy",
            "Make an image of the project with the bytes of another, which may go then.",
            (Field("name", "Its name.", required=True), _DESCRIPTION, TAGS),
        ),
        NounCommand(
            "share",
            "Let other projects launch from it.",
            (Field("add", "The account number of a project; several may be said.", list, required=True),),
            "-",
        ),
        NounCommand(
            "unshare",
            "Let other projects launch from it no longer; their instances run on.",
            (Field("remove", "The account number of a project; several may be said.", list, required=True),),
            "-",
        ),
        NounCommand(
            "modify",
            "Change its description, or who sees it.",
            (_DESCRIPTION, Field("public", "Every project may launch from it.", bool)),
            "-",
        ),
    ),
)

KEY = NounCommands("keypair", "Key pairs.", word="key")
FLAVOR = NounCommands("flavor", "Flavors, the sizes of instances.", stays=True)
ADDRESS = NounCommands(
    "floatingip",
    "Floating addresses, which lead from the outside network to instances.",
    word="address",
    stays=True,
)

NOUNS = (IMAGE, KEY, FLAVOR, ADDRESS)
"""These nouns; their other commands are functions."""
