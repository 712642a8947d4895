"""Which URLs a webhook may have, and which addresses a delivery may connect to.

The functions run inside AWS, so a URL must not lead a delivery to what only they can reach: the machine itself, AWS's
metadata service, or private networks. A name can be resolved to any address, and to another one a moment later. So the
URL is checked when it is set, and the address that is connected to is checked before each delivery.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from chalicelib import config, errors

MAX_URL_LENGTH = 2048

_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")

_PRINTABLE = re.compile(r"[\x21-\x7e]+")
# RFC 3986. Neither userinfo nor a fragment is matched, and no character that clients treat differently.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:[/?](?:[\w.~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?)",
    re.ASCII | re.IGNORECASE,
)
_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_NAME_LENGTH = 253
"""The most characters of a host name (RFC 1035, section 2.3.4)."""
# Clients read such a name as an IPv4 address in decimal, octal or hexadecimal, of one to four numbers (WHATWG, "URL":
# "ends in a number").
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Each address in it stands for the IPv4 address in its last 32 bits (RFC 6052, section 2.1)."""
# Python's lists of addresses differ between patch versions.
_NOT_PUBLIC = (
    ipaddress.IPv4Network("192.0.0.0/24"),  # for protocols of the IETF (RFC 6890)
    ipaddress.IPv4Network("192.88.99.0/24"),  # relays of 6to4 (RFC 7526)
    ipaddress.IPv6Network("2001::/23"),  # Teredo, ORCHID and other special purposes (RFC 2928)
    ipaddress.IPv6Network("3fff::/20"),  # for documentation (RFC 9637)
)


class Endpoint(NamedTuple):
    """What a URL says about the server to connect to, and about the request to send."""

    scheme: str
    host: str
    """A name or an IP address in lower case, without brackets."""
    port: int
    target: str
    """The path and the query."""

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, which only the stage local allows."""
        return self.scheme == "http"

    def accepts(self, address: str) -> bool:
        """Return whether a delivery may connect to ``address``, an IP address to which the host was resolved."""
        return ipaddress.ip_address(address).is_loopback if self.is_loopback else is_public_address(address)


def check_url(url: str) -> Endpoint:
    """Return the endpoint of a webhook's URL. Raise InvalidRequestError with the reason if the URL is not allowed."""
    if len(url) > MAX_URL_LENGTH:
        raise _invalid(f"url must have at most {MAX_URL_LENGTH} characters")
    found = _URL.fullmatch(url)
    if found is None:
        raise _invalid(_syntax_problem(url))
    endpoint = _endpoint(found)
    if not 0 < endpoint.port <= 65535:
        raise _invalid("The port in url must be from 1 to 65535")
    if endpoint.is_loopback:
        if config.settings().stage != config.LOCAL or endpoint.host not in _LOOPBACK_HOSTS:
            raise _invalid(_scheme_rule())
    elif problem := _host_problem(endpoint.host):
        raise _invalid(problem)
    return endpoint


def is_public_address(address: str) -> bool:
    """Return whether an IP address is one of the internet, not of a private network, of this machine or for multicast.

    An IPv6 address that stands for an IPv4 address is public if that one is. Raise ValueError if it is no IP address.
    """
    ip = _unwrapped(ipaddress.ip_address(address))
    if ip.version == 6 and ip not in _GLOBAL_UNICAST:
        return False
    special = any(ip.version == network.version and ip in network for network in _NOT_PUBLIC)
    return ip.is_global and not ip.is_multicast and not special


def _unwrapped(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for: mapped, in NAT64 or in 6to4; otherwise ``ip``."""
    if ip.version == 4:
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _endpoint(found: re.Match[str]) -> Endpoint:
    scheme, host, target = found["scheme"].lower(), found["host"].lower(), found["target"]
    port = int(found["port"]) if found["port"] else {"https": 443, "http": 80}[scheme]
    return Endpoint(scheme, host.strip("[]"), port, target if target.startswith("/") else f"/{target}")


def _host_problem(host: str) -> str | None:
    """Return why the host of an https URL is not allowed, or None if it is."""
    if ":" in host or _ENDS_IN_A_NUMBER.fullmatch(host):
        try:
            allowed = is_public_address(host)
        except ValueError:
            return "The host in url must be a domain name, or an IP address in its usual notation"
        return None if allowed else "The host in url must not be a private, local or reserved IP address"
    if host.endswith(".localhost") or not _NAME.fullmatch(host) or len(host) > _MAX_NAME_LENGTH:
        return "The host in url must be a full domain name of the internet, without a dot at its end"
    return None


def _syntax_problem(url: str) -> str:
    if not _PRINTABLE.fullmatch(url):
        return "url must consist of printable ASCII characters without spaces: percent-encode others"
    if not re.match("https?://", url, re.IGNORECASE):
        return _scheme_rule()
    if "#" in url:
        return "url must not have a fragment"
    if "@" in re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]:
        return "url must not have a user name or a password"
    return "url must be a URL as in RFC 3986: percent-encode special characters in its path and query"


def _scheme_rule() -> str:
    loopback = ", or http:// and an address of this machine" if config.settings().stage == config.LOCAL else ""
    return f"url must begin with https://{loopback}"


def _invalid(message: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(problem=f"{message}.", details=[{"path": "$.url", "message": message}])
