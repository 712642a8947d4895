"""TLS, as AWS has it: the services stood in for show a certificate, and each package trusts who signed it.

The authority is one more among those that a package trusts anyway: what it takes to know them all is part of a start.
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

from tools.bundle import certificate_authorities

_VALID = dt.timedelta(days=1)
_PEM = serialization.Encoding.PEM


class Authority(NamedTuple):
    """Who signed for 127.0.0.1: its certificate, and the file with what the servers show and its key."""

    certificate: Path
    shown: Path

    def context(self) -> ssl.SSLContext:
        """What a server on 127.0.0.1 speaks TLS with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.shown)
        return context

    def trust_in(self, package: Path) -> None:
        """Has botocore in ``package`` trust it, in whichever way that one knows authorities."""
        certificate = self.certificate.read_bytes()
        if (package / certificate_authorities.FOLDER).is_dir():
            for path, content in certificate_authorities.split(certificate).items():
                (package / path).write_bytes(content)
        with (package / certificate_authorities.FILE).open("ab") as file:
            file.write(certificate)


def made(folder: Path) -> Authority:
    """A new authority, and its word for 127.0.0.1, in ``folder``, for a day."""
    authority = Authority(folder / "authority.pem", folder / "shown.pem")
    own, key = _key(), _key()
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    certificate = _about("Vitrine's bench", own).add_extension(constraints, critical=True).sign(own, hashes.SHA256())
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    shown = _about("127.0.0.1", key).add_extension(address, critical=False).sign(own, hashes.SHA256())
    plain = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    authority.certificate.write_bytes(certificate.public_bytes(_PEM))
    authority.shown.write_bytes(plain + shown.public_bytes(_PEM))
    return authority


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _about(name: str, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named("Vitrine's bench"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID)
        .not_valid_after(now + _VALID)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
