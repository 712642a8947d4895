"""The pipelines: GitHub's workflows, CodePipeline's template and build files, and the rights of a deployment.

They run elsewhere. These tests read what they run, and with which rights. ``make scan`` checks more of the workflows.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import rights
from tools.stage import policies

PROJECT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
BUILD_FILES = sorted((PROJECT / ".ci").glob("*.yml"))
SCRIPTS = sorted(path for path in (PROJECT / ".ci").iterdir() if not path.suffix)
STAGES = ("dev", "prod")

WITHOUT_NAMES = {"DistributionParts", "MakeOriginAccess", "UseWebAcl"}
"""Statements about parts of a CloudFront distribution, whose ARNs have no names, and which cannot have tags."""

Json = dict[str, Any]


def named(path: Path) -> str:
    return path.name


def read(path: Path) -> Json:
    """Return the content of a YAML file. YAML 1.1 reads the key ``on`` as true."""
    content: Json = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in content.items()}


def steps() -> Iterator[Json]:
    for path in WORKFLOWS:
        for job in read(path)["jobs"].values():
            yield from job.get("steps", [])


def commands() -> Iterator[str]:
    """Yield every line of shell that a pipeline runs."""
    texts = [step["run"] for step in steps() if "run" in step]
    for path in BUILD_FILES:
        for phase in read(path)["phases"].values():
            texts.extend(phase.get("commands", []))
    texts.extend(path.read_text(encoding="utf-8") for path in SCRIPTS)
    for text in texts:
        yield from (line for line in text.splitlines() if not line.startswith("#"))


def template(name: str) -> Json:
    content: Json = json.loads((PROJECT / "infra" / f"{name}.json").read_text(encoding="utf-8"))
    return content


def resource(name: str, logical_id: str) -> Json:
    properties: Json = template(name)["Resources"][logical_id]["Properties"]
    return properties


def statements(name: str, role: str) -> list[Json]:
    return [one for policy in resource(name, role)["Policies"] for one in policy["PolicyDocument"]["Statement"]]


def every_statement() -> list[Json]:
    """Return the statements of all roles in both templates."""
    return [
        statement
        for name in ("deployer", "pipeline")
        for role, one in template(name)["Resources"].items()
        if one["Type"] == "AWS::IAM::Role"
        for statement in statements(name, role)
    ]


def of_pipeline(role: str) -> Json:
    [found] = [one for one in statements("pipeline", role) if one["Sid"] == "UserOfTheSmokeTest"]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def bounded() -> list[rights.Grant]:
    """Return what the boundary of the functions of dev allows, in any region and account."""
    text = json.dumps(resource("deployer", "FunctionBoundary")["PolicyDocument"])
    text = re.sub(r'\{"Fn::Sub": ("[^"]+")\}', r"\1", text).replace("${Stage}", "dev")
    text = text.replace('{"Ref": "AWS::AccountId"}', '"${aws:PrincipalAccount}"')
    text = text.replace("${AWS::AccountId}-${AWS::Region}", "*")  # the bucket
    return rights.grants(json.loads(re.sub(r"\$\{AWS::\w+\}", "*", text)))


def granted() -> list[rights.Grant]:
    """Return the grants of all functions of dev."""
    return [grant for policy in policies.for_stage(PROJECT, "dev").values() for grant in rights.grants(policy)]


def covers(grants: list[rights.Grant], one: rights.Grant) -> bool:
    return any(grant.covers(rights.Need(one.action, one.resource)) for grant in grants)


def stage_of_pipeline(stage: str) -> list[Json]:
    [found] = [one for one in resource("pipeline", "Pipeline")["Stages"] if one["Name"] == stage]
    actions: list[Json] = found["Actions"]
    return sorted(actions, key=lambda action: int(action["RunOrder"]))


class TestCommands:
    def test_what_pipelines_run_exists(self) -> None:
        makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^([a-z0-9-]+):", makefile, flags=re.MULTILINE))
        lines = list(commands())
        made = re.compile(r"^\s*(?:start \w+ )?make ([a-z0-9-]+)")
        assert {found for line in lines for found in made.findall(line)} <= targets
        scripts = {found for line in lines for found in re.findall(r"(?:^|\s)(\.ci/[a-z]+)(?= |$)", line)}
        assert {".ci/run", ".ci/deploy", ".ci/smoke"} <= scripts
        assert [name for name in scripts if not (PROJECT / name).stat().st_mode & 0o111] == []
        files = {found for line in lines for found in re.findall(r"infra/[\w.-]+", line)}
        files |= {resource("pipeline", one)["Source"]["BuildSpec"] for one in ("Build", "DevSmoke", "ProdSmoke")}
        assert [name for name in files if not (PROJECT / name).is_file()] == []

    @pytest.mark.parametrize("script", SCRIPTS, ids=named)
    def test_scripts_stop_at_the_first_failure(self, script: Path) -> None:
        assert "set -euo pipefail" in script.read_text(encoding="utf-8")


class TestWorkflows:
    def test_prod_is_deployed_only_after_the_checks_and_dev(self) -> None:
        deploy = read(PROJECT / ".github" / "workflows" / "deploy.yml")["jobs"]
        assert {name: job.get("needs") for name, job in deploy.items()} == {
            "check": None,
            "package": "check",
            "dev": "package",
            "prod": "dev",
        }
        assert deploy["check"].items() >= {"uses": "./.github/workflows/ci.yml"}.items()
        assert "if" not in deploy["check"]

    def test_deployment_needs_the_approval_of_its_environment(self) -> None:
        [job] = read(PROJECT / ".github" / "workflows" / "deploy-stage.yml")["jobs"].values()
        assert job["environment"] == "${{ inputs.stage }}"

    @pytest.mark.parametrize("workflow", WORKFLOWS, ids=named)
    def test_jobs_have_explicit_permissions(self, workflow: Path) -> None:
        content = read(workflow)
        assert content["permissions"] == {}
        for name, job in content["jobs"].items():
            signs_in = workflow.name == "deploy-stage.yml" or name in STAGES
            assert job["permissions"] == {"contents": "read", **({"id-token": "write"} if signs_in else {})}


class TestDeployer:
    def test_only_jobs_of_the_environment_sign_in(self) -> None:
        [statement] = resource("deployer", "GitHubRole")["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert statement["Condition"] == {
            "StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": {"Fn::Sub": "repo:${Repository}:environment:${Stage}"},
            }
        }

    def test_no_pipeline_can_read_or_delete_data(self) -> None:
        actions = {
            action
            for name, role in (
                ("deployer", "DeploymentRole"),
                ("deployer", "GitHubRole"),
                ("pipeline", "PipelineRole"),
                ("pipeline", "BuildRole"),
                ("pipeline", "DevSmokeRole"),
                ("pipeline", "ProdSmokeRole"),
            )
            for statement in statements(name, role)
            for action in listed(statement["Action"])
        }
        assert [one for one in actions if re.fullmatch(r".+:(\*|Delete\*|Update\*|Put\*)", one)] == []
        assert not actions & {
            "dynamodb:DeleteTable",
            "s3:DeleteBucket",
            "cognito-idp:DeleteUserPool",
            "s3:DeleteObject",
            "cognito-idp:AdminDeleteUser",
            "cognito-idp:AdminResetUserPassword",
            "cognito-idp:AdminSetUserPassword",
            "cognito-idp:AdminUpdateUserAttributes",
        }
        assert [one for one in actions if re.search(r"dynamodb:.*(Item|Query|Scan)|sqs:.*Message", one)] == []
        assert "cloudformation:DeleteStack" not in actions

    @pytest.mark.parametrize("role", ["DeploymentRole", "GitHubRole"])
    def test_allows_no_other_stage(self, role: str) -> None:
        # Of these no name is the stage's.
        allowed_for_all = {"Sam", "SeeConsumer", "SeeLogs", "SeeSignInPage", *WITHOUT_NAMES}
        for statement in statements("deployer", role):
            if statement["Sid"] not in allowed_for_all:
                bounds = json.dumps([statement["Resource"], statement.get("Condition", {})])
                assert re.search(r'\$\{Stage\}|"Ref": "Stage"|Artifacts|DeploymentRole|AWS::StackId', bounds), statement

    def test_boundary_allows_exactly_the_functions_actions(self) -> None:
        assert [one for one in granted() if not covers(bounded(), one)] == []
        # Of logs it holds all of the stage's: which are a function's own, its policy says.
        assert [one for one in bounded() if not covers(granted(), one) and not one.action.startswith("logs:")] == []
        logs = {one.resource.rpartition("/")[2] for one in bounded() if one.action.startswith("logs:")}
        assert logs == {"vitrine-dev-*", "vitrine-dev:*"}

    def test_boundary_has_the_whole_bucket_name(self) -> None:
        # Names of buckets are the world's: another account may have one that begins alike.
        name = template("resources")["Resources"]["Bucket"]["Properties"]["BucketName"]["Fn::Sub"]
        deployer = json.dumps(template("deployer"))
        assert set(re.findall(r":s3:::([^/\"]+)", deployer)) == {name}
        assert [one for one in bounded() if one.action.startswith("s3:") and not one.own_account] == []

    def test_boundary_fits_the_size_limit(self) -> None:
        # IAM User Guide, "IAM and AWS STS quotas": 6,144 characters of a managed policy, white space not counted.
        text = json.dumps(resource("deployer", "FunctionBoundary")["PolicyDocument"]).replace(" ", "")
        longest = {"${Stage}": "a" * 20, "${AWS::Region}": "ap-southeast-2", "${AWS::AccountId}": "1" * 12}
        for name, value in longest.items():
            text = text.replace(name, value)
        assert len(text) <= 6144

    def test_stage_tags_cannot_be_changed(self) -> None:
        tagging = [
            one["Condition"]["StringEqualsIfExists"]
            for one in statements("deployer", "DeploymentRole")
            if {"cognito-idp:TagResource", "cloudfront:TagResource"} & set(one["Action"])
        ]
        assert [one["aws:ResourceTag/vitrine-stage"] for one in tagging] == [{"Ref": "Stage"}] * 2

    def test_apis_of_other_stacks_are_denied(self) -> None:
        [api] = [one for one in statements("deployer", "DeploymentRole") if one["Sid"] == "Api"]
        assert api["Condition"] == {
            "StringEqualsIfExists": {"aws:ResourceTag/aws:cloudformation:stack-name": {"Fn::Sub": "vitrine-${Stage}"}}
        }

    def test_pass_role_is_limited_to_its_service(self) -> None:
        passing = [
            statement
            for name, role in (
                ("deployer", "DeploymentRole"),
                ("deployer", "GitHubRole"),
                ("pipeline", "PipelineRole"),
            )
            for statement in statements(name, role)
            if "iam:PassRole" in listed(statement["Action"])
        ]
        assert len(passing) == 3
        services = [statement["Condition"]["StringEquals"]["iam:PassedToService"] for statement in passing]
        assert services == ["lambda.amazonaws.com", "cloudformation.amazonaws.com", "cloudformation.amazonaws.com"]

    def test_smoke_test_user_is_in_this_stages_pool(self) -> None:
        pool = template("resources")["Resources"]["UserPool"]["Properties"]
        assert pool["UserPoolTags"] == {"vitrine-stage": {"Ref": "Stage"}}
        [deployer] = [one for one in statements("deployer", "GitHubRole") if one["Sid"] == "UserOfTheSmokeTest"]
        assert deployer["Condition"] == {"StringEquals": {"aws:ResourceTag/vitrine-stage": {"Ref": "Stage"}}}
        calls = re.findall(r"aws cognito-idp ([a-z-]+)( --no-sign-request)?", (PROJECT / ".ci" / "smoke").read_text())
        signed_commands = {name for name, unsigned in calls if not unsigned}
        for role in (deployer, *(of_pipeline(one) for one in ("DevSmokeRole", "ProdSmokeRole"))):
            allowed = {re.sub(r"(?<!^)(?=[A-Z])", "-", one.partition(":")[2]).lower() for one in role["Action"]}
            assert signed_commands == allowed

    def test_deployment_changes_no_role_without_the_boundary(self) -> None:
        # IAM User Guide, "Permissions boundaries for IAM entities": a principal that creates roles and grants them
        # anything is an administrator, unless it must set a boundary on each role and cannot remove one.
        # Service Authorization Reference, "AWS Identity and Access Management": these actions do not know the boundary.
        bounded = {"StringEquals": {"iam:PermissionsBoundary": {"Ref": "FunctionBoundary"}}}
        changing = {
            action
            for one in every_statement()
            if one.get("Condition") != bounded
            for action in listed(one["Action"])
            if action.startswith("iam:")
        }
        assert changing <= {
            "iam:DeleteRole",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:PassRole",
            "iam:TagRole",
            "iam:UntagRole",
        }

    def test_outputs_are_those_that_the_scripts_read(self) -> None:
        text = (PROJECT / ".ci" / "deploy").read_text(encoding="utf-8")
        assert set(re.findall(r"\(output (\w+)\)", text)) <= set(template("deployer")["Outputs"])
        smoke = (PROJECT / ".ci" / "smoke").read_text(encoding="utf-8")
        of_resources = set(re.findall(r'output "vitrine-\$stage-resources" (\w+)', smoke))
        assert of_resources <= set(template("resources")["Outputs"])


class TestCodePipeline:
    @pytest.mark.parametrize("name", ["deployer", "pipeline"])
    def test_artifacts_are_encrypted_and_require_tls(self, name: str) -> None:
        [rule] = resource(name, "Artifacts")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")
        assert set(resource(name, "Artifacts")["PublicAccessBlockConfiguration"].values()) == {True}
        [statement] = resource(name, "ArtifactsPolicy")["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})

    def test_build_artifacts_are_those_deployed(self) -> None:
        handed_on = set(read(PROJECT / ".ci" / "buildspec.yml")["artifacts"]["files"])
        deployed = {
            action["Configuration"]["TemplatePath"].partition("::")[2]
            for stage in ("Dev", "Prod")
            for action in stage_of_pipeline(stage)
            if "TemplatePath" in action["Configuration"]
        }
        assert deployed == handed_on

    @pytest.mark.parametrize("stage", STAGES)
    def test_functions_are_deployed_with_the_boundary(self, stage: str) -> None:
        [prepare] = [one for one in stage_of_pipeline(stage.capitalize()) if one["Name"] == "Prepare"]
        overrides, names = prepare["Configuration"]["ParameterOverrides"]["Fn::Sub"]
        prefix = stage.capitalize()
        assert json.loads(overrides) == {
            "FunctionBoundary": "${Boundary}",
            "PublicUrl": f"#{{{prefix}Resources.PublicUrl}}",
            "DomainName": f"${{{prefix}DomainName}}",
            "CertificateArn": f"${{{prefix}CertificateArn}}",
        }
        assert json.loads(overrides).keys() == template("package")["Parameters"].keys()
        assert names == {"Boundary": {"Fn::ImportValue": f"deployer-vitrine-{stage}-FunctionBoundaryArn"}}

    @pytest.mark.parametrize("stage", STAGES)
    def test_resources_are_deployed_with_all_parameters(self, stage: str) -> None:
        [resources] = [one for one in stage_of_pipeline(stage.capitalize()) if one["Name"] == "Resources"]
        overrides = json.loads(resources["Configuration"]["ParameterOverrides"]["Fn::Sub"])
        names = template("resources")["Parameters"].keys()
        assert overrides == {name: f"${{{stage.capitalize()}{name}}}" for name in names} | {"Stage": stage}
        assert resources["Namespace"] == f"{stage.capitalize()}Resources"
        assert "PublicUrl" in template("resources")["Outputs"]

    @pytest.mark.parametrize(("stage", "other"), [("dev", "prod"), ("prod", "dev")])
    def test_smoke_test_has_no_rights_on_other_stages(self, stage: str, other: str) -> None:
        # What it runs lies in the source; that of dev runs before anybody has approved it.
        project = resource("pipeline", f"{stage.capitalize()}Smoke")
        assert project["Environment"]["EnvironmentVariables"] == [{"Name": "STAGE", "Value": stage}]
        role = project["ServiceRole"]["Fn::GetAtt"][0]
        assert role == f"{stage.capitalize()}SmokeRole"
        [users] = [one for one in statements("pipeline", role) if one["Sid"] == "UserOfTheSmokeTest"]
        assert users["Condition"] == {"StringEquals": {"aws:ResourceTag/vitrine-stage": stage}}
        assert other not in json.dumps(statements("pipeline", role))

    def test_prod_needs_approval(self) -> None:
        first = stage_of_pipeline("Prod")[0]
        assert first["ActionTypeId"]["Category"] == "Approval"
        assert [one["Name"] for one in resource("pipeline", "Pipeline")["Stages"]] == ["Source", "Build", "Dev", "Prod"]

    def test_pipeline_uses_the_deployers_roles(self) -> None:
        exports = {
            one["Export"]["Name"]["Fn::Sub"].replace("${AWS::StackName}", f"deployer-vitrine-{stage}")
            for one in template("deployer")["Outputs"].values()
            if "Export" in one
            for stage in STAGES
        }
        imported = set(re.findall(r'"Fn::ImportValue": "([^"]+)"', json.dumps(template("pipeline"))))
        assert imported == exports

    @pytest.mark.parametrize("role", ["PipelineRole", "BuildRole", "DevSmokeRole", "ProdSmokeRole"])
    def test_roles_have_no_wildcards(self, role: str) -> None:
        for statement in statements("pipeline", role):
            assert [action for action in listed(statement["Action"]) if "*" in action] == []
            assert statement["Resource"] != "*"


class TestPolicyForDeployingByHand:
    """infra/deploy-by-hand.json: tests/e2e/test_deploying.py deploys with these rights alone."""

    POLICY = read(PROJECT / "infra" / "deploy-by-hand.json")
    RESOURCES = ("Table", "Bucket", "Queues", "Topic", "MakeUserPool", "UserPool", "SeeSignInPage", "Alarms")
    """The statements about what CloudFormation creates, which the emulator does not check."""

    def test_resources_are_allowed_as_to_the_pipelines(self) -> None:
        by_hand = {one["Sid"]: one["Action"] for one in self.POLICY["Statement"]}
        of_pipelines = {one["Sid"]: one["Action"] for one in statements("deployer", "DeploymentRole")}

        assert {sid: by_hand[sid] for sid in self.RESOURCES} == {sid: of_pipelines[sid] for sid in self.RESOURCES}

    def test_it_names_only_its_stage(self) -> None:
        read_only = {"SeeConsumer", "SeeLogs", "SeeSignInPage", "FindConsumer"}  # AWS limits these to no name
        apis = {"Api"}  # REST APIs have no names in their ARNs
        for statement in self.POLICY["Statement"]:
            if statement["Sid"] not in read_only | apis:
                bounds = [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
                condition = json.dumps(statement.get("Condition", {}))
                assert (
                    all("vitrine-dev" in bound for bound in bounds)
                    or '"dev"' in condition
                    or "vitrine-dev" in condition
                )

    def test_it_fits_the_size_limit(self) -> None:
        # IAM User Guide, "IAM and AWS STS quotas": 6,144 characters of a managed policy, white space not counted.
        assert len(re.sub(r"\s", "", json.dumps(self.POLICY))) < 6144

    def test_distribution_is_allowed_as_to_the_pipelines(self) -> None:
        [policy] = [
            one["PolicyDocument"]
            for one in resource("deployer", "DeploymentRole")["Policies"]
            if one["PolicyName"] == "cloudfront"
        ]
        text = re.sub(r'\{"Fn::Sub": ("[^"]+")\}', r"\1", json.dumps(policy)).replace('{"Ref": "Stage"}', '"dev"')

        by_hand = read(PROJECT / "infra" / "deploy-by-hand-cloudfront.json")

        assert by_hand == json.loads(re.sub(r"\$\{AWS::\w+\}", "*", text))

    @pytest.mark.parametrize(
        ("action", "arn"),
        [
            ("lambda:CreateFunction", "arn:aws:lambda:eu-west-1:123456789012:function:vitrine-dev"),
            ("lambda:CreateFunction", "arn:aws:lambda:eu-west-1:123456789012:function:vitrine-dev-on_upload"),
            ("iam:CreateRole", "arn:aws:iam::123456789012:role/vitrine-dev-on_upload"),
            ("iam:PassRole", "arn:aws:iam::123456789012:role/vitrine-dev-on_upload"),
            ("events:PutRule", "arn:aws:events:eu-west-1:123456789012:rule/vitrine-dev-on_upload-event"),
            (
                "logs:PutRetentionPolicy",
                "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/vitrine-dev-on_upload",
            ),
        ],
    )
    def test_it_covers_the_names_that_chalice_gives(self, action: str, arn: str) -> None:
        granting = [one for one in self.POLICY["Statement"] if action in one["Action"] or one["Action"] == action]
        resources = [one["Resource"] for one in granting]
        patterns = [pattern for one in resources for pattern in ([one] if isinstance(one, str) else one)]

        assert any(fnmatch.fnmatchcase(arn, pattern) for pattern in patterns)
        assert not any(fnmatch.fnmatchcase(arn.replace("vitrine-dev", "vitrine-prod"), pattern) for pattern in patterns)
