"""A webhook's URL leads to the internet and nowhere else."""

from __future__ import annotations

import pytest

from chalicelib import config, errors
from chalicelib.catalogue import webhook_urls
from chalicelib.catalogue.webhook_urls import Endpoint

# Addresses of the machine, of AWS's metadata and of private networks, in the notations that some client accepts; names
# that are resolved to them; and URLs that two parsers read differently.
REFUSED = [
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://127.0.0.0x1/",
    "https://127.000.000.001/",
    "https://%31%32%37.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xA9.0xFE.0xA9.0xFE/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://192.0.0.8/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://203.0.113.9/",
    "https://224.0.1.1/",
    "https://255.255.255.255/",
    "https://256.1.1.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[0:0:0:0:0:ffff:10.0.0.1]/",
    "https://[64:ff9b::169.254.169.254]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:a9fe:a9fe::]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2606:4700::1111/",
    "https://localhost/",
    "https://LOCALHOST:8443/",
    "https://localhost./",
    "https://app.localhost/",
    "https://metadata/",
    "https://example.com./",
    "https://-example.com/",
    "https://ex_ample.com/",
    f"https://{'a.' * 127}com/",
    "https://example.123/",
    "https://ｅxample.com/",
    "https://127。0。0。1/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:443:80/",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\\.example.com/",
    "https://example.com#@127.0.0.1/",
    "https://example.com/#part",
    "https://example.com/a b",
    "https://example.com/a\tb",
    "https://example.com/\r\nX-Injected: 1",
    " https://example.com/",
    "https://example.com/\n",
    "https://example.com/\x00",
    "https://example.com/\x7f",
    "https://example.com/é",
    "https://example.com/%zz",
    "https://example.com/{id}",
    "http://example.com/",
    "http://127.0.0.1/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "//example.com/",
    "https:/example.com/",
    "https:///example.com/",
    "https://",
    "example.com",
    "",
    f"https://example.com/{'a' * 2029}",
]


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the settings of a stage that is not ``local``."""
    settings = config.load({"STAGE": "prod"})
    monkeypatch.setattr(config, "settings", lambda: settings)


@pytest.mark.usefixtures("deployed")
class TestDeployed:
    @pytest.mark.parametrize("url", REFUSED)
    def test_url_is_refused(self, url: str) -> None:
        with pytest.raises(errors.InvalidRequestError) as raised:
            webhook_urls.check_url(url)

        assert raised.value.details == [{"path": "$.url", "message": raised.value.message.removesuffix(".")}]

    @pytest.mark.parametrize(
        ("url", "endpoint"),
        [
            ("https://example.com", Endpoint("https", "example.com", 443, "/")),
            (
                "HTTPS://Hooks.Example.com:8443/In/%7Ba%7D?b=/c&d",
                Endpoint("https", "hooks.example.com", 8443, "/In/%7Ba%7D?b=/c&d"),
            ),
            ("https://xn--bcher-kva.example?a=1", Endpoint("https", "xn--bcher-kva.example", 443, "/?a=1")),
            ("https://1.1.1.1/", Endpoint("https", "1.1.1.1", 443, "/")),
            ("https://[2606:4700::1111]:444/", Endpoint("https", "2606:4700::1111", 444, "/")),
            ("https://[::ffff:1.1.1.1]/", Endpoint("https", "::ffff:1.1.1.1", 443, "/")),
            ("https://127.0.0.1.example.com/", Endpoint("https", "127.0.0.1.example.com", 443, "/")),
            (
                f"https://example.com/{'a' * 2028}",
                Endpoint("https", "example.com", 443, f"/{'a' * 2028}"),
            ),
        ],
    )
    def test_url_is_allowed(self, url: str, endpoint: Endpoint) -> None:
        assert webhook_urls.check_url(url) == endpoint

    def test_message_says_what_is_allowed(self) -> None:
        with pytest.raises(errors.InvalidRequestError, match=r"^url must begin with https://\.$"):
            webhook_urls.check_url("http://127.0.0.1:8000/")
        with pytest.raises(errors.InvalidRequestError, match="must not have a user name"):
            webhook_urls.check_url("https://user@example.com/")


class TestStageLocal:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
    def test_http_to_loopback_is_allowed(self, host: str) -> None:
        endpoint = webhook_urls.check_url(f"http://{host}:9000/hook")

        assert (endpoint.port, endpoint.is_loopback) == (9000, True)
        assert endpoint.accepts("127.0.0.1")
        assert not endpoint.accepts("1.1.1.1")

    @pytest.mark.parametrize("url", [url for url in REFUSED if not url.startswith("http://127.0.0.1")])
    def test_other_url_is_refused(self, url: str) -> None:
        with pytest.raises(errors.InvalidRequestError):
            webhook_urls.check_url(url)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%1", "64:ff9b::7f00:1"])
def test_delivery_may_not_connect_to_a_private_address(address: str) -> None:
    assert not Endpoint("https", "example.com", 443, "/").accepts(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_delivery_may_connect_to_a_public_address(address: str) -> None:
    assert Endpoint("https", "example.com", 443, "/").accepts(address)
