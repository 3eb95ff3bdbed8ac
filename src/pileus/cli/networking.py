"""`pileus router`, `network`, `subnet`, `port`, `group` and the other nouns that networks are made of."""

from __future__ import annotations

from pileus.cli.nouncommands import TAGS, Field, NounCommand, NounCommands

_ROUTER = Field("router", "A router, by id or name.")
_ON_ROUTER = Field("router", "A router, by id or name.", required=True)
_SUBNET = Field("subnet", "A subnet, by id or name.", required=True)
_CIDR = Field("cidr", "A range of addresses: 10.1.0.0/16.", required=True)
_NAME = Field("name", "Its name.", required=True)
_DIRECTION = Field("direction", "ingress, or egress.")
_ACTION = Field("action", "allow, or deny.")
_PORT_MIN, _PORT_MAX = Field("port_min", "The lowest port.", int), Field("port_max", "The highest port.", int)
_NUMBER = Field("number", "Its number: the lowest that fits decides.", int, required=True)
_EGRESS = Field("egress", "Of packets that leave the subnet.", bool)
_GATEWAY = Field("transitgateway", "A transit gateway, by id or name.", required=True)
_ATTACHMENT = Field("attachment", "The attachment of a router, by id.", required=True)
_REPLACE = Field("replace", "It takes the place of the present one.", bool)

NOUNS = (
    NounCommands(
        "router",
        "Routers, each with the ranges of its networks; EC2 calls one a VPC.",
        (
            NounCommand(
                "create",
                "Make a router for subnets in a range.",
                (_CIDR, Field("ipv6", "It has a range of the cloud's IPv6 addresses, too.", bool), TAGS),
            ),
            NounCommand(
                "modify",
                "Change what guests are told of names.",
                (
                    Field("dns_support", "Guests are told of the resolver.", bool),
                    Field("dns_hostnames", "Public addresses have names.", bool),
                    Field("dhcpoptionset", "A set of DHCP options, by id."),
                ),
                "-",
            ),
            NounCommand("add-range", "Give it a further range.", (_CIDR,), "ranges"),
            NounCommand("add-ipv6", "Give it a range of the cloud's IPv6 addresses.", (), "ipv6"),
            NounCommand("remove-range", "Take a further range away, or one of IPv6.", (_CIDR,), "ranges/remove"),
        ),
    ),
    NounCommands(
        "network",
        "Networks, each a broadcast domain of its own.",
        (
            NounCommand(
                "create",
                "Make a network; without a router nothing leads out of it.",
                (Field("name", "Its name."), _ROUTER, TAGS),
            ),
            NounCommand("join", "Join a network to a router.", (_ON_ROUTER,)),
            NounCommand("part", "Part a network from its router."),
        ),
    ),
    NounCommands(
        "subnet",
        "Subnets, the ranges that ports have their addresses from.",
        (
            NounCommand(
                "create",
                "Make a subnet on a network, or on a router with a network of its own.",
                (
                    _CIDR,
                    Field("network", "A network, by id or name."),
                    _ROUTER,
                    Field("zone", "A zone."),
                    Field("ipv6", "A /64 of the router's, or auto."),
                    Field("ipv6_mode", "dhcpv6, or slaac: guests form their addresses."),
                    TAGS,
                ),
            ),
            NounCommand(
                "modify",
                "Change a subnet.",
                (
                    Field("map_public", "Instances of later launches have public addresses.", bool),
                    Field("assign_ipv6", "New ports have an address of IPv6.", bool),
                ),
                "-",
            ),
            NounCommand(
                "add-ipv6",
                "Give a subnet a range of IPv6.",
                (Field("cidr", "A /64 of the router's; by default the lowest free one."),),
                "ipv6",
            ),
            NounCommand("remove-ipv6", "Take its range of IPv6 away.", (), "ipv6/remove"),
        ),
    ),
    NounCommands(
        "port",
        "Ports, the network interfaces of instances.",
        (
            NounCommand(
                "create",
                "Make a port that no instance has.",
                (
                    _SUBNET,
                    Field("address", "By default the lowest free one."),
                    Field("ipv6_addresses", "An address of IPv6; repeatable.", list, option="ipv6-address"),
                    Field("ipv6_count", "How many addresses of IPv6 it has; by default as the subnet says.", int),
                    Field("groups", "A security group, by id or name; repeatable.", list, option="group"),
                    Field(
                        "network_tags",
                        "A tag by which rules select it; repeatable.",
                        list,
                        option="network-tag",
                    ),
                    Field("description", "A description."),
                    TAGS,
                ),
            ),
            NounCommand(
                "modify",
                "Change a port.",
                (
                    Field(
                        "groups",
                        "In place of its own; repeatable.",
                        list,
                        option="group",
                    ),
                    Field(
                        "network_tags",
                        "In place of its own; repeatable.",
                        list,
                        option="network-tag",
                    ),
                    Field("description", "A description."),
                    Field("forwards", "It may send from, and be sent to, addresses that are not its own.", bool),
                ),
                "-",
            ),
            NounCommand(
                "attach",
                "Give a port to an instance, while that runs too.",
                (
                    Field("instance", "An instance, by id or name.", required=True),
                    Field("index", "The device index, 1 to 3.", int),
                ),
            ),
            NounCommand("detach", "Take a port from its instance, while that runs too."),
        ),
    ),
    NounCommands(
        "securitygroup",
        "Security groups, whose rules say which packets reach and leave ports.",
        (
            NounCommand(
                "create",
                "Make a group for a router, by default the project's own, or for all networks of the project.",
                (
                    _NAME,
                    Field("description", "A description."),
                    _ROUTER,
                    Field("of_project", "For all networks of the project.", bool),
                    TAGS,
                ),
            ),
            NounCommand(
                "add-rule",
                "Add a rule, which has one other side: a range, a group, a prefix list or a network tag.",
                (
                    _DIRECTION,
                    _ACTION,
                    Field("priority", "0 to 65535: the lowest that fits decides. A rule that denies needs one.", int),
                    Field("protocol", "tcp, udp, icmp, icmpv6 or all."),
                    _PORT_MIN,
                    _PORT_MAX,
                    Field("cidr", "A range of addresses."),
                    Field("group", "A security group, by id or name."),
                    Field("prefixlist", "A prefix list, by id or name."),
                    Field("tag", "A network tag."),
                    Field(
                        "targets",
                        "A tag of the ports that it holds for; repeatable.",
                        list,
                        option="target",
                    ),
                    Field("description", "A description."),
                ),
                "rules",
            ),
            NounCommand(
                "remove-rule",
                "Take a rule away.",
                (Field("rules", "The id of a rule; repeatable.", list, option="rule"),),
                "rules/remove",
            ),
        ),
        "group",
    ),
    NounCommands(
        "routetable",
        "Route tables, which say where packets of their subnets go.",
        (
            NounCommand("create", "Make a route table for a router.", (_ON_ROUTER, TAGS)),
            NounCommand(
                "add-route",
                "Lead a range to an instance, a port, a peering or a gateway.",
                (
                    _CIDR,
                    Field(
                        "target",
                        "instance, port, peering, egressgateway, internetgateway, natgateway or transitgateway.",
                        required=True,
                    ),
                    Field("to", "The id of that noun.", required=True),
                    _REPLACE,
                ),
                "routes",
            ),
            NounCommand("remove-route", "Take a route away.", (_CIDR,), "routes/remove"),
            NounCommand("associate", "Have a subnet go by it.", (_SUBNET,)),
            NounCommand("disassociate", "Have a subnet go by the main table.", (_SUBNET,)),
        ),
    ),
    NounCommands(
        "internetgateway",
        "Internet gateways, by which routers lead outside.",
        (
            NounCommand("create", "Make an internet gateway.", (TAGS,)),
            NounCommand("attach", "Attach it to a router.", (_ON_ROUTER,)),
            NounCommand("detach", "Detach it from its router.", (_ON_ROUTER,)),
        ),
    ),
    NounCommands(
        "egressgateway",
        "Egress-only gateways, by which guests open connections of IPv6, and nobody outside to them.",
        (NounCommand("create", "Make an egress-only gateway for a router.", (_ON_ROUTER, TAGS)),),
    ),
    NounCommands(
        "transitgateway",
        "Transit gateways, each a router between routers.",
        (NounCommand("create", "Make a transit gateway.", (Field("description", "A description."), TAGS)),),
    ),
    NounCommands(
        "routerattachment",
        "Attachments of routers to transit gateways.",
        (
            NounCommand(
                "create",
                "Attach a router to a transit gateway.",
                (
                    _GATEWAY,
                    _ON_ROUTER,
                    Field("subnets", "One of its subnets, by id or name; repeatable.", list, option="subnet"),
                    TAGS,
                ),
            ),
        ),
    ),
    NounCommands(
        "natgateway",
        "NAT gateways, by which subnets without public addresses reach outside.",
        (
            NounCommand(
                "create",
                "Make a NAT gateway in a subnet.",
                (
                    _SUBNET,
                    Field("floatingip", "The id of a free floating address.", required=True),
                    Field("address", "Its own in the subnet; by default the lowest free one."),
                    TAGS,
                ),
            ),
        ),
    ),
    NounCommands(
        "networkacl",
        "Network ACLs, which judge packets that cross a subnet's border.",
        (
            NounCommand("create", "Make an ACL, which denies everything.", (_ON_ROUTER, TAGS)),
            NounCommand(
                "add-entry",
                "Add an entry.",
                (
                    _NUMBER,
                    _EGRESS,
                    _ACTION,
                    Field("protocol", "A protocol's number; -1 is all.", int),
                    Field("cidr", "A range of addresses; by default all."),
                    _PORT_MIN,
                    _PORT_MAX,
                    _REPLACE,
                ),
                "entries",
            ),
            NounCommand("remove-entry", "Take an entry away.", (_NUMBER, _EGRESS), "entries/remove"),
            NounCommand("associate", "Have a subnet's packets judged by it.", (_SUBNET,)),
        ),
    ),
    NounCommands(
        "peering",
        "Peerings, the links between two routers.",
        (
            NounCommand(
                "create",
                "Ask for a link with another router.",
                (
                    _ON_ROUTER,
                    Field("peer", "The other router's id.", required=True),
                    Field("account", "The account number of its project; by default the own one."),
                    TAGS,
                ),
            ),
            NounCommand("accept", "Accept a request."),
            NounCommand("reject", "Reject a request."),
        ),
    ),
    NounCommands(
        "dhcpoptionset",
        "Sets of DHCP options, which routers give to guests.",
        (
            NounCommand(
                "create",
                "Make a set of DHCP options.",
                (
                    Field("domain", "The domain of guests."),
                    Field(
                        "servers",
                        "A resolver; `resolver` is the cloud's own. Repeatable.",
                        list,
                        option="server",
                    ),
                    Field("ntp", "A time server; repeatable.", list),
                    TAGS,
                ),
            ),
        ),
    ),
    NounCommands(
        "prefixlist",
        "Prefix lists, ranges that rules and routes name together.",
        (
            NounCommand(
                "create",
                "Make a prefix list.",
                (
                    _NAME,
                    Field("max_entries", "How many entries it may have.", int, required=True),
                    Field("entries", "A range; repeatable.", list, members="cidr", option="entry"),
                    TAGS,
                ),
            ),
            NounCommand(
                "modify",
                "Change a prefix list.",
                (
                    Field("add", "A range; repeatable.", list, members="cidr"),
                    Field("remove", "A range to take away; repeatable.", list),
                    Field("max_entries", "How many entries it may have.", int),
                    Field("current", "The version that is expected, where entries change.", int),
                ),
                "-",
            ),
        ),
    ),
    NounCommands("launchtemplate", "Launch templates, by which instances are launched over the EC2 API."),
    NounCommands(
        "placementgroup",
        "Placement groups, whose instances share a host or stand apart.",
        (
            NounCommand(
                "create",
                "Make a placement group.",
                (_NAME, Field("policy", "affinity, anti-affinity, soft-affinity or soft-anti-affinity."), TAGS),
            ),
        ),
    ),
    NounCommands(
        "transittable",
        "Route tables of transit gateways.",
        (
            NounCommand("create", "Make a route table for a transit gateway.", (_GATEWAY, TAGS)),
            NounCommand(
                "add-route",
                "Lead a range through an attachment, or without one nowhere.",
                (_CIDR, Field("attachment", "The attachment of a router, by id."), _REPLACE),
                "routes",
            ),
            NounCommand("remove-route", "Take a route away.", (_CIDR,), "routes/remove"),
            NounCommand("associate", "Have an attachment's packets go by it.", (_ATTACHMENT,)),
            NounCommand("disassociate", "Have an attachment's packets go by no table.", (_ATTACHMENT,)),
            NounCommand("propagate", "Learn the ranges of an attachment's router.", (_ATTACHMENT,)),
            NounCommand("ignore", "Learn these ranges no longer.", (_ATTACHMENT,)),
        ),
    ),
)
"""The commands of each noun of networks."""
