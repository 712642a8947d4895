"""The templates in infra/, Chalice's configuration and the IAM policies.

The emulator ignores some of it, such as backups, lifecycle rules and TTL.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import app
from chalicelib import config, errors
from chalicelib.catalogue import consumer
from tests import rights
from tools.stage import chalice_config, policies
from tools.stage.errors import StageError
from tools.stage.names import check_stage_name

PROJECT = Path(__file__).resolve().parents[2]
STAGES = ["local", "dev", "prod"]


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((PROJECT / name).read_text(encoding="utf-8"))
    return content


TEMPLATE = read("infra/resources.json")
RESOURCES = TEMPLATE["Resources"]
MERGED = read("infra/package.json")["Resources"]
CONFIG = read(".chalice/config.json")
FUNCTIONS = sorted(CONFIG["lambda_functions"])


def properties(logical_id: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[logical_id]["Properties"]
    return found


def timeout(function: str) -> int:
    seconds: int = CONFIG["lambda_functions"][function]["lambda_timeout"]
    return seconds


def statements(function: str) -> list[dict[str, Any]]:
    return [*policies.for_stage(PROJECT, "dev")[function]["Statement"]]


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


class TestTable:
    def test_is_on_demand_encrypted_and_recoverable(self) -> None:
        table = properties("Table")
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"] == {"SSEEnabled": True}
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}

    def test_is_protected_from_deletion_if_deployed(self) -> None:
        assert properties("Table")["DeletionProtectionEnabled"] == {"Fn::If": ["Deployed", True, False]}
        assert TEMPLATE["Conditions"]["Deployed"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "local"]}]}

    def test_index_of_work_due_contains_only_keys(self) -> None:
        [index] = properties("Table")["GlobalSecondaryIndexes"]
        assert index["IndexName"] == "due"
        assert [key["AttributeName"] for key in index["KeySchema"]] == ["dueShard", "dueAt"]
        assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}

    def test_expired_records_are_deleted(self) -> None:
        assert properties("Table")["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}


class TestBucket:
    def test_public_access_is_blocked(self) -> None:
        assert set(properties("Bucket")["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties("Bucket")["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}

    def test_is_encrypted(self) -> None:
        [rule] = properties("Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"

    def test_eventbridge_gets_its_events(self) -> None:
        events = properties("Bucket")["NotificationConfiguration"]
        assert events == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}

    def test_browsers_may_upload_and_download(self) -> None:
        [rule] = properties("Bucket")["CorsConfiguration"]["CorsRules"]
        assert {"GET", "POST"} <= set(rule["AllowedMethods"])

    def test_only_imports_expire(self) -> None:
        rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
        expiring = [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule]
        assert expiring == ["imports/"]

    def test_incomplete_multipart_uploads_are_deleted(self) -> None:
        rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
        aborting = [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule]
        assert [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in aborting] == [1]

    def test_imports_are_kept_as_long_as_their_messages(self) -> None:
        rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
        [days] = [rule["ExpirationInDays"] for rule in rules if rule.get("Prefix") == "imports/"]
        assert days * 86_400 >= properties("DeadLetterQueue")["MessageRetentionPeriod"]


class TestQueues:
    def test_visibility_timeout_is_six_times_that_of_the_consumer(self) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        assert properties("Queue")["VisibilityTimeout"] >= 6 * timeout("on_messages")

    def test_visibility_timeout_is_the_one_of_the_consumer(self) -> None:
        assert properties("Queue")["VisibilityTimeout"] == consumer.VISIBILITY_TIMEOUT
        assert 1_000 * timeout("on_messages") > 2 * consumer.MIN_REMAINING_MS

    def test_message_becomes_a_dead_letter_after_six_receives(self) -> None:
        redrive = properties("Queue")["RedrivePolicy"]
        assert redrive == {
            "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
            "maxReceiveCount": 6,
        }

    def test_jobs_survive_an_outage_of_two_minutes(self) -> None:
        # Lambda Developer Guide, "Using Lambda with Amazon SQS": at least five receives.
        tries = properties("Queue")["RedrivePolicy"]["maxReceiveCount"]
        waits = [min(consumer.MIN_RETRY_DELAY * 2**failed, consumer.MAX_RETRY_DELAY) for failed in range(tries - 1)]
        assert sum(waits) >= 120
        assert max(waits) == consumer.MAX_RETRY_DELAY

    def test_keys_are_kept_longer_than_their_messages(self) -> None:
        waiting = properties("Queue")["MessageRetentionPeriod"]
        dead = properties("DeadLetterQueue")["MessageRetentionPeriod"]
        assert consumer.KEY_PERIOD.total_seconds() > waiting + dead + waiting + 86_400

    def test_dead_letters_are_kept_for_the_maximum_of_sqs(self) -> None:
        assert properties("DeadLetterQueue")["MessageRetentionPeriod"] == 14 * 86_400
        assert properties("Queue")["MessageRetentionPeriod"] < 14 * 86_400

    def test_dead_letter_queue_is_only_for_this_queue(self) -> None:
        allowed = properties("DeadLetterQueue")["RedriveAllowPolicy"]
        assert allowed["redrivePermission"] == "byQueue"
        assert [source["Fn::Sub"].split(":")[-1] for source in allowed["sourceQueueArns"]] == [
            properties("Queue")["QueueName"]["Fn::Sub"]
        ]

    @pytest.mark.parametrize("queue", ["Queue", "DeadLetterQueue", "FailedEventQueue"])
    def test_are_encrypted(self, queue: str) -> None:
        assert properties(queue)["SqsManagedSseEnabled"] is True

    def test_failed_events_are_kept_in_a_queue_of_their_own(self) -> None:
        assert properties("FailedEventQueue")["MessageRetentionPeriod"] == 14 * 86_400
        assert "RedrivePolicy" not in properties("FailedEventQueue")
        assert properties("FailedEventQueue")["QueueName"] != properties("DeadLetterQueue")["QueueName"]


class TestAlarms:
    @pytest.mark.parametrize(
        ("alarm", "queue"), [("DeadLetterAlarm", "DeadLetterQueue"), ("FailedEventAlarm", "FailedEventQueue")]
    )
    def test_one_dead_letter_raises_the_alarm(self, alarm: str, queue: str) -> None:
        settings = properties(alarm)
        assert (settings["MetricName"], settings["ComparisonOperator"], settings["Threshold"]) == (
            "ApproximateNumberOfMessagesVisible",
            "GreaterThanThreshold",
            0,
        )
        assert settings["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]

    def test_retried_job_does_not_raise_the_age_alarm(self) -> None:
        tries = properties("Queue")["RedrivePolicy"]["maxReceiveCount"]
        assert properties("QueueAgeAlarm")["Threshold"] > tries * properties("Queue")["VisibilityTimeout"]
        assert properties("QueueAgeAlarm")["MetricName"] == "ApproximateAgeOfOldestMessage"

    def test_topic_accepts_only_alarms_of_its_stage(self) -> None:
        [allowed] = [
            statement
            for statement in properties("AlarmTopicPolicy")["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Allow"
        ]
        assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert allowed["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"].endswith(":alarm:vitrine-${Stage}-*")

    def test_topic_has_no_key_that_alarms_cannot_use(self) -> None:
        # Alarms cannot use alias/aws/sns (https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns).
        assert "KmsMasterKeyId" not in properties("AlarmTopic")


class TestUserPool:
    def test_users_cannot_sign_up_themselves(self) -> None:
        assert properties("UserPool")["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}

    def test_is_protected_from_deletion_if_deployed(self) -> None:
        assert properties("UserPool")["DeletionProtection"] == {"Fn::If": ["Deployed", "ACTIVE", "INACTIVE"]}

    def test_clients_never_send_a_password(self) -> None:
        # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-authentication-flow-methods.html
        flows = properties("UserPoolClient")["ExplicitAuthFlows"]
        assert "ALLOW_USER_PASSWORD_AUTH" not in flows
        assert "ALLOW_USER_SRP_AUTH" in flows

    def test_sign_in_does_not_reveal_users(self) -> None:
        assert properties("UserPoolClient")["PreventUserExistenceErrors"] == "ENABLED"

    def test_tokens_are_short_lived(self) -> None:
        client = properties("UserPoolClient")
        assert client["TokenValidityUnits"]["AccessToken"] == "minutes"
        assert client["AccessTokenValidity"] <= 60
        assert client["EnableTokenRevocation"] is True


class TestSignInPage:
    def test_requires_the_url_of_a_console(self) -> None:
        client = properties("UserPoolClient")
        nothing = {"Ref": "AWS::NoValue"}
        assert client["AllowedOAuthFlowsUserPoolClient"] == {"Fn::If": ["Console", True, False]}
        for name in ("CallbackURLs", "LogoutURLs"):
            assert client[name] == {"Fn::If": ["Console", {"Fn::Split": [",", {"Ref": "ConsoleUrls"}]}, nothing]}
        assert RESOURCES["UserPoolDomain"]["Condition"] == "Console"

    def test_only_the_code_flow_is_allowed(self) -> None:
        # Tokens in URLs can leak (RFC 9700, section 2.1.2).
        [_, flows, _] = properties("UserPoolClient")["AllowedOAuthFlows"]["Fn::If"]
        assert flows == ["code"]
        assert properties("UserPoolClient")["GenerateSecret"] is False


class TestStack:
    @pytest.mark.parametrize("resource", ["Table", "Bucket", "UserPool"])
    def test_data_is_kept_when_the_stack_is_deleted(self, resource: str) -> None:
        assert RESOURCES[resource]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert RESOURCES[resource]["UpdateReplacePolicy"] == "Retain"

    @pytest.mark.parametrize(
        "policy",
        ["BucketPolicy", "QueuePolicy", "DeadLetterQueuePolicy", "FailedEventQueuePolicy", "AlarmTopicPolicy"],
    )
    def test_requires_tls_if_deployed(self, policy: str) -> None:
        [statement] = [
            statement
            for statement in properties(policy)["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
        ]
        assert statement["Principal"] == "*"
        assert statement["Action"] in ("s3:*", "sqs:*", "sns:Publish")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert RESOURCES[policy]["Condition"] == "Deployed"

    def test_only_the_stage_is_required(self) -> None:
        assert [name for name, one in TEMPLATE["Parameters"].items() if "Default" not in one] == ["Stage"]

    def test_longest_bucket_name_fits(self) -> None:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        assert re.fullmatch(r"[a-z][a-z0-9]*", config.APP), "the app's name has lower-case letters and digits only"
        longest = {"Stage": "s" * 20, "AWS::AccountId": "1" * 12, "AWS::Region": "ap-southeast-1"}
        name = properties("Bucket")["BucketName"]["Fn::Sub"]
        for variable, value in longest.items():
            name = name.replace(f"${{{variable}}}", value)
        assert len(name) <= 63, "the app's name has at most 14 characters"

    @pytest.mark.parametrize("name", ["dev", "a", "feature12", "a" * 20, "", "Dev", "1st", "a" * 21, "dev-x", "ü"])
    def test_stage_names_are_those_that_the_tools_accept(self, name: str) -> None:
        try:
            check_stage_name(name)
        except StageError:
            accepted = False
        else:
            accepted = True
        assert accepted == bool(re.search(TEMPLATE["Parameters"]["Stage"]["AllowedPattern"], name))

    def test_outputs_are_those_that_the_tools_read(self) -> None:
        assert set(chalice_config.RECORDED_OUTPUTS.values()) <= set(TEMPLATE["Outputs"])


class TestMergedTemplate:
    def test_failed_events_go_to_the_queue_of_the_resource_stack(self) -> None:
        export = TEMPLATE["Outputs"]["FailedEventQueueArn"]["Export"]["Name"]["Fn::Sub"]
        kept = {"Fn::ImportValue": {"Fn::Sub": export.replace("${AWS::StackName}", "${AWS::StackName}-resources")}}
        for function in ("OnUpload", "CleanUp"):
            settings = MERGED[function]["Properties"]["EventInvokeConfig"]
            assert settings["DestinationConfig"] == {"OnFailure": {"Type": "SQS", "Destination": kept}}

    def test_cleanup_is_not_retried_after_an_hour(self) -> None:
        assert MERGED["CleanUp"]["Properties"]["EventInvokeConfig"]["MaximumEventAgeInSeconds"] <= 3600

    def test_mapping_and_setting_report_failures_together(self) -> None:
        function = MERGED["OnMessages"]["Properties"]
        assert function["Environment"]["Variables"]["REPORT_BATCH_ITEM_FAILURES"] == "true"
        mapping = function["Events"]["OnMessagesSqsEventSource"]["Properties"]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]

    def test_only_the_consumer_may_report_failures(self) -> None:
        told = [name for name, resource in MERGED.items() if "REPORT_BATCH_ITEM_FAILURES" in json.dumps(resource)]
        assert told == ["OnMessages"]
        assert "REPORT_BATCH_ITEM_FAILURES" not in json.dumps(CONFIG)

    @pytest.mark.parametrize("function", ["APIHandler", "OnUpload", "OnMessages", "CleanUp"])
    def test_bucket_is_imported_from_the_resource_stack(self, function: str) -> None:
        bucket = MERGED[function]["Properties"]["Environment"]["Variables"]["BUCKET_NAME"]
        export = TEMPLATE["Outputs"]["BucketName"]["Export"]["Name"]["Fn::Sub"]
        assert bucket == {
            "Fn::ImportValue": {
                "Fn::Sub": export.replace("${AWS::StackName}", "${AWS::StackName}-resources"),
            }
        }

    @pytest.mark.parametrize("variable", ["USER_POOL_ISSUER", "USER_POOL_CLIENT_ID"])
    def test_user_pool_is_imported_from_the_resource_stack(self, variable: str) -> None:
        told = {
            name: one.get("Properties", {}).get("Environment", {}).get("Variables", {}) for name, one in MERGED.items()
        }
        assert [name for name, variables in told.items() if variable in variables] == ["APIHandler", "Authorize"]
        export = TEMPLATE["Outputs"][chalice_config.RECORDED_OUTPUTS[variable]]["Export"]["Name"]["Fn::Sub"]
        for function in ("APIHandler", "Authorize"):
            imported = told[function][variable]["Fn::ImportValue"]["Fn::Sub"]
            assert imported == export.replace("${AWS::StackName}", "${AWS::StackName}-resources")

    def test_requests_are_throttled(self) -> None:
        [everything, *_] = METHOD_SETTINGS
        assert (everything["ResourcePath"], everything["HttpMethod"]) == ("/*", "*")
        for settings in METHOD_SETTINGS:
            assert 0 < settings["ThrottlingRateLimit"] <= settings["ThrottlingBurstLimit"]

    def test_public_routes_have_a_lower_limit(self) -> None:
        [everything, *others] = METHOD_SETTINGS
        own = {method(one): one["ThrottlingRateLimit"] for one in others}
        assert len(own) == len(others)
        paths = app.app.routes.keys()
        public = {path for path in paths if not path.startswith(("/items", "/imports"))}
        for read in ("GET", "HEAD"):
            assert {path for verb, path in own if verb == read} == public, "a public route needs a limit of its own"
        assert {path for verb, path in own if verb == "OPTIONS"} <= paths, "a path that is not there has a limit"
        assert {verb for verb, _ in own} == {"GET", "HEAD", "OPTIONS"}
        assert max(own.values()) < everything["ThrottlingRateLimit"]

    def test_console_loads_within_the_limit(self) -> None:
        files = len(list((PROJECT / "chalicelib" / "web").iterdir()))
        [web] = [one for one in METHOD_SETTINGS if method(one) == ("GET", "/web/{name}")]
        assert web["ThrottlingBurstLimit"] > 2 * files

    def test_limits_are_those_in_security_md(self) -> None:
        [everything, *others] = METHOD_SETTINGS
        limits = {method(one): (one["ThrottlingRateLimit"], one["ThrottlingBurstLimit"]) for one in others}
        web = limits.pop(("GET", "/web/{name}"))
        [public] = set(limits.values())
        security = " ".join((PROJECT / "SECURITY.md").read_text(encoding="utf-8").split())
        rate, burst = everything["ThrottlingRateLimit"], everything["ThrottlingBurstLimit"]
        assert f"{rate} requests a second, bursts of {burst}, for each method behind sign-in" in security
        assert f"{public[0]} and {public[1]} for each public one and each preflight" in security
        assert f"{web[0]} and {web[1]} for the console's files" in security


METHOD_SETTINGS: list[dict[str, Any]] = MERGED["RestAPI"]["Properties"]["MethodSettings"]


def method(settings: dict[str, Any]) -> tuple[str, str]:
    """Return the method and path of a setting, in which ~1 is a slash (AWS::ApiGateway::Stage MethodSetting)."""
    return settings["HttpMethod"], settings["ResourcePath"].removeprefix("/").replace("~1", "/") or "/"


GATEWAY_RESPONSES = MERGED["RestAPI"]["Properties"]["GatewayResponses"]
SAID_BY_API_GATEWAY = {
    errors.NotFoundError: {
        "DEFAULT_4XX",
        "EXPIRED_TOKEN",
        "INVALID_SIGNATURE",
        "MISSING_AUTHENTICATION_TOKEN",
        "RESOURCE_NOT_FOUND",
    },
    errors.UnauthorizedError: {"ACCESS_DENIED", "UNAUTHORIZED"},
    errors.ForbiddenError: {"INVALID_API_KEY", "WAF_FILTERED"},
    errors.RequestTooLargeError: {"REQUEST_TOO_LARGE"},
    errors.UnsupportedEncodingError: {"UNSUPPORTED_MEDIA_TYPE"},
    errors.ThrottledError: {"QUOTA_EXCEEDED", "THROTTLED"},
    errors.InternalError: {"DEFAULT_5XX"},
}


class TestGatewayResponses:
    def test_all_are_replaced(self) -> None:
        assert {kind for kinds in SAID_BY_API_GATEWAY.values() for kind in kinds} == set(GATEWAY_RESPONSES)

    @pytest.mark.parametrize(
        ("error", "kind"), [(error, kind) for error, kinds in SAID_BY_API_GATEWAY.items() for kind in sorted(kinds)]
    )
    def test_have_the_message_of_the_error(self, error: type[errors.ApiError], kind: str) -> None:
        response = GATEWAY_RESPONSES[kind]
        body = json.loads(response["ResponseTemplates"]["application/json"])
        assert body == {"error": error.code, "message": error.sentence, "requestId": "$context.requestId"}
        # 5xx responses keep their status.
        assert response.get("StatusCode") == (None if kind == "DEFAULT_5XX" else error.status)
        headers = response["ResponseParameters"]["Headers"]
        assert headers.get("Retry-After") == (f"'{error.retry_after}'" if error.retry_after else None)
        assert headers["Cache-Control"] == "'no-store'"
        assert {name: headers[name].strip("'") for name in error.extra_headers} == error.extra_headers

    @pytest.mark.parametrize("kind", sorted(GATEWAY_RESPONSES))
    def test_have_cors_headers(self, kind: str) -> None:
        headers = GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]
        assert headers["Access-Control-Allow-Origin"] == "'*'"
        assert headers["X-Request-Id"] == "context.requestId"
        assert headers["X-Content-Type-Options"] == "'nosniff'"
        assert {"X-Request-Id", "Retry-After"} <= set(headers["Access-Control-Expose-Headers"].strip("'").split(","))

    @pytest.mark.parametrize("kind", ["ACCESS_DENIED", "UNAUTHORIZED"])
    def test_have_www_authenticate(self, kind: str) -> None:
        assert GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]["WWW-Authenticate"].startswith("'Bearer")


class TestPolicies:
    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_committed_files_are_up_to_date(self, stage: str, function: str) -> None:
        written = PROJECT / ".chalice" / f"policy-{function}-{stage}.json"
        said = policies.for_stage(PROJECT, stage)[function]
        assert written.exists(), "say `make policies`"
        assert json.loads(written.read_text(encoding="utf-8")) == said, "say `make policies`"

    def test_every_function_has_one(self) -> None:
        assert sorted(policies.for_stage(PROJECT, "dev")) == FUNCTIONS

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_actions_have_no_wildcards(self, function: str) -> None:
        actions = [action for one in statements(function) for action in as_list(one["Action"])]
        assert actions
        assert not [action for action in actions if "*" in action]

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_resources_are_of_the_stage(self, function: str) -> None:
        resources = [
            resource
            for one in statements(function)
            if one["Sid"] != "Traces"  # X-Ray does not support resources
            for resource in as_list(one["Resource"])
        ]
        # Stage names have no hyphens, so no name begins with that of another stage and a hyphen.
        assert not [resource for resource in resources if not re.search(r"[:/]vitrine-dev($|[-/:])", resource)]

    @pytest.mark.parametrize("stage", ["dev", "prod"])
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_resources_are_of_the_account(self, function: str, stage: str) -> None:
        # IAM User Guide, "AWS global condition context keys": the account that owns the resource.
        own = {"aws:ResourceAccount": "${aws:PrincipalAccount}"}
        elsewhere = {"logs", "xray"}  # other accounts cannot grant access to these
        for one in policies.for_stage(PROJECT, stage)[function]["Statement"]:
            services = {action.partition(":")[0] for action in as_list(one["Action"])}
            assert services <= elsewhere or one["Condition"]["StringEquals"] == own, one["Sid"]

    def test_local_policies_have_no_variables(self) -> None:
        assert "${" not in json.dumps(policies.for_stage(PROJECT, "local"))

    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_log_is_the_functions_own(self, function: str, stage: str) -> None:
        def may_write(group: str) -> bool:
            need = rights.Need("logs:PutLogEvents", f"arn:aws:logs:us-east-1:1:log-group:{group}:log-stream:1")
            return any(grant.covers(need) for grant in rights.grants(policies.for_stage(PROJECT, stage)[function]))

        groups = {
            name: [f"/aws/lambda/vitrine-{stage}-{logical_id}-1A2B3C", f"/aws/lambda/{by_chalice}"]
            for name, logical_id, by_chalice in (
                ("api_handler", "APIHandler", f"vitrine-{stage}"),
                ("authorize", "Authorize", f"vitrine-{stage}-authorize"),
                ("clean_up", "CleanUp", f"vitrine-{stage}-clean_up"),
                ("on_messages", "OnMessages", f"vitrine-{stage}-on_messages"),
                ("on_upload", "OnUpload", f"vitrine-{stage}-on_upload"),
            )
        }
        assert sorted(groups) == FUNCTIONS
        writable = {name: [may_write(group) for group in of_function] for name, of_function in groups.items()}
        assert writable == {name: [name == function] * 2 for name in groups}

    def test_arns_fit_any_partition(self) -> None:
        # The partition is aws-us-gov in GovCloud and aws-cn in China. IAM User Guide, "IAM JSON policy elements:
        # Resource": a wildcard may stand for a segment of an ARN, other than the service.
        assert set(re.findall(r"arn:[^:]*", json.dumps(policies.for_stage(PROJECT, "dev")))) == {"arn:*"}

    @pytest.mark.parametrize("stage", ["dev", "prod"])
    def test_actions_of_the_emulator_are_only_local(self, stage: str) -> None:
        assert "Batch" in json.dumps(policies.for_stage(PROJECT, "local"))
        assert "Batch" not in json.dumps(policies.for_stage(PROJECT, stage))

    def test_only_asynchronous_functions_send_failed_events(self) -> None:
        keeping = [name for name in FUNCTIONS if "-events-dead" in json.dumps(statements(name))]
        assert keeping == ["clean_up", "on_upload"]

    def test_no_function_may_scan_the_table(self) -> None:
        rendered = json.dumps(policies.for_stage(PROJECT, "dev"))
        assert "dynamodb:Scan" not in rendered

    def test_only_the_cleanup_queries_work_due(self) -> None:
        asking = [name for name in FUNCTIONS if "/index/due" in json.dumps(statements(name))]
        assert asking == ["clean_up"]

    def test_only_the_consumer_writes_thumbnails(self) -> None:
        writing = [
            function
            for function in FUNCTIONS
            for one in statements(function)
            if "s3:PutObject" in as_list(one["Action"]) and "thumbnails/" in json.dumps(one["Resource"])
        ]
        assert writing == ["on_messages"]


class TestConfig:
    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_every_function_has_its_own_role(self, stage: str, function: str) -> None:
        functions = CONFIG["stages"][stage]["lambda_functions"]
        assert functions[function]["iam_policy_file"] == f"policy-{function}-{stage}.json"
        assert CONFIG["autogen_policy"] is False

    @pytest.mark.parametrize("stage", STAGES)
    def test_every_stage_sets_its_name(self, stage: str) -> None:
        assert CONFIG["stages"][stage]["environment_variables"]["STAGE"] == stage

    @pytest.mark.parametrize("stage", STAGES)
    def test_only_the_local_stage_has_auth_mode_local(self, stage: str) -> None:
        mode = CONFIG["stages"][stage]["environment_variables"].get("AUTH_MODE", "oidc")
        assert (mode == "local") == (stage == "local")

    def test_api_timeout_is_at_most_that_of_api_gateway(self) -> None:
        assert timeout("api_handler") <= 29

    def test_local_stage_has_the_architecture_of_the_host(self) -> None:
        assert "lambda_architecture" not in CONFIG["stages"]["local"]
        assert "lambda_architecture" not in CONFIG
