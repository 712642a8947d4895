"""Run the commands of docs/deploying.md and docs/operating.md with the AWS CLI in an empty account.

The emulator does not run arm64 functions, so these tests do not invoke them; the other end-to-end tests do.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.blocks import block
from tests.e2e.shell import at_the_emulator, type_in
from tests.e2e.system import ROOT, copy_project, emulator_without_saves
from tests.e2e.test_plain_deploy import CHALICE
from tools.stage import search_index_state

PAGE = "docs/deploying.md"
RUNBOOK = "docs/operating.md"
ACCOUNT = "333333333333"
"""The account of the pipelines' deployments; all other tests here use the emulator's default account."""
EMPTY_ACCOUNT = "444444444444"
FUNCTIONS = len(json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_functions"])
"""The number of functions of a stage."""
# The emulator rejects templates with these resource types. A queue replaces each, so that references to it resolve.
UNKNOWN = {"AWS::IAM::OIDCProvider", "AWS::CodePipeline::Pipeline", "AWS::CodeBuild::Project"}
STAND_IN = {"Type": "AWS::SQS::Queue"}
WITHOUT_SETTINGS = "unset STAGE AUTH_MODE BUCKET_NAME\n"
"""Typed before a command that make does not run, because ``person`` has empty settings for make."""


class Person(NamedTuple):
    """A user with a checkout of the project and an AWS account."""

    project: Path
    env: dict[str, str]

    def types(self, script: str, answers: str = "") -> str:
        return type_in(script, self.project, answers, **self.env)

    def client(self, service: str) -> Any:
        session = boto3.Session(
            self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
        )
        return session.client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"])

    def outputs(self, stack: str) -> dict[str, str]:
        """Return the outputs of a stack; raise AssertionError unless its creation or update is complete."""
        (described,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        assert described["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("deploying")
    project = checkout(folder / "project")
    for template in (project / "infra").glob("*.json"):
        leave_out_what_the_emulator_does_not_know(template)
    with emulator_without_saves(folder / "emulator") as emulator:
        yield Person(
            project,
            # Clear the settings that come from these tests and from a make that runs them.
            at_the_emulator(emulator)
            | dict.fromkeys(("STAGE", "AUTH_MODE", "BUCKET_NAME", "MAKEFLAGS", "MAKELEVEL"), ""),
        )


def checkout(target: Path) -> Path:
    """Return a copy of the project in which ``make`` and the scripts in .ci can run."""
    project = copy_project(target)
    shutil.copy2(ROOT / "Makefile", project)
    shutil.copytree(ROOT / ".ci", project / ".ci")
    install(project / ".venv")
    return project


def install(venv: Path) -> None:
    """Create a virtual environment that uses this process's Python, so that nothing is installed."""
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "type_chalice.py").write_text(CHALICE)
    for name, command in {"python": "", "chalice": f"{venv}/bin/type_chalice.py"}.items():
        (venv / "bin" / name).write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
        (venv / "bin" / name).chmod(0o755)
    for requirements in ("requirements.txt", "requirements-dev.txt"):
        shutil.copy2(ROOT / requirements, venv.parent)
    (venv / ".ready").touch()


def leave_out_what_the_emulator_does_not_know(path: Path) -> None:
    template = json.loads(path.read_text())
    for name, resource in template.get("Resources", {}).items():
        if resource.get("Type") in UNKNOWN:
            kept = {key: resource[key] for key in ("Condition",) if key in resource}
            template["Resources"][name] = STAND_IN | kept
    path.write_text(json.dumps(template))


@pytest.fixture(scope="module")
def prod(person: Person) -> Person:
    """Deploy the stage ``prod`` by CloudFormation and return the user."""
    person.types(in_the_text("aws s3 mb").replace("YOUR-ARTIFACTS", "your-artifacts"))
    output = person.types(block(PAGE, "package"))
    assert "Wrote out/sam.json and out/deployment.zip" in output
    person.types(block(PAGE, "by CloudFormation").replace("YOUR-ARTIFACTS", "your-artifacts"))
    return person


def in_the_text(command: str) -> str:
    """Return the inline command in docs/deploying.md that starts with ``command``."""
    found = re.search(rf"`({command} [^`]+)`", (ROOT / PAGE).read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def test_deployment_by_cloudformation(prod: Person) -> None:
    prod.types(block(PAGE, "console"))
    prod.types(block(RUNBOOK, "alarms"))

    assert prod.outputs("vitrine-prod")["EndpointURL"].endswith("/api/")
    assert console_urls(prod, "prod") == [prod.outputs("vitrine-prod")["EndpointURL"]]
    functions = prod.client("lambda").list_functions()["Functions"]
    assert len([one for one in functions if one["FunctionName"].startswith("vitrine-prod-")]) == FUNCTIONS
    (subscribed,) = prod.client("sns").list_subscriptions()["Subscriptions"]
    assert subscribed["TopicArn"] == prod.outputs("vitrine-prod-resources")["AlarmTopicArn"]


def test_custom_domains(prod: Person) -> None:
    api_id = prod.outputs("vitrine-prod")["EndpointURL"].removeprefix("https://").partition(".")[0]
    certificate = "arn:aws:acm:us-east-1:000000000000:certificate/5b9b6b4e-0000-4000-8000-000000000000"
    typed = block(PAGE, "domain") + block(PAGE, "domain of a stage by Chalice")
    typed = typed.replace("YOUR-ARTIFACTS", "your-artifacts").replace("API-ID", api_id)

    prod.types(typed.replace("THE-CERTIFICATES-ARN", certificate))

    for domain in ("catalogue.example.com", "shop.example.com"):
        (mapped,) = prod.client("apigateway").get_base_path_mappings(domainName=domain)["items"]
        assert (mapped["basePath"], mapped["restApiId"], mapped["stage"]) == ("(none)", api_id, "api")
    found = prod.client("apigateway").get_domain_name(domainName="catalogue.example.com")
    assert found["regionalDomainName"] == prod.outputs("vitrine-prod")["DomainTarget"]


def test_package_with_an_http_api_and_a_faster_start(prod: Person) -> None:
    prod.types("make package STAGE=prod FRONT=http FAST=provisioned")

    template = json.loads((prod.project / "out" / "sam.json").read_text())
    alias = json.dumps(template["Resources"]["HttpApiIntegration"]["Properties"]["IntegrationUri"])
    assert "${APIHandlerAliaslive}" in alias
    assert "ProvisionedConcurrency" in template["Parameters"]


class TestTheRunbook:
    def test_stops_and_starts_the_consumer(self, prod: Person) -> None:
        def state() -> Any:
            mappings = prod.client("lambda").list_event_source_mappings()["EventSourceMappings"]
            (mapping,) = [one for one in mappings if one["EventSourceArn"].endswith(":vitrine-prod-jobs")]
            return mapping["State"]

        prod.types(block(RUNBOOK, "stop the consumer"))
        assert state() == "Disabled"

        prod.types(block(RUNBOOK, "stop the consumer").replace("--no-enabled", "--enabled"))
        assert state() == "Enabled"

    def test_stops_and_starts_the_cleanup_only(self, prod: Person) -> None:
        def states() -> set[tuple[bool, str]]:
            rules = prod.client("events").list_rules(NamePrefix="vitrine-prod-")["Rules"]
            return {("ScheduleExpression" in rule, rule["State"]) for rule in rules}

        prod.types(block(RUNBOOK, "stop the cleanup"))
        assert states() == {(True, "DISABLED"), (False, "ENABLED")}

        prod.types(block(RUNBOOK, "stop the cleanup").replace("disable-rule", "enable-rule"))
        assert states() == {(True, "ENABLED"), (False, "ENABLED")}

    def test_throttles_the_api(self, prod: Person) -> None:
        api_id = prod.outputs("vitrine-prod")["EndpointURL"].removeprefix("https://").partition(".")[0]

        prod.types(block(RUNBOOK, "throttle").replace("API-ID", api_id))

        settings = prod.client("apigateway").get_stage(restApiId=api_id, stageName="api")["methodSettings"]["*/*"]
        assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (5, 5)

    def test_lists_the_log_groups_of_the_stage(self, prod: Person) -> None:
        functions = [one["FunctionName"] for one in prod.client("lambda").list_functions()["Functions"]]
        groups = {f"/aws/lambda/{name}" for name in functions if name.startswith("vitrine-prod-")}

        assert set(prod.types(block(RUNBOOK, "log groups")).split()) == groups

    def test_disables_a_user(self, prod: Person) -> None:
        pool = {"UserPoolId": prod.outputs("vitrine-prod-resources")["UserPoolId"], "Username": "ann@example.com"}
        prod.client("cognito-idp").admin_create_user(**pool, MessageAction="SUPPRESS")

        prod.types(block(RUNBOOK, "lock out"))

        assert prod.client("cognito-idp").admin_get_user(**pool)["Enabled"] is False

    def test_restores_a_deleted_item_only(self, prod: Person) -> None:
        dynamodb = prod.client("dynamodb")
        item = {"pk": {"S": "OWNER#ann"}, "sk": {"S": "ITEM#1"}, "price": {"N": "19.9"}}
        dynamodb.put_item(TableName="vitrine-prod", Item=item)
        prod.types(block(RUNBOOK, "restore"))
        bring_back = block(RUNBOOK, "restore an item").replace("<owner>", "ann").replace("<id>", "1")

        dynamodb.delete_item(TableName="vitrine-prod", Key={name: item[name] for name in ("pk", "sk")})
        prod.types(bring_back)

        assert dynamodb.scan(TableName="vitrine-prod")["Items"] == [item]
        with pytest.raises(AssertionError, match="ConditionalCheckFailed"):
            prod.types(bring_back)


def test_deployment_by_chalice_and_deletion(person: Person) -> None:
    functions = person.client("lambda").get_paginator("list_functions")

    def names() -> list[str]:
        found = [one["FunctionName"] for page in functions.paginate() for one in page["Functions"]]
        return [name for name in found if name.startswith("vitrine-dev")]

    with pytest.raises(AssertionError, match="There is no terminal to ask: use --yes, or make deploy YES=1"):
        person.types(f"{block(PAGE, 'by Chalice').strip()} </dev/null")
    stacks = person.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE"])["StackSummaries"]
    assert "vitrine-dev-resources" not in {stack["StackName"] for stack in stacks}
    assert "--stage dev --yes" in person.types("make -n deploy STAGE=dev YES=1").replace('"', "")

    output = person.types(block(PAGE, "by Chalice"), "y\ny\n")
    assert output.count("[y/N]") == 2
    assert "Rest API URL: https://" in output
    assert len(names()) == FUNCTIONS
    (url,) = re.findall(r"Rest API URL: (\S+)", output)
    assert console_urls(person) == [url]

    person.types(block(PAGE, "unattended"))
    assert len(names()) == FUNCTIONS
    assert console_urls(person) == [url]

    # In AWS, the first request to the API creates the log group.
    person.types("aws logs create-log-group --log-group-name /aws/lambda/vitrine-dev")
    person.types(in_the_text("aws logs put-retention-policy"))
    (group,) = person.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/vitrine-dev")["logGroups"][:1]
    assert group["retentionInDays"] == 365

    output = person.types(WITHOUT_SETTINGS + block(RUNBOOK, "deploy function"))
    assert "on_upload (vitrine-dev-on_upload) runs the code of this folder already" in output

    record = person.project / ".chalice" / "deployed" / "dev.json"
    recorded = record.read_text()
    output = person.types(WITHOUT_SETTINGS + block(PAGE, "undo"), "dev\n")
    assert f"the API and {FUNCTIONS} functions: what `chalice deploy` created" in output
    # The queues refuse the emulator's plain HTTP.
    assert "the queue vitrine-dev-jobs: an unknown number of messages" in output
    assert "Removed the stage dev." in output
    assert names() == []
    assert "vitrine-dev" not in person.client("dynamodb").list_tables()["TableNames"]
    assert person.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/vitrine-dev")["logGroups"] == []

    record.write_text(recorded)  # as if Chalice had been interrupted before it recorded the deletion
    assert "Removed the stage dev." in person.types(WITHOUT_SETTINGS + block(PAGE, "undo"), "dev\n")
    assert json.loads(record.read_text())["resources"] == []


@pytest.fixture
def hand_deployer(person: Person, tmp_path: Path) -> Person:
    """Return a user of an empty account with no rights but those of infra/deploy-by-hand.json."""
    admin = person._replace(env=person.env | {"AWS_ACCESS_KEY_ID": f"ROOT{EMPTY_ACCOUNT}"})
    iam = admin.client("iam")
    iam.create_user(UserName="ann")
    admin.types(block(PAGE, "policy"))
    policy_arn = f"arn:aws:iam::{EMPTY_ACCOUNT}:policy/deploy-vitrine-dev"
    iam.attach_user_policy(UserName="ann", PolicyArn=policy_arn)
    of_file = json.loads((ROOT / "infra" / "deploy-by-hand.json").read_text(encoding="utf-8"))
    for_emulator = {"Version": "2012-10-17", "Statement": as_the_emulator_asks(of_file["Statement"])}
    iam.put_user_policy(UserName="ann", PolicyName="emulator", PolicyDocument=json.dumps(for_emulator))
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    env = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    project = checkout(tmp_path / "project")
    for template in (project / "infra").glob("*.json"):
        leave_out_what_the_emulator_does_not_know(template)
    return Person(project, person.env | env)


ON_ALL = {
    "dynamodb:ListTagsOfResource",
    "dynamodb:TagResource",
    "events:ListTargetsByRule",
    "events:PutTargets",
    "events:RemoveTargets",
    "lambda:CreateEventSourceMapping",
    "lambda:CreateFunction",
    "lambda:UpdateEventSourceMapping",
}
"""Actions whose resource the emulator does not know, so that it wants them on all, without conditions."""


def as_the_emulator_asks(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what ``statements`` grant, for resources that the emulator names in another way than AWS."""
    added = []
    for statement in statements:
        actions = [one for one in statement["Action"] if one in ON_ALL]
        if actions:
            added.append({"Effect": "Allow", "Action": actions, "Resource": "*"})
        if statement["Sid"] == "Rules":  # AWS leaves the default bus out
            of_bus = [one.replace(":rule/", ":rule/default/") for one in statement["Resource"]]
            added.append(statement | {"Resource": of_bus})
    return added


def test_policy_for_deploying_by_hand_suffices(hand_deployer: Person) -> None:
    output = hand_deployer.types("make deploy STAGE=dev YES=1")
    assert "Rest API URL: https://" in output
    assert "search index" not in output + hand_deployer.types("make deploy STAGE=dev YES=1")

    for service, call in {
        "dynamodb": lambda client: client.get_item(TableName="vitrine-dev", Key={"pk": {"S": "1"}, "sk": {"S": "1"}}),
        "lambda": lambda client: client.delete_function(FunctionName="other"),
        "iam": lambda client: client.create_role(RoleName="other", AssumeRolePolicyDocument="{}"),
        "sqs": lambda client: client.create_queue(QueueName="other"),
        "cloudformation": lambda client: client.delete_stack(StackName="other"),
    }.items():
        with pytest.raises(ClientError, match="not authorized"):
            call(hand_deployer.client(service))


def console_urls(person: Person, stage: str = "dev") -> list[str]:
    """Return the URLs to which the stage's user pool redirects after sign-in and sign-out."""
    (stack,) = person.client("cloudformation").describe_stacks(StackName=f"vitrine-{stage}-resources")["Stacks"]
    (urls,) = [one["ParameterValue"] for one in stack["Parameters"] if one["ParameterKey"] == "ConsoleUrls"]
    return str(urls).split(",")


@pytest.fixture(scope="module")
def deployers(person: Person) -> Person:
    """Create the deployer stacks of both stages in a second account and return its user."""
    elsewhere = person._replace(env=person.env | {"AWS_ACCESS_KEY_ID": f"ROOT{ACCOUNT}"})
    of_dev = block(PAGE, "deployer")
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    elsewhere.types(of_dev)
    elsewhere.types(
        of_dev.replace("vitrine-dev", "vitrine-prod").replace("Stage=dev", f"Stage=prod GitHubProvider={provider}")
    )
    return elsewhere


def test_deployer_stacks(deployers: Person) -> None:
    connection = f"arn:aws:codeconnections:us-east-1:{ACCOUNT}:connection/5b9b6b4e-0000-4000-8000-000000000000"

    deployers.types(block(PAGE, "pipeline").replace("THE-CONNECTIONS-ARN", connection))

    for stage in ("dev", "prod"):
        outputs = deployers.outputs(f"deployer-vitrine-{stage}")
        assert outputs.keys() >= {"ArtifactsName", "DeploymentRoleArn", "FunctionBoundaryArn", "GitHubRoleArn"}
    deployers.outputs("pipeline-vitrine")


def test_pipeline_keeps_manual_parameters(deployers: Person) -> None:
    deployers.types("make package STAGE=dev")
    assert "search index" not in deployers.types(".ci/deploy dev")
    (url,) = console_urls(deployers)
    assert url == deployers.outputs("vitrine-dev")["EndpointURL"]

    own = "https://catalogue.example.com/"
    # The AWS CLI names change sets after the second, and the emulator deploys a stack in less than one.
    time.sleep(1)
    deployers.types(block(PAGE, "another console").replace("https://catalogue.example.com/", f"{url},{own}"))
    time.sleep(1)
    deployers.types(block(PAGE, "cloudfront").replace("https://abc123.execute-api.eu-west-1.amazonaws.com/api/", url))
    assert "search index" not in deployers.types(".ci/deploy dev")

    assert console_urls(deployers) == [url, own]
    outputs = deployers.outputs("vitrine-dev-resources")
    assert outputs["PublicUrl"] == f"https://{outputs['DistributionDomainName']}"
    client = deployers.client("cognito-idp").describe_user_pool_client(
        UserPoolId=outputs["UserPoolId"], ClientId=outputs["UserPoolClientId"]
    )["UserPoolClient"]
    assert client["CallbackURLs"] == [url, own, f"{outputs['PublicUrl']}/"]
    functions = deployers.client("lambda").list_functions()["Functions"]
    assert outputs["PublicUrl"] in [one["Environment"]["Variables"].get("PUBLIC_URL") for one in functions]

    deployers.types(block(PAGE, "invalidate"))
    found = deployers.client("cloudfront").list_invalidations(DistributionId=outputs["DistributionId"])
    assert found["InvalidationList"]["Quantity"] == 1


def test_pipeline_says_that_the_declared_fields_have_changed(deployers: Person) -> None:
    (deployers.project / "out" / "index-declaration").write_text("0123456789abcdef")

    output = deployers.types(".ci/deploy dev")

    assert search_index_state.describe_missing("dev") in output
    table = deployers.client("dynamodb").describe_table(TableName="vitrine-dev")["Table"]["TableArn"]
    tags = deployers.client("dynamodb").list_tags_of_resource(ResourceArn=table)["Tags"]
    values = {tag["Key"]: tag["Value"] for tag in tags}
    assert (values[search_index_state.DEPLOYED], values[search_index_state.BUILT]) == ("0123456789abcdef", "no")


def test_boundary_limits_an_admin_function(deployers: Person) -> None:
    boundary = deployers.outputs("deployer-vitrine-dev")["FunctionBoundaryArn"]
    client = with_every_right_within(boundary, deployers)
    record = {"pk": {"S": "OWNER#ann"}, "sk": {"S": "ITEM#1"}}

    # This call is authorized, even if the table does not exist.
    with contextlib.suppress(client("dynamodb").exceptions.ResourceNotFoundException):
        client("dynamodb").get_item(TableName="vitrine-dev", Key=record)
    with pytest.raises(ClientError, match="not authorized to perform: dynamodb:GetItem"):
        client("dynamodb").get_item(TableName="vitrine-prod", Key=record)
    with pytest.raises(ClientError, match="not authorized to perform: dynamodb:DeleteTable"):
        client("dynamodb").delete_table(TableName="vitrine-dev")
    with pytest.raises(ClientError, match="not authorized to perform: iam:CreateUser"):
        client("iam").create_user(UserName="administrator")


def with_every_right_within(boundary: str, person: Person) -> Callable[[str], Any]:
    """Return a factory of clients that use a role with all permissions and this permissions boundary."""
    iam = person.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    role = iam.create_role(
        RoleName="vitrine-dev-greedy", AssumeRolePolicyDocument=policy(trust), PermissionsBoundary=boundary
    )["Role"]
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="everything", PolicyDocument=policy(everything))
    given = person.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], "us-east-1")
    return functools.partial(session.client, endpoint_url=person.env["AWS_ENDPOINT_URL"])


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
