"""The certificate authorities that botocore trusts, laid out so that a connection reads one of them, and not all.

botocore has 126 of them in one file, which OpenSSL parses for each new connection: 17 ms of a whole core, more than
three times that with 512 MB. In a folder where each file is named after its authority, OpenSSL looks up the one that
signed (X509_LOOKUP_hash_dir(3)). Whom the app trusts stays the same.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Mapping

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.name import _ASN1Type

FILE = "botocore/cacert.pem"

FOLDER = "botocore/cacert.d"

USER = "botocore/httpsession.py"

# A bundle that somebody names (AWS_CA_BUNDLE, ca_bundle, verify=) is taken as ever.
_LOOKED_UP = """

_all_at_once = URLLib3Session._setup_ssl_cert


def _one_by_one(self, conn, url, verify):
    _all_at_once(self, conn, url, verify)
    if conn.ca_certs == DEFAULT_CA_BUNDLE:
        conn.ca_certs = None
        conn.ca_cert_dir = os.path.join(os.path.dirname(__file__), "cacert.d")


URLLib3Session._setup_ssl_cert = _one_by_one
"""


def by_name(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of ``FOLDER``, and the text of ``USER`` that has OpenSSL look there, for a package of ``entries``."""
    return files(entries[FILE]) | {USER: entries[USER] + _LOOKED_UP.encode()}


def files(authorities: bytes) -> dict[str, bytes]:
    """Each certificate of a PEM file by the path where OpenSSL looks for it: its name's hash, and a number."""
    found: dict[str, bytes] = {}
    so_far: Counter[str] = Counter()
    for certificate in re.findall(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", authorities, re.DOTALL):
        name = name_hash(_subject(certificate))
        found[f"{FOLDER}/{name}.{so_far[name]}"] = certificate
        so_far[name] += 1
    return found


def _subject(certificate: bytes) -> x509.Name:
    with warnings.catch_warnings():
        # One authority has a serial number of zero, which RFC 5280 does not allow. It matters for no name.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return x509.load_pem_x509_certificate(certificate).subject


def name_hash(name: x509.Name) -> str:
    """What OpenSSL calls the file of an authority of this name (X509_NAME_hash_ex(3)): eight hexadecimal digits.

    Before it is hashed, OpenSSL writes every text of a name as UTF-8, in small ASCII letters, with single spaces.
    """
    canonical = x509.Name(
        x509.RelativeDistinguishedName(
            x509.NameAttribute(part.oid, _canonical(part.value), _ASN1Type.UTF8String) for part in together
        )
        for together in name.rdns
    ).public_bytes()
    # The sets alone are hashed, without the sequence around them: its length takes a byte, or says how many it takes.
    around = 2 + (canonical[1] & 0x7F if canonical[1] & 0x80 else 0)
    return hashlib.sha1(canonical[around:], usedforsecurity=False).digest()[3::-1].hex()


def _canonical(text: str | bytes) -> str:
    encoded = text if isinstance(text, bytes) else text.encode()
    return b" ".join(encoded.lower().split()).decode()
