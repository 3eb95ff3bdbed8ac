"""The options and help texts of each tool."""

from __future__ import annotations

from pileus.cli.mcc.options import Option, Usage

HELP = Option("h", "help", "", "Show this help")
JSON = Option("", "json", "", "Print JSON", exact=True)
STRICT = Option("", "strict", "", "Exit with status 1 when it fails", exact=True)
INSTANCE = Option("i", "instance", "ID", "The id of an instance")
ONLY = INSTANCE._replace(text="This one alone, running or not")
KEY = Option("n", "name", "KEYNAME", "What the key is called")
_OPTIONS = ("", "Options:", "")


def _usage(line: str, what: str, options: tuple[Option, ...], *example: str) -> Usage:
    return Usage(f"Usage: {line}", (what, *_OPTIONS), options, ("", "Example:", "", *example) if example else ())


LIST_IMAGES = _usage("mcc-list-images", "List the images", (HELP, JSON))
LIST_TYPES = _usage("mcc-list-instance-types", "List the sizes of instances", (HELP, JSON))
LIST_KEYS = _usage("mcc-list-keys", "List the public keys in ~/.mcc/keys", (HELP, JSON))
ADD_KEY = _usage(
    "mcc-add-key -n NAME -p PUBKEY",
    "Keep a public key in ~/.mcc/keys",
    (KEY, Option("p", "public-key", "PUBKEY", "The key itself, as in a .pub file of ssh"), HELP),
    '$ mcc-add-key -n my-key -p "ssh-ed25519 AAAA... me@laptop"',
)
DESTROY_KEY = _usage(
    "mcc-destroy-key -n KEYNAME",
    "Forget a public key in ~/.mcc/keys; those in ~/.ssh stay",
    (KEY, HELP, STRICT),
    "$ mcc-destroy-key -n my-key",
)
RUN = _usage(
    "mcc-run-instance -i IMAGE -t TYPE -k KEY [-n NAME]",
    "Run an instance",
    (
        Option("i", "image", "IMAGE", "One of mcc-list-images"),
        Option("t", "instance-type", "TYPE", "One of mcc-list-instance-types"),
        Option("k", "public-key", "KEY", "One of mcc-list-keys: whoever has the other half may log in"),
        Option("n", "name", "NAME", "What the instance is called"),
        HELP,
        JSON,
    ),
    "$ mcc-run-instances -i debian-12-container -t basic -k my-key -n web",
)
LIST_INSTANCES = _usage(
    "mcc-list-instances [OPTIONS]",
    "List instances: those that run",
    (Option("a", "all", "", "And those that do not"), ONLY, HELP, JSON),
)
DESTROY_INSTANCE = _usage(
    "mcc-destroy-instance -i INSTANCE",
    "Destroy an instance",
    (INSTANCE, HELP, STRICT),
    "$ mcc-destroy-instance -i 500",
)
SERVER = _usage(
    "mccserver [OPTIONS]",
    "A cloud of containers for the mcc tools",
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
    "$ sudo mccserver -r 10.0.0.100-10.0.0.200",
)
