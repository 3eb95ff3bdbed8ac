"""A cloud without hosts or networks behind it, and boto3 clients that speak to its EC2 face without sockets."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import boto3
import msgspec
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from defusedxml.ElementTree import fromstring

from pileus.faces.ec2.face import Ec2Face
from pileus.faces.iam import FACE as IAM
from pileus.faces.iam.face import IamFace
from pileus.faces.wire import signing
from pileus.faces.wire.face import RequestHead
from pileus.faces.wire.http import Request, Response
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Unavailable
from pileus.model.host import LOST_AFTER, Capacity, Host, ProviderLimits
from pileus.model.host import Seen as HostSeen
from pileus.model.host import Wanted as HostWanted
from pileus.model.ids import new_uuid
from pileus.model.image import Image
from pileus.model.image import Wanted as ImageWanted
from pileus.model.instance import Instance, Seen
from pileus.model.noun import SeenFault
from pileus.model.port import Port
from pileus.model.user import User
from pileus.model.user import Wanted as UserWanted
from pileus.model.volume import Volume
from pileus.rules import credential, grant
from pileus.rules.core import Core
from pileus.rules.credential import Authority
from pileus.verbs import flavor, image, project
from tests import databases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef
    from mypy_boto3_sts import STSClient

    from pileus.bus.messages import Ask, Open, Order
    from pileus.model.provider import Access, BodyRef, SeenBody

__all__ = ["Account", "Cloud", "code_of", "filtered", "refused"]

_session = functools.cache(boto3.session.Session)
"""One for all: each session reads the service models anew."""

_NAMES = itertools.count(1)


def filtered(name: str, *values: str) -> list[FilterTypeDef]:
    """Return one filter, as boto3 takes it."""
    return [{"Name": name, "Values": list(values)}]


@contextmanager
def refused(code: str, status: int = 400, match: str = "") -> Iterator[None]:
    """Expect a boto3 call to fail with this code and status, and a message that has `match` in it."""
    with pytest.raises(ClientError) as caught:
        yield
    error = caught.value.response
    assert error["Error"]["Code"] == code, error["Error"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    assert match in error["Error"]["Message"]
    assert error["Error"]["Message"]


def code_of(response: Response) -> str:
    """Return the error code in an answer; '' for a good one."""
    found = fromstring(response.body).find(".//{*}Code") if response.status >= 300 else None
    return found.text or "" if found is not None else ""


class Silent:
    """Hosts that take every order and open nothing; `console` is what an instance wrote, if anything."""

    def __init__(self) -> None:
        self.access: Access | None = None
        self.opened: list[Open] = []

    def send(self, host: str, order: Order | Ask) -> None:
        """Take an order."""

    def open(self, host: str, request: Open) -> Access:
        """Give the access that a test laid out."""
        self.opened.append(request)
        if self.access is None:
            raise Unavailable("There is no host.", noun="host")
        return self.access


class NoNetworks:
    """A provider of networks that does nothing."""

    handles = frozenset[str]()
    limits = ProviderLimits()

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """See nothing."""

    def scan(self) -> Iterator[SeenBody]:
        """See nothing."""
        return iter(())

    def ensure(self, spec: Any) -> None:
        """Do nothing."""

    def remove(self, ref: BodyRef) -> None:
        """Do nothing."""

    def watch(self, report: Any) -> None:
        """Report nothing."""

    def open(self, ref: BodyRef, channel: Any, port: int = 0) -> Access:
        """Open nothing."""
        raise Unavailable("There are no networks.")


class _Acting:
    """The one EC2 client of a cloud, which signs for one account whatever that calls: making a client takes 12 ms."""

    def __init__(self, account: Account, client: Any) -> None:
        self._account = account
        self._client = client

    def __getattr__(self, name: str) -> Any:
        credentials = self._client._request_signer._credentials
        credentials.access_key, credentials.secret_key = self._account.access_key, self._account.secret_key
        return getattr(self._client, name)


class Account:
    """A user in a project of its own, and clients that act for it."""

    def __init__(self, cloud: Cloud, access_key: str, secret_key: str) -> None:
        self.cloud = cloud
        self.access_key = access_key
        self.secret_key = secret_key
        caller = cloud.authority.by_access_key(access_key, "test")
        assert caller is not None
        self.caller: Caller = caller
        self.name = caller.user_name
        self.number = caller.account_id

    def client(self, service: str, token: str | None = None, **config: Any) -> Any:
        """Return a boto3 client whose requests go to the face, signed and parsed as always."""
        client = _session().client(  # type: ignore[call-overload]
            service,
            region_name="us-east-1",
            endpoint_url="http://cloud.test/",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )
        client.meta.events.register("before-send", self.cloud.answer)
        return client

    def post(
        self,
        service: str = "ec2",
        *,
        now: float | None = None,
        params: Mapping[str, str] | None = None,
        **more: str,
    ) -> Response:
        """Send raw parameters, signed for `service`."""
        form = {"Version": {"sts": "2011-06-15", "iam": "2010-05-08"}.get(service, "2016-11-15")}
        form |= {**(params or {}), **more}
        body = urlencode(form).encode()
        request = signing.RawRequest("POST", "/", "", {"host": "cloud.test"}, body)
        credential = signing.SigningCredential(self.access_key, self.secret_key.encode(), "us-east-1", service)
        headers = signing.sign(request, credential, self.cloud.core.store.now() if now is None else now)
        return self.cloud.handle(Request("POST", "/", "", headers, body))

    def run(self, least: int = 1, most: int = 1, **more: Any) -> Any:
        """Launch instances of the small image; the whole answer."""
        arguments: dict[str, Any] = {"ImageId": self.cloud.image.ec2_id, "InstanceType": "m1.tiny"}
        return self.ec2.run_instances(**{**arguments, "MinCount": least, "MaxCount": most, **more})

    def launch(self, count: int = 1, **more: Any) -> list[str]:
        """Launch `count` instances of the small image; their ids."""
        return [instance["InstanceId"] for instance in self.run(count, count, **more)["Instances"]]

    def show(self, ident: str) -> Any:
        """Describe one instance."""
        return self.ec2.describe_instances(InstanceIds=[ident])["Reservations"][0]["Instances"][0]

    @property
    def ec2(self) -> EC2Client:
        """An EC2 client."""
        if self.cloud.client is None:
            self.cloud.client = self.client("ec2")
        acting: Any = _Acting(self, self.cloud.client)
        client: EC2Client = acting
        return client

    @property
    def sts(self) -> STSClient:
        """An STS client."""
        client: STSClient = self.client("sts")
        return client


class Cloud:
    """A store in memory with flavors, one unbounded host, and two public images; and the face on it."""

    def __init__(self, capacity: Capacity | None = None) -> None:
        # Time stands still, or the host would be lost after a while; clients' clocks may differ by minutes.
        now = time.time()
        store = databases.opened(lambda: now)
        self.hosts = Silent()
        self.core = Core(store=store, hosts=self.hosts, networks=NoNetworks(), key=b"k" * 32)
        self.authority = Authority(self.core)
        self.face = Ec2Face(self.core, self.authority)
        self.iam = IamFace(self.core, self.authority)
        self.last: Response | None = None
        self.client: Any = None
        with store.write() as tx:
            seen = HostSeen(heard=now, capacity=capacity or Capacity(), limits=ProviderLimits(captures=("machine",)))
            host = Host(uuid=new_uuid(), name="host-1", wanted=HostWanted(zone=self.core.place.zone), seen=seen)
            tx.add(host)
        flavor.seed(SYSTEM, self.core)
        self.image = self.add_image("tiny")
        self.large = self.add_image("debian-12", virtual_size=3 << 30, min_memory=512)

    def add_image(self, name: str, caller: Caller = SYSTEM, **other: Any) -> Image:
        """Register an image; public unless told otherwise."""
        digest = hashlib.sha256(name.encode()).hexdigest()
        wanted = ImageWanted(**{"digest": digest, "size": 1 << 20, "virtual_size": 96 << 20, "public": True, **other})
        return image.register(caller, self.core, name, wanted)

    def silence(self, *, over: bool = False) -> float:
        """Have the host be silent for as long as makes it lost, or no longer; when it was heard last."""
        with self.core.store.write() as tx:
            (host,) = tx.list(Host)
            heard = tx.now - (0 if over else LOST_AFTER + 1)
            tx.see(host, msgspec.structs.replace(host.seen, heard=heard))
        return heard

    def database(self) -> databases.Image:
        """All that is stored."""
        return databases.copy(self.core.store)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Afterwards the database is what it was before."""
        before = self.database()
        try:
            yield
        finally:
            databases.load(self.core.store, before)

    def account(self, limits: Mapping[str, int] | None = None, *, admin: bool = False) -> Account:
        """Make a user in a project of the same name, without a password; no quota but `limits`."""
        name = f"user-{next(_NAMES)}"
        home = project.ensure(SYSTEM, self.core, name, limits or {})
        with self.core.store.write() as tx:
            person = User(uuid=new_uuid(), project=home.uuid, name=name, wanted=UserWanted(admin=admin, home=home.uuid))
            grant.put(SYSTEM, tx, home.uuid, "member", user=person.uuid)
            access_key, secret_key = credential.add_aws(SYSTEM, self.core, tx, tx.add(person), home)
        return Account(self, access_key, secret_key)

    def answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        """Hand botocore's request to the face, and its answer to botocore: a `before-send` handler."""
        url = urlsplit(request.url)
        body: Any = request.body or b""
        raw: dict[str, Any] = dict(request.headers.items())
        headers = {
            name.lower(): str(value, "latin-1") if isinstance(value, bytes) else value for name, value in raw.items()
        }
        headers.setdefault("host", url.netloc)
        sent = body.encode() if isinstance(body, str) else body
        response = self.handle(Request(request.method, url.path, url.query, headers, sent))
        self.last = response
        answer: Any = AWSResponse
        found: AWSResponse = answer(request.url, response.status, response.headers, _Raw(response.body))
        return found

    def handle(self, request: Request) -> Response:
        """Have the face answer that `app` would choose."""
        takes, takes_form = IAM.takes, IAM.takes_form
        assert takes is not None
        assert takes_form is not None
        head = RequestHead(request.method, request.path, request.headers, request.query)
        return (self.iam if takes(head) or takes_form(request) else self.face).handle(request)

    def observe(self, ident: str, **seen: Any) -> Instance:
        """Have the instance with this EC2 id seen so; the power number counts as reached unless told otherwise."""
        with self.core.store.write() as tx:
            instance = tx.by_ec2(Instance, [ident])[ident]
            told = Seen(**{"running": True, "n": instance.wanted.power.n, "ever": True, "since": 1.7e9, **seen})
            return tx.see(instance, told)

    def fail(self, ident: str, code: str, message: str) -> None:
        """Have the instance's host report a fault."""
        self.observe(ident, running=False, n=0, fault=SeenFault(code=code, message=message))

    def end(self, ident: str) -> None:
        """Have the instance, its port and its volume gone: tombstones."""
        with self.core.store.write() as tx:
            instance = tx.by_ec2(Instance, [ident])[ident]
            for noun in (*tx.referring(Port, [instance.uuid]), *tx.referring(Volume, [instance.uuid])):
                tx.make_tombstone(noun)
            tx.want(instance, msgspec.structs.replace(instance.wanted, gone=True))
            tx.make_tombstone(instance)


class _Raw(io.BytesIO):
    """What AWSResponse reads an answer from."""

    def stream(self) -> Iterator[bytes]:
        """Give all of it."""
        yield self.read()
