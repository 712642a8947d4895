"""Let the API function of a packaged template start before there is a request: from a snapshot, or in advance.

    python -m tools.stage.fast_start snapstart out/sam.json

SnapStart and provisioned concurrency apply to published versions, and Chalice's template calls ``$LATEST``. So SAM
publishes a version at each change of the function and points an alias to it, and API Gateway calls the alias.
``make package FAST=snapstart`` and ``FAST=provisioned`` run this after ``chalice package`` and
:mod:`tools.stage.http_api_conversion`. The choice between the two is in docs/deploying.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args

from tools.stage.errors import StageError

Template = dict[str, Any]
Kind = Literal["snapstart", "provisioned"]

ALIAS = "live"
"""The name of the alias."""

_FUNCTION = "APIHandler"
_ALIAS_ID = f"{_FUNCTION}Alias{ALIAS}"
"""The id that SAM gives the alias (AWS SAM Developer Guide, "Generated CloudFormation resources for AWS SAM")."""

_LATEST_URI, _ALIAS_URI = f"${{{_FUNCTION}.Arn}}/invocations", f"${{{_ALIAS_ID}}}/invocations"
"""The ends of the URIs with which API Gateway calls the function or its alias: a reference to an alias is its ARN."""

_OLDEST = (3, 12)
"""The first version of Python with SnapStart (AWS Lambda Developer Guide, "Lambda SnapStart")."""

_PROVISIONED_CONCURRENCY = {
    "Type": "Number",
    "Default": 1,
    "MinValue": 1,
    "Description": "The number of execution environments of api_handler that are always started, each at a price. "
    "Requests above that number start others.",
}


def convert(template: Template, kind: Kind) -> Template:
    """Return ``template`` with an alias of the API function that starts by ``kind``, and that API Gateway calls.

    Raise StageError if the function's version of Python has no SnapStart.
    """
    if kind == "snapstart":
        _check_runtime(template["Resources"][_FUNCTION]["Properties"]["Runtime"])
    resources = json.loads(json.dumps(template["Resources"]).replace(_LATEST_URI, _ALIAS_URI))
    function = resources[_FUNCTION]["Properties"]
    function |= {
        "AutoPublishAlias": ALIAS,
        # By default, SAM ignores most settings when it looks for changes.
        "AutoPublishAliasAllProperties": True,
        # It also ignores the values of parameters. Another description replaces the version.
        "VersionDescription": {"Fn::Sub": "PublicUrl: ${PublicUrl}"},
        # Each version with a snapshot costs. CloudFormation deletes the old one when the alias has the new one.
        "VersionDeletionPolicy": "Delete",
    }
    for one in resources.values():
        if one["Type"] == "AWS::Lambda::Permission" and one["Properties"]["FunctionName"] == {"Ref": _FUNCTION}:
            one["Properties"]["FunctionName"] = {"Ref": _ALIAS_ID}
    parameters = template["Parameters"]
    if kind == "snapstart":
        function["SnapStart"] = {"ApplyOn": "PublishedVersions"}
    else:
        number = {"Ref": "ProvisionedConcurrency"}
        function["ProvisionedConcurrencyConfig"] = {"ProvisionedConcurrentExecutions": number}
        parameters = parameters | {"ProvisionedConcurrency": _PROVISIONED_CONCURRENCY}
    return {**template, "Parameters": parameters, "Resources": resources}


def _check_runtime(runtime: str) -> None:
    version = tuple(int(part) for part in runtime.removeprefix("python").split("."))
    if version < _OLDEST:
        raise StageError(
            f"FAST=snapstart needs Python 3.12 or later, but the package is for {runtime}: delete .venv, then run make "
            "with PYTHON=/path/to/python3.12."
        )


def main() -> int:
    """Run the command line. Return the exit code. If the template cannot be converted, delete it."""
    parser = argparse.ArgumentParser(prog="python -m tools.stage.fast_start", description=__doc__)
    parser.add_argument("kind", choices=get_args(Kind))
    parser.add_argument("template", type=Path)
    options = parser.parse_args()
    template = json.loads(options.template.read_text(encoding="utf-8"))
    try:
        converted = convert(template, options.kind)
    except StageError as error:
        options.template.unlink()
        print(error, file=sys.stderr)
        return 1
    options.template.write_text(json.dumps(converted, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
