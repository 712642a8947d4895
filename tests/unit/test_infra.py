"""What the templates promise. The emulator drops some of it (recovery, lifecycle, TTL): it is read here."""

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
    def test_is_paid_for_by_use_and_encrypted_and_can_be_wound_back(self) -> None:
        table = properties("Table")
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"] == {"SSEEnabled": True}
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}

    def test_cannot_be_deleted_by_a_slip_unless_it_is_local(self) -> None:
        assert properties("Table")["DeletionProtectionEnabled"] == {"Fn::If": ["Deployed", True, False]}
        assert TEMPLATE["Conditions"]["Deployed"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "local"]}]}

    def test_index_of_work_due_copies_keys_alone(self) -> None:
        [index] = properties("Table")["GlobalSecondaryIndexes"]
        assert index["IndexName"] == "due"
        assert [key["AttributeName"] for key in index["KeySchema"]] == ["dueShard", "dueAt"]
        assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}

    def test_forgets_records_whose_time_is_over(self) -> None:
        assert properties("Table")["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}


class TestBucket:
    def test_nothing_in_it_can_be_made_public(self) -> None:
        assert set(properties("Bucket")["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties("Bucket")["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}

    def test_is_encrypted(self) -> None:
        [rule] = properties("Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"

    def test_tells_eventbridge_of_uploads(self) -> None:
        events = properties("Bucket")["NotificationConfiguration"]
        assert events == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}

    def test_takes_uploads_from_a_browser(self) -> None:
        [rule] = properties("Bucket")["CorsConfiguration"]["CorsRules"]
        assert {"GET", "POST"} <= set(rule["AllowedMethods"])

    def test_originals_of_items_never_expire_by_age(self) -> None:
        rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
        expiring = [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule]
        assert expiring == ["imports/"]

    def test_abandoned_parts_of_uploads_are_swept(self) -> None:
        rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
        aborting = [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule]
        assert [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in aborting] == [1]

    def test_import_chunks_outlive_the_messages_that_name_them(self) -> None:
        rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
        [days] = [rule["ExpirationInDays"] for rule in rules if rule.get("Prefix") == "imports/"]
        assert days * 86_400 >= properties("DeadLetterQueue")["MessageRetentionPeriod"]


class TestQueues:
    def test_visibility_is_six_times_the_consumers_timeout(self) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        assert properties("Queue")["VisibilityTimeout"] >= 6 * timeout("on_messages")

    def test_visibility_is_what_the_consumer_sets_again(self) -> None:
        assert properties("Queue")["VisibilityTimeout"] == consumer.VISIBILITY_TIMEOUT
        assert 1_000 * timeout("on_messages") > 2 * consumer.MIN_REMAINING_MS

    def test_message_that_fails_six_times_goes_to_the_dead_letter_queue(self) -> None:
        redrive = properties("Queue")["RedrivePolicy"]
        assert redrive == {
            "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
            "maxReceiveCount": 6,
        }

    def test_jobs_outlast_two_minutes_in_which_nothing_answers(self) -> None:
        # Lambda Developer Guide, "Using Lambda with Amazon SQS": at least five receives.
        tries = properties("Queue")["RedrivePolicy"]["maxReceiveCount"]
        waits = [min(consumer.MIN_RETRY_DELAY * 2**failed, consumer.MAX_RETRY_DELAY) for failed in range(tries - 1)]
        assert sum(waits) >= 120
        assert max(waits) == consumer.MAX_RETRY_DELAY

    def test_keys_of_messages_are_remembered_longer_than_the_messages_can_come_again(self) -> None:
        waiting = properties("Queue")["MessageRetentionPeriod"]
        dead = properties("DeadLetterQueue")["MessageRetentionPeriod"]
        assert consumer.KEY_PERIOD.total_seconds() > waiting + dead + waiting + 86_400

    def test_dead_letters_are_kept_as_long_as_sqs_can(self) -> None:
        assert properties("DeadLetterQueue")["MessageRetentionPeriod"] == 14 * 86_400
        assert properties("Queue")["MessageRetentionPeriod"] < 14 * 86_400

    def test_dead_letter_queue_takes_from_this_queue_alone(self) -> None:
        allowed = properties("DeadLetterQueue")["RedriveAllowPolicy"]
        assert allowed["redrivePermission"] == "byQueue"
        assert [source["Fn::Sub"].split(":")[-1] for source in allowed["sourceQueueArns"]] == [
            properties("Queue")["QueueName"]["Fn::Sub"]
        ]

    @pytest.mark.parametrize("queue", ["Queue", "DeadLetterQueue", "FailedEventQueue"])
    def test_are_encrypted(self, queue: str) -> None:
        assert properties(queue)["SqsManagedSseEnabled"] is True

    def test_failed_events_wait_as_long_as_sqs_can_and_never_among_jobs(self) -> None:
        assert properties("FailedEventQueue")["MessageRetentionPeriod"] == 14 * 86_400
        assert "RedrivePolicy" not in properties("FailedEventQueue")
        assert properties("FailedEventQueue")["QueueName"] != properties("DeadLetterQueue")["QueueName"]


class TestAlarms:
    @pytest.mark.parametrize(
        ("alarm", "queue"), [("DeadLetterAlarm", "DeadLetterQueue"), ("FailedEventAlarm", "FailedEventQueue")]
    )
    def test_one_message_given_up_is_enough(self, alarm: str, queue: str) -> None:
        settings = properties(alarm)
        assert (settings["MetricName"], settings["ComparisonOperator"], settings["Threshold"]) == (
            "ApproximateNumberOfMessagesVisible",
            "GreaterThanThreshold",
            0,
        )
        assert settings["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]

    def test_job_that_is_tried_as_often_as_it_may_be_is_not_called_late(self) -> None:
        tries = properties("Queue")["RedrivePolicy"]["maxReceiveCount"]
        assert properties("QueueAgeAlarm")["Threshold"] > tries * properties("Queue")["VisibilityTimeout"]
        assert properties("QueueAgeAlarm")["MetricName"] == "ApproximateAgeOfOldestMessage"

    def test_topic_takes_the_alarms_of_its_own_stage_and_account_alone(self) -> None:
        [allowed] = [
            statement
            for statement in properties("AlarmTopicPolicy")["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Allow"
        ]
        assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert allowed["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"].endswith(":alarm:vitrine-${Stage}-*")

    def test_topic_is_under_no_key_that_keeps_alarms_out(self) -> None:
        # https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns: alias/aws/sns lets no alarm publish.
        assert "KmsMasterKeyId" not in properties("AlarmTopic")


class TestUserPool:
    def test_nobody_signs_up_by_themselves(self) -> None:
        assert properties("UserPool")["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}

    def test_cannot_be_deleted_by_a_slip_unless_it_is_local(self) -> None:
        assert properties("UserPool")["DeletionProtection"] == {"Fn::If": ["Deployed", "ACTIVE", "INACTIVE"]}

    def test_passwords_never_reach_cognito_but_from_somebody_with_rights_in_the_account(self) -> None:
        # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-authentication-flow-methods.html
        flows = properties("UserPoolClient")["ExplicitAuthFlows"]
        assert "ALLOW_USER_PASSWORD_AUTH" not in flows
        assert "ALLOW_USER_SRP_AUTH" in flows

    def test_whoever_guesses_at_users_learns_nothing(self) -> None:
        assert properties("UserPoolClient")["PreventUserExistenceErrors"] == "ENABLED"

    def test_tokens_are_short_lived(self) -> None:
        client = properties("UserPoolClient")
        assert client["TokenValidityUnits"]["AccessToken"] == "minutes"
        assert client["AccessTokenValidity"] <= 60
        assert client["EnableTokenRevocation"] is True


class TestSignInPage:
    def test_is_there_once_it_is_known_where_it_leads_back_to(self) -> None:
        client = properties("UserPoolClient")
        nothing = {"Ref": "AWS::NoValue"}
        assert client["AllowedOAuthFlowsUserPoolClient"] == {"Fn::If": ["Console", True, False]}
        for name in ("CallbackURLs", "LogoutURLs"):
            assert client[name] == {"Fn::If": ["Console", {"Fn::Split": [",", {"Ref": "ConsoleUrls"}]}, nothing]}
        assert RESOURCES["UserPoolDomain"]["Condition"] == "Console"

    def test_gives_codes_and_never_tokens(self) -> None:
        # RFC 9700, section 2.1.2: what stands in an address may leak from there.
        [_, flows, _] = properties("UserPoolClient")["AllowedOAuthFlows"]["Fn::If"]
        assert flows == ["code"]
        assert properties("UserPoolClient")["GenerateSecret"] is False


class TestStack:
    @pytest.mark.parametrize("resource", ["Table", "Bucket", "UserPool"])
    def test_data_outlives_the_stack_unless_making_it_failed(self, resource: str) -> None:
        assert RESOURCES[resource]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert RESOURCES[resource]["UpdateReplacePolicy"] == "Retain"

    @pytest.mark.parametrize(
        "policy",
        ["BucketPolicy", "QueuePolicy", "DeadLetterQueuePolicy", "FailedEventQueuePolicy", "AlarmTopicPolicy"],
    )
    def test_is_reached_by_tls_alone_once_deployed(self, policy: str) -> None:
        [statement] = [
            statement
            for statement in properties(policy)["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
        ]
        assert statement["Principal"] == "*"
        assert statement["Action"] in ("s3:*", "sqs:*", "sns:Publish")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert RESOURCES[policy]["Condition"] == "Deployed"

    def test_takes_the_stage_and_needs_nothing_else(self) -> None:
        assert [name for name, one in TEMPLATE["Parameters"].items() if "Default" not in one] == ["Stage"]

    def test_has_a_name_that_leaves_room_for_every_stage_account_and_region_in_its_buckets(self) -> None:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        assert re.fullmatch(r"[a-z][a-z0-9]*", config.APP), "the app's name has lower-case letters and digits only"
        longest = {"Stage": "s" * 20, "AWS::AccountId": "1" * 12, "AWS::Region": "ap-southeast-1"}
        name = properties("Bucket")["BucketName"]["Fn::Sub"]
        for variable, value in longest.items():
            name = name.replace(f"${{{variable}}}", value)
        assert len(name) <= 63, "the app's name has at most 14 characters"

    @pytest.mark.parametrize("name", ["dev", "a", "feature12", "a" * 20, "", "Dev", "1st", "a" * 21, "dev-x", "ü"])
    def test_agrees_with_the_tool_on_what_a_stage_may_be_called(self, name: str) -> None:
        try:
            check_stage_name(name)
        except StageError:
            accepted = False
        else:
            accepted = True
        assert accepted == bool(re.search(TEMPLATE["Parameters"]["Stage"]["AllowedPattern"], name))

    def test_gives_the_code_what_it_is_told(self) -> None:
        assert set(chalice_config.RECORDED_OUTPUTS.values()) <= set(TEMPLATE["Outputs"])


class TestMergedTemplate:
    def test_failed_events_go_where_the_resource_stack_keeps_them(self) -> None:
        export = TEMPLATE["Outputs"]["FailedEventQueueArn"]["Export"]["Name"]["Fn::Sub"]
        kept = {"Fn::ImportValue": {"Fn::Sub": export.replace("${AWS::StackName}", "${AWS::StackName}-resources")}}
        for function in ("OnUpload", "CleanUp"):
            settings = MERGED[function]["Properties"]["EventInvokeConfig"]
            assert settings["DestinationConfig"] == {"OnFailure": {"Type": "SQS", "Destination": kept}}

    def test_sweep_is_not_tried_again_once_the_next_one_is_due(self) -> None:
        assert MERGED["CleanUp"]["Properties"]["EventInvokeConfig"]["MaximumEventAgeInSeconds"] <= 3600

    def test_failed_messages_are_reported_where_the_mapping_heeds_it(self) -> None:
        function = MERGED["OnMessages"]["Properties"]
        assert function["Environment"]["Variables"]["REPORT_BATCH_ITEM_FAILURES"] == "true"
        mapping = function["Events"]["OnMessagesSqsEventSource"]["Properties"]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]

    def test_nobody_else_is_told_that_failures_may_be_reported(self) -> None:
        told = [name for name, resource in MERGED.items() if "REPORT_BATCH_ITEM_FAILURES" in json.dumps(resource)]
        assert told == ["OnMessages"]
        assert "REPORT_BATCH_ITEM_FAILURES" not in json.dumps(CONFIG)

    @pytest.mark.parametrize("function", ["APIHandler", "OnUpload", "OnMessages", "CleanUp"])
    def test_bucket_comes_from_the_resource_stack_of_the_same_stage(self, function: str) -> None:
        bucket = MERGED[function]["Properties"]["Environment"]["Variables"]["BUCKET_NAME"]
        export = TEMPLATE["Outputs"]["BucketName"]["Export"]["Name"]["Fn::Sub"]
        assert bucket == {
            "Fn::ImportValue": {
                "Fn::Sub": export.replace("${AWS::StackName}", "${AWS::StackName}-resources"),
            }
        }

    @pytest.mark.parametrize("variable", ["USER_POOL_ISSUER", "USER_POOL_CLIENT_ID"])
    def test_user_pool_comes_from_there_too_to_whoever_signs_people_in_or_lets_them_in(self, variable: str) -> None:
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

    def test_whatever_needs_no_token_has_a_lower_limit(self) -> None:
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

    def test_console_loads_all_its_files_within_the_limit(self) -> None:
        files = len(list((PROJECT / "chalicelib" / "web").iterdir()))
        [web] = [one for one in METHOD_SETTINGS if method(one) == ("GET", "/web/{name}")]
        assert web["ThrottlingBurstLimit"] > 2 * files

    def test_limits_are_those_that_the_security_page_names(self) -> None:
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
    """Which method and path a setting is for. CloudFormation, "AWS::ApiGateway::Stage MethodSetting": ~1 is a slash."""
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


class TestApiGatewaysOwnAnswers:
    def test_are_all_said_by_us(self) -> None:
        assert {kind for kinds in SAID_BY_API_GATEWAY.values() for kind in kinds} == set(GATEWAY_RESPONSES)

    @pytest.mark.parametrize(
        ("error", "kind"), [(error, kind) for error, kinds in SAID_BY_API_GATEWAY.items() for kind in sorted(kinds)]
    )
    def test_are_what_errors_says(self, error: type[errors.ApiError], kind: str) -> None:
        response = GATEWAY_RESPONSES[kind]
        body = json.loads(response["ResponseTemplates"]["application/json"])
        assert body == {"error": error.code, "message": error.sentence, "requestId": "$context.requestId"}
        # Each of the 5xx keeps its own status.
        assert response.get("StatusCode") == (None if kind == "DEFAULT_5XX" else error.status)
        headers = response["ResponseParameters"]["Headers"]
        assert headers.get("Retry-After") == (f"'{error.retry_after}'" if error.retry_after else None)
        assert headers["Cache-Control"] == "'no-store'"
        assert {name: headers[name].strip("'") for name in error.extra_headers} == error.extra_headers

    @pytest.mark.parametrize("kind", sorted(GATEWAY_RESPONSES))
    def test_may_be_read_by_any_web_page(self, kind: str) -> None:
        headers = GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]
        assert headers["Access-Control-Allow-Origin"] == "'*'"
        assert headers["X-Request-Id"] == "context.requestId"
        assert headers["X-Content-Type-Options"] == "'nosniff'"
        assert {"X-Request-Id", "Retry-After"} <= set(headers["Access-Control-Expose-Headers"].strip("'").split(","))

    @pytest.mark.parametrize("kind", ["ACCESS_DENIED", "UNAUTHORIZED"])
    def test_say_how_to_sign_in(self, kind: str) -> None:
        assert GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]["WWW-Authenticate"].startswith("'Bearer")


class TestPolicies:
    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_committed_files_are_what_the_source_says(self, stage: str, function: str) -> None:
        written = PROJECT / ".chalice" / f"policy-{function}-{stage}.json"
        said = policies.for_stage(PROJECT, stage)[function]
        assert written.exists(), "say `make policies`"
        assert json.loads(written.read_text(encoding="utf-8")) == said, "say `make policies`"

    def test_every_function_has_one(self) -> None:
        assert sorted(policies.for_stage(PROJECT, "dev")) == FUNCTIONS

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_names_actions_one_by_one(self, function: str) -> None:
        actions = [action for one in statements(function) for action in as_list(one["Action"])]
        assert actions
        assert not [action for action in actions if "*" in action]

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_reaches_only_into_its_own_stage(self, function: str) -> None:
        resources = [
            resource
            for one in statements(function)
            if one["Sid"] != "Traces"  # X-Ray knows no resources
            for resource in as_list(one["Resource"])
        ]
        # No stage's name has a hyphen, so none begins with another stage's name and a hyphen.
        assert not [resource for resource in resources if not re.search(r"[:/]vitrine-dev($|[-/:])", resource)]

    @pytest.mark.parametrize("stage", ["dev", "prod"])
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_reaches_into_no_other_account(self, function: str, stage: str) -> None:
        # IAM User Guide, "AWS global condition context keys": the account that owns the resource.
        own = {"aws:ResourceAccount": "${aws:PrincipalAccount}"}
        elsewhere = {"logs", "xray"}  # of these no other account lets anybody in
        for one in policies.for_stage(PROJECT, stage)[function]["Statement"]:
            services = {action.partition(":")[0] for action in as_list(one["Action"])}
            assert services <= elsewhere or one["Condition"]["StringEquals"] == own, one["Sid"]

    def test_policy_variables_stay_out_of_the_emulator_which_knows_none(self) -> None:
        assert "${" not in json.dumps(policies.for_stage(PROJECT, "local"))

    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_writes_its_own_log_alone(self, function: str, stage: str) -> None:
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

    def test_fits_an_account_in_any_partition(self) -> None:
        # The partition is aws-us-gov in GovCloud and aws-cn in China. IAM User Guide, "IAM JSON policy elements:
        # Resource": a wildcard may stand for a segment of an ARN, other than the service.
        assert set(re.findall(r"arn:[^:]*", json.dumps(policies.for_stage(PROJECT, "dev")))) == {"arn:*"}

    @pytest.mark.parametrize("stage", ["dev", "prod"])
    def test_actions_that_only_the_emulator_knows_stay_local(self, stage: str) -> None:
        assert "Batch" in json.dumps(policies.for_stage(PROJECT, "local"))
        assert "Batch" not in json.dumps(policies.for_stage(PROJECT, stage))

    def test_only_what_lambda_calls_by_itself_may_put_away_events_that_failed(self) -> None:
        keeping = [name for name in FUNCTIONS if "-events-dead" in json.dumps(statements(name))]
        assert keeping == ["clean_up", "on_upload"]

    def test_nobody_reads_the_whole_table(self) -> None:
        rendered = json.dumps(policies.for_stage(PROJECT, "dev"))
        assert "dynamodb:Scan" not in rendered

    def test_only_the_cleanup_asks_for_work_due(self) -> None:
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
    def test_every_function_knows_its_stage(self, stage: str) -> None:
        assert CONFIG["stages"][stage]["environment_variables"]["STAGE"] == stage

    @pytest.mark.parametrize("stage", STAGES)
    def test_only_the_local_stage_signs_everybody_in(self, stage: str) -> None:
        mode = CONFIG["stages"][stage]["environment_variables"].get("AUTH_MODE", "oidc")
        assert (mode == "local") == (stage == "local")

    def test_api_answers_before_api_gateway_gives_up(self) -> None:
        assert timeout("api_handler") <= 29

    def test_local_stage_builds_for_the_host(self) -> None:
        assert "lambda_architecture" not in CONFIG["stages"]["local"]
        assert "lambda_architecture" not in CONFIG
