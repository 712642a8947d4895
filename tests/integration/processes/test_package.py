"""The template of each stage, as ``make package`` writes it.

The emulator deploys it but ignores some of it, such as alarms and the dashboard. That is tested here.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any, Protocol, get_args

import pytest
from cfnlint.api import lint_file
from chalice import Chalice
from chalice.deploy.swagger import CFNSwaggerGenerator
from samtranslator.translator.transform import transform

from chalicelib import config
from chalicelib.config import LOCAL
from chalicelib.http import auth
from tools import infrastructure_scan
from tools.stage import fast_start, policies

PROJECT = Path(__file__).resolve().parents[3]
CONFIG = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))
STAGES = infrastructure_scan.STAGES
DEPLOYED = [stage for stage in STAGES if stage != LOCAL]
FUNCTIONS = {
    "APIHandler": "api_handler",
    "Authorize": "authorize",
    "CleanUp": "clean_up",
    "OnChange": "on_change",
    "OnDeliveries": "on_deliveries",
    "OnMessages": "on_messages",
    "OnUpload": "on_upload",
}
"""The names of the functions in app.py, by their names in the template."""
TOPIC = {"Fn::ImportValue": {"Fn::Sub": "${AWS::StackName}-resources-AlarmTopicArn"}}

Template = dict[str, Any]


class Packaged(Protocol):
    """Packages a stage once per session, and returns the path of its template."""

    def __call__(self, stage: str, front: str = infrastructure_scan.REST) -> Path:
        """Return the path of the template of ``stage`` with this kind of API."""


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    made: dict[tuple[str, str], Path] = {}

    def package(stage: str, front: str = infrastructure_scan.REST) -> Path:
        if (stage, front) not in made:
            folder = tmp_path_factory.mktemp(stage)
            infrastructure_scan.packaged_template(stage, folder / "project", front=front)
            made[stage, front] = folder / "project" / "out" / "sam.json"
        return made[stage, front]

    return package


def read(path: Path) -> Template:
    template: Template = json.loads(path.read_text(encoding="utf-8"))
    return template


def resources(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of all resources of a type, by id."""
    return {
        name: resource["Properties"] for name, resource in template["Resources"].items() if resource["Type"] == kind
    }


def functions(template: Template) -> dict[str, dict[str, Any]]:
    return resources(template, "AWS::Serverless::Function")


def alarms(template: Template) -> dict[str, dict[str, Any]]:
    return resources(template, "AWS::CloudWatch::Alarm")


class NoManagedPolicies:
    """A loader without policies. SAM would load the managed policies from AWS, but no function uses one."""

    def load(self) -> dict[str, str]:
        return {}


def translated(template: Template) -> Template:
    """Return the template after SAM's transform."""
    for function in functions(template).values():
        function["CodeUri"] = {"Bucket": "artifacts", "Key": "deployment.zip"}
    result: Template = transform(template, {}, NoManagedPolicies())
    return result


AUTHORIZATIONS = {
    "Bearer eyJh.eyJz.x-_": True,
    "bearer   eyJh.eyJz.sig": True,
    "BEARER eyJh=.eyJz.sig": True,
    "Bearer abc": False,
    "Bearer a.b": False,
    "Bearer a.b.": False,
    "Bearer .b.c": False,
    "Bearer a.b.c.d": False,
    "Bearer a.b.c.d.e": False,  # encrypted
    "Bearer a.b.c d": False,
    "Bearer  ": False,
    "Bearera.b.c": False,
    "Basic a.b.c": False,
    "a.b.c": False,
    "": False,
    "Bearer a.b.\u00fc": False,
}
"""Whether an Authorization header can contain a token."""


def authorizer_of_chalice() -> dict[str, Any]:
    """Return Chalice's definition of the authorizer in an app with a guarded route."""
    app = Chalice("x")
    guard = app.authorizer(ttl_seconds=300)(authorize)
    app.route("/", authorizer=guard)(authorize)
    made: dict[str, Any] = CFNSwaggerGenerator().generate_swagger(app)["securityDefinitions"]["authorize"]
    return made


def authorize() -> None:
    """Stand in for app.authorize, which has this name."""


@pytest.mark.usefixtures("unmeasured")
def test_every_stage_is_valid_cloudformation(packaged: Packaged) -> None:
    for stage in STAGES:
        assert lint_file(packaged(stage)) == []


@pytest.mark.usefixtures("unmeasured")
def test_stage_with_an_http_api_is_valid_cloudformation(packaged: Packaged) -> None:
    path = packaged("dev", infrastructure_scan.HTTP)
    template = read(path)

    assert lint_file(path) == []
    assert "AWS::Serverless" not in json.dumps(translated(template))
    assert set(functions(template)) == FUNCTIONS.keys() - {"Authorize"}
    assert not re.search(r"\d{12}|RestAPI|SigningKeys|SignInRefused|Authorize\W", json.dumps(template))
    used = metrics(dashboard(template, "dev"), "AWS/ApiGateway")
    assert {tuple(one[2:6]) for one in used} == {("ApiId", "<HttpApi>", "Stage", "api")}
    assert {one[1] for one in used} == {"Count", "4xx", "5xx", "Latency"}


@pytest.mark.parametrize("front", [infrastructure_scan.REST, infrastructure_scan.HTTP])
def test_domain_is_optional_and_mapped_to_the_api(packaged: Packaged, front: str) -> None:
    template = translated(read(packaged("dev", front)))

    def named(kind: str) -> str:
        [name] = [name for name, one in template["Resources"].items() if one["Type"] == kind]
        return str(name)

    api, stage = (
        ("AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage")
        if front == infrastructure_scan.REST
        else ("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage")
    )
    domain, mapping = template["Resources"]["Domain"], template["Resources"]["DomainMapping"]
    # Without a key: an HTTP API does not pass it on, so links would lack it.
    assert mapping["Properties"] == {
        "DomainName": {"Ref": "Domain"},
        "ApiId": {"Ref": named(api)},
        "Stage": {"Ref": named(stage)},
    }
    [configuration] = domain["Properties"]["DomainNameConfigurations"]
    assert (configuration["EndpointType"], configuration["SecurityPolicy"]) == ("REGIONAL", "TLS_1_2")
    assert (domain["Condition"], mapping["Condition"]) == ("OwnDomain", "OwnDomain")
    assert [template["Parameters"][name]["Default"] for name in ("DomainName", "CertificateArn")] == ["", ""]


def fast(path: Path, kind: fast_start.Kind) -> Template:
    """Return a packaged template with an API function that starts by ``kind``, for a Python that has SnapStart."""
    template = read(path)
    for function in functions(template).values():
        function["Runtime"] = "python3.13"
    return fast_start.convert(template, kind)


@pytest.mark.usefixtures("unmeasured")
class TestFastStart:
    """From the version to the alias to the URIs and the permission: with one missing, requests run ``$LATEST``."""

    @pytest.mark.parametrize("front", [infrastructure_scan.REST, infrastructure_scan.HTTP])
    @pytest.mark.parametrize("kind", get_args(fast_start.Kind))
    def test_api_gateway_calls_only_the_published_version(
        self, packaged: Packaged, front: str, kind: fast_start.Kind
    ) -> None:
        made = translated(fast(packaged("dev", front), kind))

        [(version, properties)] = resources(made, "AWS::Lambda::Version").items()
        assert properties["FunctionName"] == {"Ref": "APIHandler"}
        [(alias, properties)] = resources(made, "AWS::Lambda::Alias").items()
        assert properties["FunctionVersion"] == {"Fn::GetAtt": [version, "Version"]}
        assert properties["FunctionName"] == {"Ref": "APIHandler"}
        number = properties.get("ProvisionedConcurrencyConfig", {}).get("ProvisionedConcurrentExecutions")
        snapshots = made["Resources"]["APIHandler"]["Properties"].get("SnapStart")
        started = (
            ({"ApplyOn": "PublishedVersions"}, None)
            if kind == "snapstart"
            else (None, {"Ref": "ProvisionedConcurrency"})
        )
        assert (snapshots, number) == started
        uris = set(re.findall(r"functions/\$\{(\w+(?:\.\w+)?)\}/invocations", json.dumps(made)))
        assert uris == {alias} | ({"Authorize.Arn"} if front == infrastructure_scan.REST else set())
        [permission] = [
            one["FunctionName"]
            for one in resources(made, "AWS::Lambda::Permission").values()
            if one["Principal"] == "apigateway.amazonaws.com" and "Authorize" not in json.dumps(one["FunctionName"])
        ]
        assert permission == {"Ref": alias}

    def test_every_change_of_a_setting_is_published(self, packaged: Packaged) -> None:
        def version(**changed: Any) -> str:
            template = fast(packaged("dev"), "snapstart")
            functions(template)["APIHandler"].update(changed)
            made = translated(template)["Resources"]
            [(name, one)] = [(name, one) for name, one in made.items() if one["Type"] == "AWS::Lambda::Version"]
            # CloudFormation replaces a version with another description, and deletes the one before.
            assert one["Properties"]["Description"] == {"Fn::Sub": "PublicUrl: ${PublicUrl}"}
            assert one["DeletionPolicy"] == "Delete"
            return str(name)

        assert version() == version() != version(Timeout=28)

    def test_description_contains_every_parameter_of_a_setting(self, packaged: Packaged) -> None:
        template = read(packaged("dev"))
        settings = json.dumps(functions(template)["APIHandler"]["Environment"])
        used = {name for pair in re.findall(r'"Ref": "(\w+)"|\$\{(\w+)\}', settings) for name in pair}
        assert used & template["Parameters"].keys() == {"PublicUrl"}


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("front", [infrastructure_scan.REST, infrastructure_scan.HTTP])
@pytest.mark.parametrize("kind", get_args(fast_start.Kind))
def test_stage_with_fast_starts_is_valid_cloudformation(
    packaged: Packaged, tmp_path: Path, front: str, kind: fast_start.Kind
) -> None:
    path = tmp_path / "sam.json"
    path.write_text(json.dumps(fast(packaged("dev", front), kind)), encoding="utf-8")

    assert lint_file(path) == []


@pytest.mark.parametrize("stage", STAGES)
class TestEveryStage:
    def test_sam_accepts_it_without_a_warning(
        self, packaged: Packaged, stage: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with warnings.catch_warnings(), caplog.at_level("WARNING"):
            warnings.simplefilter("error")
            result = translated(read(packaged(stage)))
        # SAM warns that its own metrics are not published, which does not concern the template.
        assert [one for one in caplog.records if one.name != "samtranslator.metrics.metrics"] == []
        assert "AWS::Serverless" not in json.dumps(result)

    def test_every_resource_has_a_type(self, packaged: Packaged, stage: str) -> None:
        # Merging into a resource that Chalice does not create leaves it without a type.
        untyped = [name for name, resource in read(packaged(stage))["Resources"].items() if "Type" not in resource]
        assert untyped == []

    def test_functions_have_no_aws_variables(self, packaged: Packaged, stage: str) -> None:
        variables = {
            name for one in functions(read(packaged(stage))).values() for name in one["Environment"]["Variables"]
        }
        assert "STAGE" in variables
        assert [name for name in variables if name.startswith("AWS_")] == []

    def test_every_function_has_its_own_role_and_policy(self, packaged: Packaged, stage: str) -> None:
        template = read(packaged(stage))
        roles = {FUNCTIONS[name]: function["Role"]["Fn::GetAtt"][0] for name, function in functions(template).items()}
        assert len(set(roles.values())) == len(FUNCTIONS)
        for function, role in roles.items():
            properties = template["Resources"][role]["Properties"]
            [policy] = properties["Policies"]
            assert policy["PolicyDocument"] == policies.for_stage(PROJECT, stage)[function]
            assert "ManagedPolicyArns" not in properties

    def test_permissions_boundary_is_optional(self, packaged: Packaged, stage: str) -> None:
        template = read(packaged(stage))
        no_value = {"Ref": "AWS::NoValue"}
        roles = resources(template, "AWS::IAM::Role")
        assert {json.dumps(role.get("PermissionsBoundary")) for role in roles.values()} == {
            json.dumps({"Fn::If": ["Bounded", {"Ref": "FunctionBoundary"}, no_value]})
        }
        assert template["Parameters"]["FunctionBoundary"]["Default"] == ""
        assert template["Conditions"]["Bounded"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "FunctionBoundary"}, ""]}]}

    def test_logs_are_kept_as_configured(self, packaged: Packaged, stage: str) -> None:
        kept = {
            group["LogGroupName"]["Fn::Sub"]: group["RetentionInDays"]
            for group in resources(read(packaged(stage)), "AWS::Logs::LogGroup").values()
        }
        assert kept == {f"/aws/lambda/${{{name}}}": CONFIG["log_retention_in_days"] for name in FUNCTIONS}

    def test_no_concurrency_is_reserved(self, packaged: Packaged, stage: str) -> None:
        template = read(packaged(stage))
        assert [name for name, one in functions(template).items() if "ReservedConcurrentExecutions" in one] == []

    @pytest.mark.parametrize("consumer", ["OnMessages", "OnDeliveries"])
    def test_consumer_leaves_concurrency_for_requests(self, packaged: Packaged, stage: str, consumer: str) -> None:
        [event] = functions(read(packaged(stage)))[consumer]["Events"].values()
        assert (
            2 <= event["Properties"]["ScalingConfig"]["MaximumConcurrency"] < 10
        )  # a new account has 10; 2 is the minimum of AWS

    def test_failed_asynchronous_events_are_kept(self, packaged: Packaged, stage: str) -> None:
        template = read(packaged(stage))
        asynchronous = {
            name
            for name, function in functions(template).items()
            for event in function.get("Events", {}).values()
            if event["Type"] in ("CloudWatchEvent", "Schedule")
        }
        settings = resources(translated(template), "AWS::Lambda::EventInvokeConfig")
        assert asynchronous == {"OnUpload", "CleanUp"}
        # An operator sends records that were set aside to OnChange.
        assert {one["FunctionName"]["Ref"] for one in settings.values()} == asynchronous | {"OnChange"}
        kept = {"Fn::ImportValue": {"Fn::Sub": "${AWS::StackName}-resources-FailedEventQueueArn"}}
        for one in settings.values():
            assert one["DestinationConfig"] == {"OnFailure": {"Destination": kept}}

    def test_authorizer_is_called_only_with_tokens(self, packaged: Packaged, stage: str) -> None:
        merged = read(packaged(stage))["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
        authorizer = merged["securityDefinitions"]["authorize"]["x-amazon-apigateway-authorizer"]
        expression = authorizer.pop("identityValidationExpression")
        # It is merged into Chalice's, which is missing if no route requires sign-in, so it must be complete.
        assert merged["securityDefinitions"]["authorize"] == authorizer_of_chalice()
        guarded = [one for path in merged["paths"].values() for one in path.values() if "security" in one]
        assert bool(guarded) == (stage != LOCAL)
        for header, is_token in AUTHORIZATIONS.items():
            assert bool(re.search(expression, header)) == is_token, header
            assert bool(auth.BEARER.fullmatch(header)) == is_token, header

    def test_every_function_has_alarms(self, packaged: Packaged, stage: str) -> None:
        watched = {
            (alarm["MetricName"], alarm["Dimensions"][0]["Value"]["Ref"])
            for alarm in alarms(read(packaged(stage))).values()
            if alarm["Namespace"] == "AWS/Lambda"
        }
        metrics_ = {(metric, name) for metric in ("Errors", "Throttles", "Duration") for name in FUNCTIONS}
        assert watched == metrics_ | {("IteratorAge", "OnChange")}

    def test_slow_alarm_is_at_four_fifths_of_the_timeout(self, packaged: Packaged, stage: str) -> None:
        template = read(packaged(stage))
        for alarm in alarms(template).values():
            if alarm["MetricName"] == "Duration":
                seconds = functions(template)[alarm["Dimensions"][0]["Value"]["Ref"]]["Timeout"]
                assert alarm["Threshold"] == seconds * 800
                assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Maximum", "GreaterThanOrEqualToThreshold")

    def test_signing_keys_alarm_uses_the_metric_of_the_stage(self, packaged: Packaged, stage: str) -> None:
        [alarm] = [one for one in alarms(read(packaged(stage))).values() if one["Namespace"] == "Vitrine"]
        counted = (PROJECT / "chalicelib" / "http" / "issuer_keys.py").read_text(encoding="utf-8")
        assert f'telemetry.add_count("{alarm["MetricName"]}")' in counted
        stage_of_stack = {"Fn::Select": [1, {"Fn::Split": ["-", {"Ref": "AWS::StackName"}]}]}
        assert {one["Name"]: one["Value"] for one in alarm["Dimensions"]} == {
            "service": config.APP,
            "stage": stage_of_stack,
        }

    def test_api_alarm_uses_the_metric_of_the_api(self, packaged: Packaged, stage: str) -> None:
        template = read(packaged(stage))
        [alarm] = [one for one in alarms(template).values() if one["Namespace"] == "AWS/ApiGateway"]
        api = template["Resources"]["RestAPI"]["Properties"]
        dimensions = {one["Name"]: one["Value"] for one in alarm["Dimensions"]}
        assert alarm["MetricName"] == "5XXError"
        assert dimensions == {"ApiName": api["Name"], "Stage": api["StageName"]}
        # The title in the definition sets the name of the API too.
        assert api["DefinitionBody"]["info"]["title"] == api["Name"] == {"Ref": "AWS::StackName"}

    def test_alarms_notify_the_topic_with_a_description(self, packaged: Packaged, stage: str) -> None:
        for alarm in alarms(read(packaged(stage))).values():
            assert alarm["AlarmActions"] == [TOPIC]
            assert 0 < len(alarm["AlarmDescription"]) <= 1024
            assert alarm["TreatMissingData"] == "notBreaching"
            assert alarm["AlarmName"]["Fn::Sub"].startswith("${AWS::StackName}-")

    def test_dashboard_uses_metrics_of_the_stage(self, packaged: Packaged, stage: str) -> None:
        sources = [path.read_text(encoding="utf-8") for path in (PROJECT / "chalicelib").rglob("*.py")]
        counted = {name for text in sources for name in re.findall(r'add_(?:count|milliseconds|bytes)\("(\w+)"', text)}
        displayed = metrics(dashboard(read(packaged(stage)), stage), "Vitrine")
        assert {one[1] for one in displayed} <= counted
        assert {tuple(one[2:6]) for one in displayed} == {("service", "vitrine", "stage", stage)}


class TestStages:
    @pytest.mark.parametrize("stage", DEPLOYED)
    def test_deployed_stages_contain_no_account_or_region(self, packaged: Packaged, stage: str) -> None:
        text = packaged(stage).read_text(encoding="utf-8")
        for value in CONFIG["stages"][stage]["environment_variables"].values():
            text = text.replace(json.dumps(value), '""')
        assert re.findall(r"\b\d{12}\b", text) == []
        assert re.findall(r"\b[a-z]{2}(?:-[a-z]+)+-\d\b", text) == []

    @pytest.mark.parametrize("stage", DEPLOYED)
    def test_functions_have_the_configured_architecture(self, packaged: Packaged, stage: str) -> None:
        architectures = [function["Architectures"] for function in functions(read(packaged(stage))).values()]
        assert architectures == [[CONFIG["stages"][stage]["lambda_architecture"]]] * len(FUNCTIONS)


def dashboard(template: Template, stage: str) -> list[dict[str, Any]]:
    """Return the widgets of the dashboard, with references to other resources as ``<id>`` or ``<id.Arn>``."""
    [properties] = resources(template, "AWS::CloudWatch::Dashboard").values()
    widgets: list[dict[str, Any]] = json.loads(resolved(properties["DashboardBody"], f"vitrine-{stage}"))["widgets"]
    return widgets


def metrics(widgets: list[dict[str, Any]], namespace: str) -> list[list[Any]]:
    return [
        metric for widget in widgets for metric in widget["properties"].get("metrics", []) if metric[0] == namespace
    ]


def resolved(value: Any, stack: str) -> Any:
    """Return ``value`` as CloudFormation resolves it in a stack of that name."""
    match value:
        case str():
            result: Any = value
        case {"Ref": "AWS::StackName"}:
            result = stack
        case {"Fn::Join": [separator, parts]}:
            result = separator.join(resolved(part, stack) for part in parts)
        case {"Fn::Split": [separator, text]}:
            result = resolved(text, stack).split(separator)
        case {"Fn::Select": [index, parts]}:
            result = resolved(parts, stack)[index]
        case {"Fn::Sub": [text, names]}:
            result = substituted(text, {name: resolved(one, stack) for name, one in names.items()}, stack)
        case {"Fn::Sub": text}:
            result = substituted(text, {}, stack)
    return result


def substituted(text: str, names: dict[str, str], stack: str) -> str:
    known = {"AWS::StackName": stack, **names}
    return re.sub(r"\$\{([^}]+)\}", lambda found: known.get(found[1], f"<{found[1]}>"), text)
