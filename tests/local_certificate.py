"""Create a certificate for a local server and its authority, which function packages can trust beside all others.

The fake AWS services speak TLS like AWS: loading the trusted authorities is part of a cold start.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tools.bundle import certificate_folder

_VALIDITY = dt.timedelta(days=1)
_PEM = serialization.Encoding.PEM


class Authority(NamedTuple):
    """The file with the authority's certificate, and the file with the server's certificate and key."""

    certificate: Path
    server: Path

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of a server on 127.0.0.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context

    def add_to(self, package: Path) -> None:
        """Add the authority to those that botocore trusts in the folder ``package``."""
        certificate = self.certificate.read_bytes()
        if (package / certificate_folder.FOLDER).is_dir():
            for path, content in certificate_folder.split(certificate).items():
                (package / path).write_bytes(content)
        with (package / certificate_folder.FILE).open("ab") as file:
            file.write(certificate)


def create(folder: Path, host: str = "127.0.0.1") -> Authority:
    """Write a new authority and a certificate for ``host``, valid for a day, to ``folder``."""
    authority = Authority(folder / "authority.pem", folder / "server.pem")
    authority_key, server_key = _key(), _key()
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    root = _builder("Vitrine test", authority_key).add_extension(constraints, critical=True)
    server = _builder(host, server_key).add_extension(_alternative_name(host), critical=False)
    private = server_key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    authority.certificate.write_bytes(root.sign(authority_key, hashes.SHA256()).public_bytes(_PEM))
    authority.server.write_bytes(private + server.sign(authority_key, hashes.SHA256()).public_bytes(_PEM))
    return authority


def _alternative_name(host: str) -> x509.SubjectAlternativeName:
    if host[0].isdigit():
        return x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    return x509.SubjectAlternativeName([x509.DNSName(host)])


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _builder(subject: str, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("Vitrine test"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALIDITY)
        .not_valid_after(now + _VALIDITY)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
