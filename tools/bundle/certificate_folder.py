"""Lay out botocore's certificate authorities so that a connection parses one of them instead of all.

botocore has 126 authorities in one file, which OpenSSL parses for each new connection. In a folder of files that are
named after the hash of their subject, OpenSSL reads only the one that signed (X509_LOOKUP_hash_dir(3)). The set of
trusted authorities stays the same.
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

from tools.bundle.third_party_edits import replace_once

FILE = "botocore/cacert.pem"

FOLDER = "botocore/cacert.d"

_HTTP_SESSION = "botocore/httpsession.py"
_BEFORE = "            conn.ca_certs = get_cert_path(verify)\n"
# A CA file set with AWS_CA_BUNDLE, ca_bundle or verify= is used unchanged.
_AFTER = f"""\
{_BEFORE}\
            if conn.ca_certs == DEFAULT_CA_BUNDLE:
                conn.ca_certs = None
                conn.ca_cert_dir = os.path.join(os.path.dirname(__file__), '{FOLDER.rpartition("/")[2]}')
"""


def with_folder(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return ``entries`` (files by path) with ``FOLDER``, which botocore's HTTP session uses instead of ``FILE``.

    Raise ChangedCodeError if botocore chooses its authorities in another way.
    """
    edited = {**entries, **split(entries[FILE])}
    replace_once(edited, _HTTP_SESSION, _BEFORE, _AFTER)
    return edited


def split(authorities: bytes) -> dict[str, bytes]:
    """Return each certificate of a PEM file by the path where OpenSSL looks for it: the subject's hash and a number."""
    found: dict[str, bytes] = {}
    numbers: Counter[str] = Counter()
    for certificate in re.findall(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", authorities, re.DOTALL):
        name = subject_hash(_subject(certificate))
        found[f"{FOLDER}/{name}.{numbers[name]}"] = certificate
        numbers[name] += 1
    return found


def _subject(certificate: bytes) -> x509.Name:
    with warnings.catch_warnings():
        # One authority has the serial number 0, which RFC 5280 forbids. Its subject is not affected.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return x509.load_pem_x509_certificate(certificate).subject


def subject_hash(name: x509.Name) -> str:
    """Return OpenSSL's hash of a subject (X509_NAME_hash_ex(3)): eight hexadecimal digits.

    OpenSSL hashes a canonical form: each text as UTF-8, ASCII letters in lower case, single spaces.
    """
    canonical = x509.Name(
        x509.RelativeDistinguishedName(
            x509.NameAttribute(part.oid, _canonical(part.value), _ASN1Type.UTF8String) for part in together
        )
        for together in name.rdns
    ).public_bytes()
    # Only the sets are hashed, without the header of the sequence around them: 2 bytes, plus those of a long length.
    header = 2 + (canonical[1] & 0x7F if canonical[1] & 0x80 else 0)
    return hashlib.sha1(canonical[header:], usedforsecurity=False).digest()[3::-1].hex()


def _canonical(text: str | bytes) -> str:
    encoded = text if isinstance(text, bytes) else text.encode()
    return b" ".join(encoded.lower().split()).decode()
