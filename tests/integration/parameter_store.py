"""AWS Systems Manager in memory: three operations on encrypted parameters. moto's takes four seconds to import.

tests/e2e/test_contract.py makes the first two calls to the emulator.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.core.botocore_stubber import BotocoreStubber

if TYPE_CHECKING:
    import pytest
    from botocore.awsrequest import AWSPreparedRequest

Response = tuple[int, dict[str, str], str]


class ParameterStore:
    """The parameters of the stage, by name."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Respond to the calls of AWS Systems Manager in place of moto."""
        others = BotocoreStubber.process_request

        def process(stubber: BotocoreStubber, request: AWSPreparedRequest) -> Any:
            service, _, operation = _target(request).partition(".")
            return (
                self.respond(operation, json.loads(request.body))
                if service == "AmazonSSM"
                else others(stubber, request)
            )

        patch.setattr(BotocoreStubber, "process_request", process)

    def respond(self, operation: str, parameters: dict[str, Any]) -> Response:
        """Return the response to a call."""
        name = parameters["Name"]
        if operation == "DeleteParameter":
            return (200, {}, "{}") if self.values.pop(name, None) else _error("ParameterNotFound")
        if operation == "GetParameter":
            assert parameters["WithDecryption"] is True
            if name not in self.values:
                return _error("ParameterNotFound")
            return 200, {}, json.dumps({"Parameter": {"Name": name, "Value": self.values[name]}})
        assert (operation, parameters["Type"], "Overwrite" in parameters) == ("PutParameter", "SecureString", False)
        if name in self.values:
            return _error("ParameterAlreadyExists")
        self.values[name] = parameters["Value"]
        return 200, {}, json.dumps({"Version": 1, "Tier": "Standard"})


def _target(request: AWSPreparedRequest) -> str:
    target = request.headers.get("X-Amz-Target", "")
    return target.decode() if isinstance(target, bytes) else target


def _error(code: str) -> Response:
    return 400, {}, json.dumps({"__type": code, "message": code})
