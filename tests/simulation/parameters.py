"""SSM Parameter Store in memory."""

from __future__ import annotations

from typing import Any

from tests.simulation.calls import refusal


class Parameters:
    """The parameters of a stage."""

    name = "ssm"
    refusals = ("ThrottlingException", "InternalServerError")

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get_parameter(self, *, Name: str, WithDecryption: bool = False) -> dict[str, Any]:  # noqa: N803
        if Name not in self.values:
            raise refusal("get_parameter", "ParameterNotFound", "")
        if not WithDecryption:
            raise NotImplementedError("The app reads what is encrypted.")
        return {"Parameter": {"Name": Name, "Type": "SecureString", "Value": self.values[Name]}}

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool = False, **_: Any) -> dict[str, Any]:  # noqa: N803
        if Type != "SecureString":
            raise NotImplementedError(f"a parameter of the type {Type}")
        if Name in self.values and not Overwrite:
            raise refusal("put_parameter", "ParameterAlreadyExists", "The parameter already exists.")
        self.values[Name] = Value
        return {"Version": 1}
