"""An OpenID Connect issuer on this machine, and what the authorizer allows."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "client-1"
ARN = "arn:aws:execute-api:us-east-1:123456789012:abc/api/GET/items"

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())

Ask = Callable[[str], dict[str, Any]]
"""Calls the authorizer with an Authorization header, and returns its response."""


class Issuer:
    """An OpenID Connect issuer on this machine, with its keys, its faults, and the paths requested from it."""

    def __init__(self) -> None:
        issuer = self
        self.keys: list[dict[str, Any]] = [public(RSA, "rsa"), public(EC, "ec")]
        self.broken = False
        self.claimed_issuer: str | None = None
        self.requested: list[str] = []
        self.redirects: dict[str, str] = {}
        self.drips: bytes | None = None
        """Bytes that it sends repeatedly, without ending the response."""
        self.connection_closed = threading.Event()
        """Set when the client closes such a connection."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requested.append(self.path)
                if issuer.drips:
                    issuer.drip(self.wfile)
                    return
                target = issuer.redirects.get(self.path)
                self.send_response(500 if issuer.broken else 302 if target else 200)
                if target:
                    self.send_header("Location", target)
                self.end_headers()
                with contextlib.suppress(OSError):  # the client may close the connection early
                    self.wfile.write(json.dumps(issuer.page(self.path)).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def drip(self, to: Any) -> None:
        try:
            to.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
            while self.drips:
                to.write(self.drips)
                time.sleep(0.01)
        except OSError:
            self.connection_closed.set()

    def page(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.claimed_issuer or self.url, "jwks_uri": f"{self.url}/keys"}
        return {"keys": self.keys}

    def token(
        self, key: Any = RSA, algorithm: str = "RS256", header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return a valid token with these ``claims``; a claim that is None is left out."""
        now = time.time()
        valid = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "exp": now + 600, "iat": now}
        payload = {name: value for name, value in (valid | claims).items() if value is not None}
        headers = {"kid": "ec" if algorithm == "ES256" else "rsa"} | (header or {})
        headers = {name: value for name, value in headers.items() if value is not None}
        return jwt.encode(payload, key, algorithm, headers)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def public(key: Any, kid: str, **changed: Any) -> dict[str, Any]:
    algorithm_class = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    known: dict[str, Any] = algorithm_class.to_jwk(key.public_key(), as_dict=True)  # type: ignore[attr-defined]
    algorithm = "RS256" if algorithm_class is RSAAlgorithm else "ES256"
    return {**known, "kid": kid, "use": "sig", "alg": algorithm, **changed}


def allowed(response: dict[str, Any]) -> list[str]:
    [statement] = response["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    return list(statement["Resource"])
