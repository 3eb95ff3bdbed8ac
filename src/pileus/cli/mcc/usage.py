"""What each tool takes, and says of itself."""

from __future__ import annotations

from pileus.cli.mcc.options import Option, Usage

HELP = Option("h", "help", "", "Show this help")
JSON = Option("", "json", "", "Print JSON", exact=True)
STRICT = Option("", "strict", "", "Exit with status 1 when it fails", exact=True)
INSTANCE = Option("i", "instance", "ID", "The id of an instance")
ONLY = INSTANCE._replace(text="This one alone, running or not")
KEY = Option("n", "name", "KEYNAME", "What the key is called")
_OPTIONS = ("", "Options:", "")


def _example(*lines: str) -> tuple[str, ...]:
    return ("", "Example:", "", *lines)


LIST_IMAGES = Usage("Usage: mcc-list-images", ("List the images", *_OPTIONS), (HELP, JSON))
LIST_TYPES = Usage("Usage: mcc-list-instance-types", ("List the sizes of instances", *_OPTIONS), (HELP, JSON))
LIST_KEYS = Usage("Usage: mcc-list-keys", ("List the public keys in ~/.mcc/keys", *_OPTIONS), (HELP, JSON))
ADD_KEY = Usage(
    "Usage: mcc-add-key -n NAME -p PUBKEY",
    ("Keep a public key in ~/.mcc/keys", *_OPTIONS),
    (KEY, Option("p", "public-key", "PUBKEY", "The key itself, as in a .pub file of ssh"), HELP),
    _example('$ mcc-add-key -n my-key -p "ssh-ed25519 AAAA... me@laptop"'),
)
DESTROY_KEY = Usage(
    "Usage: mcc-destroy-key -n KEYNAME",
    ("Forget a public key in ~/.mcc/keys; those in ~/.ssh stay", *_OPTIONS),
    (KEY, HELP, STRICT),
    _example("$ mcc-destroy-key -n my-key"),
)
RUN = Usage(
    "Usage: mcc-run-instance -i IMAGE -t TYPE -k KEY [-n NAME]",
    ("Run an instance", *_OPTIONS),
    (
        Option("i", "image", "IMAGE", "One of mcc-list-images"),
        Option("t", "instance-type", "TYPE", "One of mcc-list-instance-types"),
        Option("k", "public-key", "KEY", "One of mcc-list-keys: whoever has the other half may log in"),
        Option("n", "name", "NAME", "What the instance is called"),
        HELP,
        JSON,
    ),
    _example("$ mcc-run-instances -i debian-12-container -t basic -k my-key -n web"),
)
LIST_INSTANCES = Usage(
    "Usage: mcc-list-instances [OPTIONS]",
    ("List instances: those that run", *_OPTIONS),
    (
        Option("a", "all", "", "And those that do not"),
        ONLY,
        HELP,
        JSON,
    ),
)
DESTROY_INSTANCE = Usage(
    "Usage: mcc-destroy-instance -i INSTANCE",
    ("Destroy an instance", *_OPTIONS),
    (INSTANCE, HELP, STRICT),
    _example("$ mcc-destroy-instance -i 500"),
)
SERVER = Usage(
    "Usage: mccserver [OPTIONS]",
    ("A cloud of containers for the mcc tools", *_OPTIONS),
    (
        Option("p", "port", "PORT", "Where it listens; 8080 by default"),
        Option("l", "listen", "ADDRESS", "The address there; 0.0.0.0 by default"),
        Option("r", "iprange", "RANGE", "FIRST-LAST of the instances' addresses; 192.168.1.1-192.168.1.254 by default"),
        Option("f", "foreground", "", "Log to the terminal, and end with ^C; instances run on"),
        HELP,
        Option("", "stop", "", "End it; instances run on", exact=True),
        Option("", "state", "DIR", "Where it keeps its things; PILEUS_STATE, else /var/lib/pileus/mcc", exact=True),
        Option("", "provider", "NAME", "local (containers, needs root) or stub", exact=True),
    ),
    _example("$ sudo mccserver -r 10.0.0.100-10.0.0.200"),
)
