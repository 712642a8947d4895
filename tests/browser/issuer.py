"""An OpenID Connect issuer for tests: the code flow with PKCE, for a client without a secret."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT = "console"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer(ThreadingHTTPServer):
    """Signs in every user by name. Tests change its behaviour by its attributes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.redirect_uris: set[str] = set()
        self.token_seconds = 3600
        """Lifetime of the next tokens."""
        self.access_token_for = CLIENT
        """Audience of the next access tokens."""
        self.forged: dict[str, Any] = {}
        """Claims of the next id tokens that replace the right ones."""
        self.grants: list[str] = []
        """The types of the grants that were redeemed."""
        self.signed_out: list[str] = []
        """The endpoints that ended a session: ``revoke``, ``end-session``."""
        self.codes: dict[str, dict[str, str]] = {}
        self.refresh_tokens: dict[str, str] = {}

    def tokens(self, user: str, nonce: str | None) -> dict[str, Any]:
        now = int(time.time())
        common = {"iss": self.url, "sub": user, "iat": now, "exp": now + self.token_seconds}
        refresh = secrets.token_urlsafe()
        self.refresh_tokens[refresh] = user
        claims = {"aud": CLIENT, "email": f"{user}@example.com", "nonce": nonce} | self.forged
        return {
            "token_type": "Bearer",
            "expires_in": self.token_seconds,
            "access_token": signed(common | {"aud": self.access_token_for}),
            "id_token": signed({name: value for name, value in (common | claims).items() if value is not None}),
            "refresh_token": refresh,
        }


def signed(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, _KEY, "RS256", {"kid": "one"})


class _Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        parameters = dict(parse_qsl(address.query))
        match address.path:
            case "/.well-known/openid-configuration":
                self._send_json(200, self._metadata())
            case "/jwks":
                key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key()))
                self._send_json(200, {"keys": [key | {"kid": "one", "use": "sig", "alg": "RS256"}]})
            case "/authorize":
                self._show_form(parameters)
            case "/end-session" if parameters.get("post_logout_redirect_uri") in self.server.redirect_uris:
                self.server.signed_out.append("end-session")
                self._redirect(parameters["post_logout_redirect_uri"])
            case _:
                self._send_json(404, {"error": "not_found"})

    def do_POST(self) -> None:
        parameters = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        match urlsplit(self.path).path:
            case "/authorize":
                self._give_code(parameters)
            case "/token":
                self._redeem(parameters)
            case "/revoke":
                self.server.refresh_tokens.pop(parameters["token"], None)
                self.server.signed_out.append("revoke")
                self._send_json(200, {})

    def _metadata(self) -> dict[str, Any]:
        url = self.server.url
        return {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/jwks",
            "revocation_endpoint": f"{url}/revoke",
            "end_session_endpoint": f"{url}/end-session",
            "scopes_supported": ["openid", "email", "offline_access"],
        }

    def _show_form(self, parameters: dict[str, str]) -> None:
        problem = self._find_problem(parameters)
        if problem:
            self._send_json(400, {"error": "invalid_request", "error_description": problem})
            return
        hidden = "".join(f'<input type="hidden" name="{escape(n)}" value="{escape(v)}">' for n, v in parameters.items())
        form = (
            f'<!doctype html><html lang="en"><title>Sign in</title><link rel="icon" href="data:,">'
            f'<h1>The issuer</h1><form method="post">{hidden}'
            '<label>Name <input name="user"></label><button>Sign in</button>'
            '<button name="refuse" value="yes">No</button></form>'
        )
        self._send(200, "text/html; charset=utf-8", form.encode())

    def _find_problem(self, parameters: dict[str, str]) -> str | None:
        expected = {"response_type": "code", "client_id": CLIENT, "code_challenge_method": "S256"}
        for name, value in expected.items():
            if parameters.get(name) != value:
                return f"{name} is {parameters.get(name)!r}"
        if parameters.get("redirect_uri") not in self.server.redirect_uris:
            return f"redirect_uri is {parameters.get('redirect_uri')!r}"
        if "openid" not in parameters.get("scope", "").split():
            return "scope has no openid"
        return next(
            (f"{name} is missing" for name in ("state", "nonce", "code_challenge") if not parameters.get(name)), None
        )

    def _give_code(self, parameters: dict[str, str]) -> None:
        result = {"state": parameters["state"], "iss": self.server.url}
        if "refuse" in parameters:
            result |= {"error": "access_denied", "error_description": "Somebody said no."}
        else:
            result["code"] = secrets.token_urlsafe()
            self.server.codes[result["code"]] = parameters
        self._redirect(f"{parameters['redirect_uri']}?{urlencode(result)}")

    def _redeem(self, parameters: dict[str, str]) -> None:
        """Redeem a code or a refresh token, once each (RFC 6749, sections 4.1.3 and 6; RFC 7636, section 4.6)."""
        self.server.grants.append(parameters["grant_type"])
        if parameters["grant_type"] == "refresh_token":
            user = self.server.refresh_tokens.pop(parameters["refresh_token"], None)
            tokens = self.server.tokens(user, None) if user else None
        else:
            authorization = self.server.codes.pop(parameters["code"], None)
            digest = hashlib.sha256(parameters["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            tokens = None
            if (
                authorization
                and challenge == authorization["code_challenge"]
                and parameters["redirect_uri"] == authorization["redirect_uri"]
            ):
                tokens = self.server.tokens(authorization["user"], authorization["nonce"])
        if parameters.get("client_id") != CLIENT or tokens is None:
            self._send_json(400, {"error": "invalid_grant"})
        else:
            self._send_json(200, tokens)

    def _send_json(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _redirect(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def running() -> Iterator[Issuer]:
    """Run an issuer until the block ends."""
    with Issuer() as issuer:
        thread = threading.Thread(target=issuer.serve_forever, daemon=True)
        thread.start()
        yield issuer
        issuer.shutdown()
        thread.join()
