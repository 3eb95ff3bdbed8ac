"""X.509 certificates of users: signed by the cloud's issuer, revoked, and in archives of credentials."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

from pileus.model import bounds
from pileus.model.bounds import Bound
from pileus.model.caller import SYSTEM, Caller
from pileus.model.certificate import Certificate
from pileus.model.errors import Forbidden, InvalidValue, NotFound
from pileus.model.issuer import Issuer
from pileus.rules.credential import Authority
from pileus.verbs import certificate, user

if TYPE_CHECKING:
    from pathlib import Path

    from tests.site import Site

URL = "https://cloud.example:8773"


def caller_of(site: Site, name: str, project: str = "") -> Caller:
    """A new user as a caller."""
    caller = Authority(site.core).by_access_key(user.create(SYSTEM, site.core, name, project).access_key, "ec2")
    assert caller is not None
    return caller


def openssl(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run openssl in a folder."""
    return subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)


def test_an_archive_holds_an_rc_file_a_key_and_a_certificate_that_openssl_verifies(site: Site, tmp_path: Path) -> None:
    eve = caller_of(site, "eve")
    archive, at = certificate.archive(eve, site.core, f"{URL}/"), ("-attime", f"{site.store.now():.0f}")
    with zipfile.ZipFile(io.BytesIO(archive.file)) as bundle:
        assert sorted(bundle.namelist()) == ["cacert.pem", "cert.pem", "novarc", "pk.pem"]
        assert {info.external_attr >> 16 for info in bundle.infolist()} == {0o100600}
        bundle.extractall(tmp_path)
    assert (tmp_path / "pk.pem").read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert openssl(tmp_path, "verify", *at, "-CAfile", "cacert.pem", "cert.pem").stdout == "cert.pem: OK\n"
    public = openssl(tmp_path, "rsa", "-in", "pk.pem", "-pubout").stdout
    assert public == openssl(tmp_path, "x509", "-in", "cert.pem", "-noout", "-pubkey").stdout
    shown = "echo $EC2_URL $EC2_ACCESS_KEY $EC2_SECRET_KEY $EC2_USER_ID; ls $EC2_CERT $EC2_PRIVATE_KEY $EUCALYPTUS_CERT"
    for shell in filter(shutil.which, ("bash", "zsh")):
        out = subprocess.run(
            [shell, "-c", f". {tmp_path}/novarc; {shown}"], capture_output=True, text=True, check=True, cwd=os.sep
        ).stdout.split()
        assert out[:4] == [f"{URL}/services/Cloud/", archive.access_key, archive.secret_key, eve.account_id]
        assert sorted(out[4:]) == [f"{tmp_path}/{name}" for name in ("cacert.pem", "cert.pem", "pk.pem")]
    caller = Authority(site.core).by_access_key(archive.access_key, "ec2")
    assert caller is not None
    assert caller.user == eve.user


def test_no_private_key_is_stored(site: Site) -> None:
    certificate.create(caller_of(site, "eve"), site.core)
    with site.store.read() as tx:
        texts = [text for cls in (Certificate, Issuer) for row in tx.texts(cls) for text in row]
    assert not any("PRIVATE KEY" in str(text) for text in texts)


def test_a_revoked_certificate_is_on_the_list_until_it_expires(site: Site, tmp_path: Path) -> None:
    eve = caller_of(site, "eve")
    first, second = certificate.create(eve, site.core), certificate.create(eve, site.core)
    certificate.revoke(eve, site.core, first.uuid)
    with pytest.raises(NotFound):
        certificate.revoke(eve, site.core, first.uuid)
    authority = certificate.authority(eve, site.core)
    (tmp_path / "ca.pem").write_text(authority.certificate)
    (tmp_path / "crl.pem").write_text(authority.revoked)
    verdicts = []
    for issued in (first, second):
        (tmp_path / "cert.pem").write_text(issued.certificate)
        words = (
            "-attime",
            f"{site.store.now():.0f}",
            "-crl_check",
            "-CAfile",
            "ca.pem",
            "-CRLfile",
            "crl.pem",
            "cert.pem",
        )
        verdicts.append(openssl(tmp_path, "verify", *words).returncode)
    assert verdicts == [2, 0]


def test_the_certificates_of_a_deleted_user_are_revoked(site: Site) -> None:
    eve = caller_of(site, "eve")
    issued = certificate.create(eve, site.core)
    user.delete(SYSTEM, site.core, eve.user)
    with site.store.read() as tx:
        (issuer,) = tx.list(Issuer)
    assert [each.serial for each in issuer.wanted.revoked] == [issued.serial]


def test_the_list_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "REVOKED_CERTIFICATES", Bound("certificates", "cloud", 2, "the earliest leave"))
    eve = caller_of(site, "eve")
    serials = []
    for _ in range(3):
        issued = certificate.create(eve, site.core)
        certificate.revoke(eve, site.core, issued.uuid)
        serials.append(issued.serial)
    with site.store.read() as tx:
        (issuer,) = tx.list(Issuer)
    assert {each.serial for each in issuer.wanted.revoked} < set(serials)
    assert len(issuer.wanted.revoked) == 2


def test_certificates_of_others_are_for_those_who_look_after_them(site: Site) -> None:
    ann, eve = caller_of(site, "ann-of-x", "x"), caller_of(site, "eve")
    issued = certificate.create(ann, site.core)
    with pytest.raises(NotFound):
        certificate.revoke(eve, site.core, issued.uuid)
    with pytest.raises((NotFound, Forbidden)):
        certificate.archive(eve, site.core, URL, ann.user)
    member = caller_of(site, "bob-of-x", "x")
    with pytest.raises(Forbidden):
        certificate.revoke(member, site.core, issued.uuid)
    other = certificate.create(ann, site.core, member.user)
    assert other.user == "bob-of-x"
    certificate.revoke(ann, site.core, other.uuid)


@pytest.mark.parametrize("url", ["", "cloud.example", "file:///etc", "http://a b", "http://x\nid", "http://x" * 99])
def test_a_url_that_is_none_makes_nothing(site: Site, url: str) -> None:
    eve = caller_of(site, "eve")
    with pytest.raises(InvalidValue, match="URL"):
        certificate.archive(eve, site.core, url)
    with site.store.read() as tx:
        assert tx.list(Certificate) == []
