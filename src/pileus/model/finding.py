"""Findings: what `pileus doctor` says of a cloud, each with a stable code, and what every code means.

A code never changes its meaning and is never used again for another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

Severity = Literal["error", "warning"]
"""error: something that was asked for is not so. warning: nothing is lost yet, or something is left over."""

Mend = Literal["", "repair", "adopt"]
"""The doctor's own mend on request: none, a repair (remove or set right), or adoption into the store."""


class Meaning(msgspec.Struct, frozen=True):
    """The meaning of one code: statement, consequence, remedy, and the `mend` that the doctor does on request."""

    severity: Severity
    says: str
    means: str
    do: str
    mend: Mend = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One disagreement, or one thing that the machine lacks. `kind` and `ident` name what it is about.

    `detail` says in words what was found; two looks that find the same have the same code, kind and ident.
    """

    code: str
    kind: str
    ident: str
    detail: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """The identity of the finding: code, kind and ident, equal whenever the doctor finds the same again."""
        return self.code, self.kind, self.ident

    @property
    def meaning(self) -> Meaning:
        """The meaning of the finding's code."""
        return MEANINGS[self.code]


_REPAIR = "`pileus doctor --repair` "
_WAIT = "If it stays, look into the log of the "
_UP = "`pileus up` starts what does not run."

MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {
        # -- the machine ---------------------------------------------------------------------------------------------
        "PackageMissing": Meaning(
            "error",
            "A program that the cloud calls is not installed.",
            "What needs it fails with a fault of the host.",
            "Run bin/setup.",
        ),
        "EngineMissing": Meaning(
            "error",
            "The network engine's root is not there, or older than this release needs.",
            "Networks cannot be started, or guests' connections break.",
            "Run bin/setup; then `pileus down` and `pileus up`.",
        ),
        "UserMissing": Meaning(
            "error", "There is no system user `pileus`.", "The cloud process cannot start.", "Run bin/setup."
        ),
        "TunMissing": Meaning(
            "error",
            "This machine has no /dev/net/tun.",
            "No instance can have a network interface.",
            "Load the module: modprobe tun. In a container, pass the device in.",
        ),
        "PacketsUnbounded": Meaning(
            "warning",
            "This machine's kernel refuses the program that bounds the packets which guests send.",
            "Instances run; one that sends very many small packets takes the switch's time from the others.",
            "Run Linux 5.18 or newer; in a container, leave it the capabilities CAP_BPF and CAP_NET_ADMIN.",
        ),
        "FiguresMissing": Meaning(
            "warning",
            "This machine cannot run lxcfs.",
            "Containers run, and are held to their sizes; `free`, `uptime` and the like show the machine's figures.",
            "Load the module: modprobe fuse. In a container, pass the device /dev/fuse in. Run bin/setup.",
        ),
        "SpaceLow": Meaning(
            "warning",
            "A file system that the cloud writes to is nearly full.",
            "Launches end in HostDiskFull, and guests whose disks grow are paused until there is room.",
            "Make room: terminate instances, or remove images from the cache that no instance of any cloud uses.",
        ),
        "StateReadOnly": Meaning(
            "error",
            "The state directory cannot be written.",
            "Nothing new is accepted or made; instances run on.",
            "Mount it writable again, or repair its file system; what was accepted goes on by itself then.",
        ),
        "StatePathTooLong": Meaning(
            "error",
            "The state directory's path is too long for the sockets below it.",
            "The cloud cannot start.",
            "Choose a shorter --state.",
        ),
        "ClockBack": Meaning(
            "warning",
            "The clock is behind times that the cloud has stored.",
            "What is due later waits until the clock is there again.",
            "Set the clock.",
        ),
        "MemoryLow": Meaning(
            "warning",
            "Little memory is left on this machine.",
            "The kernel may end guests or daemons; the daemons start again, guests too.",
            "Stop instances, or give the machine more memory.",
        ),
        "KernelLimitLow": Meaning(
            "warning",
            "A limit of the kernel's that all containers share is too low for those of this host.",
            "One container that uses all it may leaves too little to the others, and to the machine.",
            "Run the command, and write its setting to a file in /etc/sysctl.d; nothing of Pileus changes it.",
        ),
        "PartDown": Meaning(
            "error",
            "A process or daemon of a cloud that is up does not run.",
            "What it does waits; the supervisor starts it again, unless it is the supervisor.",
            _UP + " Its log says why it ended.",
        ),
        "PartSilent": Meaning(
            "error",
            "A process or daemon runs and does not answer.",
            "What it does waits for it.",
            "Look into its log; end that process, and it is started again.",
        ),
        "HostSilent": Meaning(
            "error",
            "The cloud has not heard of a host for longer than it may be silent.",
            "No instance is placed there, and what is shown of its instances is old.",
            "Look into the host's log; " + _UP,
        ),
        "HostUnheard": Meaning(
            "error",
            "The database was recovered without a host, and has something of it.",
            "Its instances and their ports are left as they are: what is asked of known ones waits,"
            " and those that are not known keep their addresses.",
            "Start that host: it is recovered when it reports. " + _UP,
        ),
        "StoreUnreadable": Meaning(
            "error",
            "The cloud's database is not there, or cannot be read.",
            "No API works; instances run on.",
            "Bring it back from a copy, or take it away: `pileus recover` makes it anew from what the hosts know.",
        ),
        # -- the store -----------------------------------------------------------------------------------------------
        "ClaimLeaked": Meaning(
            "warning",
            "A claim (address, MAC, name, place) is held by nothing that lives.",
            "Nobody else can have that value.",
            _REPAIR + "frees it.",
            "repair",
        ),
        "ClaimMissing": Meaning(
            "error",
            "A row that lives does not hold the claim to what it was given.",
            "The same value may be given away twice.",
            _REPAIR + "takes it, unless another holds it.",
            "repair",
        ),
        "UsageWrong": Meaning(
            "warning",
            "What a project or host is counted to use is not what its rows add up to.",
            "A quota, or a host, counts as fuller or emptier than it is.",
            _REPAIR + "counts anew.",
            "repair",
        ),
        "WakeLeaked": Meaning(
            "warning",
            "A wake is stored for a row that does not exist.",
            "A loop looks for it in vain.",
            _REPAIR + "removes it.",
            "repair",
        ),
        "WakeLate": Meaning(
            "warning",
            "A wake is overdue: no loop has taken it.",
            "The loops hang, or have far more to do than they can.",
            "Look into the cloud's log; `pileus status` says whether it runs.",
        ),
        "ReferenceBroken": Meaning(
            "error",
            "A row that lives refers to one that does not.",
            "Its loop fails, again and again.",
            "Terminate or delete it; report how it came about.",
        ),
        "NatGatewayCutOff": Meaning(
            "error",
            "A NAT gateway has no floating address, or no internet gateway is attached to its router.",
            "Guests whose routes lead to it reach nothing outside.",
            "Attach an internet gateway to its router, or delete the NAT gateway and make another one.",
        ),
        "PeeringUnlinked": Meaning(
            "error",
            "An active peering has no link, or one of its routers is gone or to go.",
            "No packet passes between its routers.",
            "Delete it and ask for another one; report how it came about.",
        ),
        "UserWithoutRole": Meaning(
            "warning",
            "A user with a password has no role in any project, by no grant of its own and by none of its groups.",
            "Its tokens are refused, and its access keys show who it is and do nothing else.",
            "`pileus grant create ROLE --user NAME --project NAME`, or delete the user.",
        ),
        "RightsUnconfirmed": Meaning(
            "warning",
            "The database was recovered, and nobody has confirmed its users, keys, grants and projects since.",
            "Rights that were taken away after the copy was made are there again, and those given since are lost.",
            "Look through `pileus user list`, `pileus credential list`, `pileus grant list` and `pileus project list`,"
            " and change what is not as it should be; then `pileus doctor --confirm`.",
        ),
        "RowUnreadable": Meaning(
            "error",
            "A row of the database cannot be decoded: it is damaged.",
            "Lists leave it out, requests for it are answered Unavailable, no loop works on it. It keeps its claims.",
            "Look for the cause, a failing disk perhaps. `pileus recover` makes the row anew where a host or the"
            " network engine holds a record of it; else restore the database from a backup.",
        ),
        "RowFaulty": Meaning(
            "warning",
            "A host or the network engine could not do what a row wants.",
            "It is tried again and again, with pauses.",
            "`pileus explain NOUN ID` shows the fault; docs/reference/errors.md what its code means.",
        ),
        "RowWaits": Meaning(
            "warning",
            "What was asked of a row has not come about for ten minutes.",
            "Something that it waits for does not happen.",
            "`pileus explain NOUN ID` says what it waits for.",
        ),
        "ObjectMissing": Meaning(
            "error",
            "The object store does not hold an image's bytes.",
            "No host that has not cached it can launch from the image.",
            "Deregister the image and add it anew.",
        ),
        # -- store and host ------------------------------------------------------------------------------------------
        "StoreBehind": Meaning(
            "error",
            "A host knows of orders that the store never gave: the database is an old copy.",
            "The store must not give orders before it has learnt what the hosts know.",
            "`pileus recover` takes it over.",
        ),
        "BookUnreadable": Meaning(
            "error",
            "An order that this host holds, or its count of its own starts, cannot be read: the file is damaged.",
            "The host sets it aside when it starts, and the cloud gives it again; instances run on.",
            "Look for the cause, a failing disk perhaps; then remove the file from host/damaged/ of the state"
            " directory. An instance that no row names is taken in by `pileus doctor --adopt ID`.",
        ),
        "OrderMissing": Meaning(
            "error",
            "A row is placed on this host, and its host holds no order for it.",
            "Nothing keeps the instance as it is wanted.",
            "The cloud sends the order again. " + _WAIT + "host.",
        ),
        "OrderBehind": Meaning(
            "error",
            "A row counts as done, and its host holds another order than the last one.",
            "The instance is not what it is said to be.",
            _WAIT + "host.",
        ),
        "OrderUnknown": Meaning(
            "warning",
            "This host holds an order, and keeps its instance, that no row names.",
            "The instance runs and no API shows it.",
            "`pileus doctor --adopt UUID` takes it into the store; terminate it there if nobody wants it.",
            "adopt",
        ),
        "OrderLeaked": Meaning(
            "warning",
            "This host holds an order for an instance that was confirmed to be gone.",
            "The instance may run, and no API shows it.",
            _REPAIR + "has the host remove it, with its disk.",
            "repair",
        ),
        # -- libvirt -------------------------------------------------------------------------------------------------
        "DomainMissing": Meaning(
            "error",
            "libvirt, or LXC, does not know an instance that its host has made.",
            "The instance does not run.",
            "The host makes it again from its disk. " + _WAIT + "host.",
        ),
        "DomainPower": Meaning(
            "error",
            "An instance runs, or does not, other than its host says.",
            "What the API shows of it is wrong.",
            _WAIT + "host.",
        ),
        "DomainLeaked": Meaning(
            "warning",
            "A guest is left whose removal this host has confirmed.",
            "It uses memory and disk, and no API shows it.",
            _REPAIR + "removes it, with its disk.",
            "repair",
        ),
        "DomainUnknown": Meaning(
            "warning",
            "A guest of Pileus is there that no order names.",
            "It is left alone for ever, and no API shows it.",
            "`pileus doctor --adopt UUID` takes it into the store; terminate it there if nobody wants it.",
            "adopt",
        ),
        "DomainForeign": Meaning(
            "warning",
            "This cloud's libvirt has a guest that Pileus did not make.",
            "It is left alone, and takes memory that placement knows nothing of.",
            "Move it to a libvirt of its own.",
        ),
        "ProcessUnknown": Meaning(
            "error",
            "A QEMU of this cloud runs that its libvirt does not know.",
            "Nothing controls it; it may write to a disk that another QEMU is given.",
            "Find out what it is, and end that process by hand.",
        ),
        # -- disk ----------------------------------------------------------------------------------------------------
        "FolderLeaked": Meaning(
            "warning",
            "The folder of an instance is left whose removal is known.",
            "Its disk takes space.",
            _REPAIR + "removes it.",
            "repair",
        ),
        "FolderUnknown": Meaning(
            "warning",
            "A folder lies beside the instances' that belongs to none that is known.",
            "It is left alone for ever; a disk in it may be all that is left of an instance.",
            "Look into it; move what is of worth, and remove it by hand.",
        ),
        "CaptureLeaked": Meaning(
            "warning",
            "A capture is left whose removal is known.",
            "It takes space.",
            _REPAIR + "removes it.",
            "repair",
        ),
        "CaptureUnknown": Meaning(
            "warning",
            "A capture is there that no order names.",
            "It is left alone for ever; it may be all that is left of an instance.",
            "`pileus image add` takes its file `image` in; then remove the folder by hand.",
        ),
        "DiskMissing": Meaning(
            "error",
            "The disk of an instance is not there.",
            "Its data is lost; it is not made anew.",
            "Bring the file back from a copy, or terminate the instance.",
        ),
        "BaseMissing": Meaning(
            "error",
            "The image that an instance's disk leans on is not in the cache.",
            "A guest that runs goes on until it is stopped; it cannot start then without the image.",
            "A start fetches it again from the cloud. If the image was deregistered, bring the file back from a copy.",
        ),
        "CacheLeaked": Meaning(
            "warning",
            "The cache holds part of an image that nobody is fetching.",
            "It takes space.",
            _REPAIR + "removes it.",
            "repair",
        ),
        "CacheWrong": Meaning(
            "error",
            "A cached image does not have the size that it was registered with.",
            "Instances that start from it are damaged.",
            "Terminate the instances that lean on it and remove the file: the next launch fetches it again.",
        ),
        # -- networks ------------------------------------------------------------------------------------------------
        "TapLeaked": Meaning(
            "warning",
            "A network interface is left that belongs to no instance.",
            "It does no harm, unless many gather.",
            _REPAIR + "removes it, unless a process uses it.",
            "repair",
        ),
        "TapMissing": Meaning(
            "error",
            "A running instance's network interface is not there.",
            "The instance is cut off.",
            "Stop and start the instance.",
        ),
        "PlugLeaked": Meaning(
            "warning",
            "The switch has a port for an interface that belongs to nothing.",
            "It does no harm, unless many gather.",
            _REPAIR + "removes it.",
            "repair",
        ),
        "PlugMissing": Meaning(
            "error",
            "A running instance's interface is not plugged into the switch.",
            "The instance is cut off.",
            "Stop and start the instance.",
        ),
        "NamespaceLeaked": Meaning(
            "warning",
            "A network namespace, or its link, is left of a network without instances on this host.",
            "It does no harm, unless many gather.",
            _REPAIR + "removes it.",
            "repair",
        ),
        "NamespaceMissing": Meaning(
            "error",
            "The namespace of a network with instances is not there.",
            "They have no metadata and no names, and cannot be reached by their loopback addresses.",
            "The host makes it within half a minute. " + _WAIT + "host.",
        ),
        "ListenerLeaked": Meaning(
            "warning",
            "The host listens on a loopback address for no instance that it holds.",
            "Who connects there is turned away.",
            "Report how it came about; it goes with the host process.",
        ),
        "ListenerMissing": Meaning(
            "error",
            "The host accepts nothing at a port of an instance's loopback address that its groups admit.",
            "Plain connections to it fail.",
            "See what else of this machine uses that address and port. " + _WAIT + "host.",
        ),
        "ListenerLeftOut": Meaning(
            "warning",
            "This kernel has no sk_lookup programs, and a bound leaves a port of an instance without a listener.",
            "Plain connections to that port of its loopback address are refused; all other ways lead there.",
            "Use `pileus connect`, admit fewer ports, or use Linux 5.9 or newer.",
        ),
        "OvnMissing": Meaning(
            "error",
            "A row counts as done, and OVN's database does not have it.",
            "Its packets do not flow as they should.",
            "The cloud writes it again within half a minute. " + _WAIT + "cloud.",
        ),
        "OvnBehind": Meaning(
            "error",
            "OVN's database has a row by another order than the last one.",
            "Its packets flow by older rules.",
            "The cloud writes it again within half a minute. " + _WAIT + "cloud.",
        ),
        "OvnGroupsWrong": Meaning(
            "error",
            "A port is in other groups in OVN than it should be.",
            "It may be open, or closed, where it should not.",
            "The cloud writes it again within half a minute. " + _WAIT + "cloud.",
        ),
        "OvnRulesWrong": Meaning(
            "error",
            "A security group has other rules in OVN than it should.",
            "Its members may be open, or closed, where they should not.",
            "The cloud writes it again within half a minute. " + _WAIT + "cloud.",
        ),
        "OvnHalfLinked": Meaning(
            "error",
            "A router's end of a peering names another end that OVN's database does not hold.",
            "No packet passes between the routers.",
            "The cloud writes it again within half a minute. " + _WAIT + "cloud.",
        ),
        "OvnLeaked": Meaning(
            "warning",
            "OVN's database holds what was confirmed to be gone.",
            "It does no harm, unless many gather.",
            _REPAIR + "removes it.",
            "repair",
        ),
        "OvnUnknown": Meaning(
            "warning",
            "OVN's database holds a row of Pileus that no row of the store names, living or gone.",
            "It is left alone.",
            "After `pileus recover` it belongs to something again. If it does not, remove it by ovn-nbctl.",
        ),
        "OvnForeign": Meaning(
            "warning",
            "OVN's database holds a row that Pileus did not make.",
            "It is left alone; it may open what groups close.",
            "Remove it by ovn-nbctl, unless you know what it is for.",
        ),
    }
)
"""Code → meaning."""
