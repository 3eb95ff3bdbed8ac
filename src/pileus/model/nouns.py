"""All nouns by kind: what the store makes tables from and the CLI its lists."""

from __future__ import annotations

from pileus.model.certificate import Certificate
from pileus.model.credential import Credential
from pileus.model.dhcpoptionset import DhcpOptionSet
from pileus.model.egressgateway import EgressGateway
from pileus.model.flavor import Flavor
from pileus.model.floatingip import FloatingIp
from pileus.model.flowlog import FlowLog
from pileus.model.grant import Grant
from pileus.model.host import Host
from pileus.model.image import Image
from pileus.model.instance import Instance
from pileus.model.instanceprofile import InstanceProfile
from pileus.model.internetgateway import InternetGateway
from pileus.model.issuer import Issuer
from pileus.model.keypair import KeyPair
from pileus.model.launchtemplate import LaunchTemplate
from pileus.model.natgateway import NatGateway
from pileus.model.network import Network
from pileus.model.networkacl import NetworkAcl
from pileus.model.noun import Noun
from pileus.model.peering import Peering
from pileus.model.placementgroup import PlacementGroup
from pileus.model.port import Port
from pileus.model.prefixlist import PrefixList
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.routerattachment import RouterAttachment
from pileus.model.routetable import RouteTable
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.model.transittable import TransitTable
from pileus.model.user import User
from pileus.model.usergroup import UserGroup
from pileus.model.volume import Volume

NOUNS: dict[str, type[Noun]] = {
    cls.KIND: cls
    for cls in (
        Project,
        User,
        UserGroup,
        Grant,
        Credential,
        Issuer,
        Certificate,
        Flavor,
        Image,
        KeyPair,
        DhcpOptionSet,
        Router,
        Network,
        Subnet,
        PrefixList,
        SecurityGroup,
        PlacementGroup,
        LaunchTemplate,
        InstanceProfile,
        Instance,
        Volume,
        Port,
        FloatingIp,
        EgressGateway,
        InternetGateway,
        NatGateway,
        NetworkAcl,
        Peering,
        FlowLog,
        TransitGateway,
        RouterAttachment,
        TransitTable,
        RouteTable,
        Host,
    )
}

ENGINE: tuple[type[Noun], ...] = tuple(cls for cls in NOUNS.values() if cls.KEEPER == "engine")
"""The nouns that the network engine keeps, in the order of making."""
