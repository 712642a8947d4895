"""The templates in infra/, Chalice's configuration and the IAM policies.

The emulator ignores some of it, such as backups, lifecycle rules and TTL.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import app
from chalicelib import config, errors
from chalicelib.aws import bucket, table
from chalicelib.catalogue import export_records, job_queue_consumer, sqs_batches
from chalicelib.events import change_feed
from tests import rights
from tools.stage import policies
from tools.stage.errors import StageError
from tools.stage.names import APP_NAME_RULE, check_stage_name, is_app_name

PROJECT = Path(__file__).resolve().parents[2]


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((PROJECT / name).read_text(encoding="utf-8"))
    return content


TEMPLATE = read("infra/resources.json")
RESOURCES = TEMPLATE["Resources"]
MERGED = read("infra/package.json")["Resources"]
CONFIG = read(".chalice/config.json")
FUNCTIONS = sorted(CONFIG["lambda_functions"])
METHOD_SETTINGS: list[dict[str, Any]] = MERGED["RestAPI"]["Properties"]["MethodSettings"]
GATEWAY_RESPONSES = MERGED["RestAPI"]["Properties"]["GatewayResponses"]


def properties(logical_id: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[logical_id]["Properties"]
    return found


def timeout(function: str) -> int:
    seconds: int = CONFIG["lambda_functions"][function]["lambda_timeout"]
    return seconds


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def method(settings: dict[str, Any]) -> tuple[str, str]:
    """Return the method and path of a setting, in which ~1 is a slash (AWS::ApiGateway::Stage MethodSetting)."""
    return settings["HttpMethod"], settings["ResourcePath"].removeprefix("/").replace("~1", "/") or "/"


def all_below(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from all_below(below)


class TestData:
    def test_table_is_on_demand_recoverable_and_deletes_expired_records(self) -> None:
        table = properties("Table")
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}

    def test_everything_stored_is_encrypted(self) -> None:
        assert properties("Table")["SSESpecification"] == {"SSEEnabled": True}
        [rule] = properties("Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        for name, one in RESOURCES.items():
            assert one["Type"] != "AWS::SQS::Queue" or one["Properties"]["SqsManagedSseEnabled"] is True, name

    def test_public_access_to_the_bucket_is_blocked(self) -> None:
        blocked = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        assert properties("Bucket")["PublicAccessBlockConfiguration"] == dict.fromkeys(blocked, True)
        assert properties("Bucket")["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}

    @pytest.mark.parametrize("resource", ["Table", "Bucket", "UserPool"])
    def test_data_is_kept_when_the_stack_is_deleted(self, resource: str) -> None:
        assert RESOURCES[resource]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert RESOURCES[resource]["UpdateReplacePolicy"] == "Retain"

    def test_table_and_users_are_protected_from_deletion_if_deployed(self) -> None:
        assert properties("Table")["DeletionProtectionEnabled"] == {"Fn::If": ["Deployed", True, False]}
        assert properties("UserPool")["DeletionProtection"] == {"Fn::If": ["Deployed", "ACTIVE", "INACTIVE"]}
        assert TEMPLATE["Conditions"]["Deployed"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "local"]}]}

    @pytest.mark.parametrize(
        "policy",
        [
            "BucketPolicy",
            "QueuePolicy",
            "DeadLetterQueuePolicy",
            "DeliveryQueuePolicy",
            "DeliveryDeadLetterQueuePolicy",
            "FailedEventQueuePolicy",
            "AlarmTopicPolicy",
        ],
    )
    def test_requires_tls_if_deployed(self, policy: str) -> None:
        [statement] = [
            statement
            for statement in properties(policy)["PolicyDocument"]["Statement"]
            if statement.get("Effect") == "Deny"
        ]
        assert statement["Principal"] == "*"
        assert statement["Action"] in ("s3:*", "sqs:*", "sns:Publish")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert RESOURCES[policy]["Condition"] == "Deployed"

    def test_only_imports_and_exports_expire_and_not_before_they_may(self) -> None:
        rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
        days = {one["Prefix"]: one["ExpirationInDays"] for one in rules if "ExpirationInDays" in one}
        assert days.keys() == {bucket.IMPORTS, bucket.EXPORTS}
        assert days[bucket.IMPORTS] * 86_400 >= properties("DeadLetterQueue")["MessageRetentionPeriod"]
        assert days[bucket.EXPORTS] == export_records.RETENTION.days


class TestQueues:
    def test_visibility_timeout_is_six_times_that_of_the_consumer(self) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        assert properties("Queue")["VisibilityTimeout"] >= 6 * timeout("on_messages")
        assert properties("Queue")["VisibilityTimeout"] == job_queue_consumer.VISIBILITY_TIMEOUT
        assert 1_000 * timeout("on_messages") > 2 * job_queue_consumer.MIN_REMAINING_MS

    def test_jobs_survive_an_outage_of_two_minutes(self) -> None:
        # Lambda Developer Guide, "Using Lambda with Amazon SQS": at least five receives.
        tries = properties("Queue")["RedrivePolicy"]["maxReceiveCount"]
        longest = sqs_batches.MAX_RETRY_DELAY
        waits = [min(sqs_batches.MIN_RETRY_DELAY * 2**failed, longest) for failed in range(tries - 1)]
        assert tries >= 5
        assert sum(waits) >= 120

    def test_keys_are_kept_longer_than_their_messages(self) -> None:
        waiting = properties("Queue")["MessageRetentionPeriod"]
        dead = properties("DeadLetterQueue")["MessageRetentionPeriod"]
        assert job_queue_consumer.KEY_PERIOD.total_seconds() > waiting + dead + waiting + 86_400

    def test_failures_are_kept_for_the_maximum_of_sqs(self) -> None:
        # A message keeps the time at which it was sent when it becomes a dead letter, so the first queue needs less.
        for queue in ("DeadLetterQueue", "DeliveryDeadLetterQueue", "FailedEventQueue"):
            assert properties(queue)["MessageRetentionPeriod"] == 14 * 86_400, queue
        for queue in ("Queue", "DeliveryQueue"):
            assert properties(queue)["MessageRetentionPeriod"] < 14 * 86_400, queue

    @pytest.mark.parametrize("queue", ["Queue", "DeliveryQueue"])
    def test_dead_letter_queue_accepts_this_queue(self, queue: str) -> None:
        dead_letter_queue, _ = properties(queue)["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"]
        [source] = properties(dead_letter_queue)["RedriveAllowPolicy"]["sourceQueueArns"]
        assert source["Fn::Sub"].split(":")[-1] == properties(queue)["QueueName"]["Fn::Sub"]


class TestAlarms:
    @pytest.mark.parametrize(
        ("alarm", "queue"),
        [
            ("DeadLetterAlarm", "DeadLetterQueue"),
            ("DeliveryDeadLetterAlarm", "DeliveryDeadLetterQueue"),
            ("FailedEventAlarm", "FailedEventQueue"),
        ],
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


class TestSignIn:
    def test_users_cannot_sign_up_themselves(self) -> None:
        assert properties("UserPool")["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}

    def test_client_never_sends_a_password_and_reveals_no_users(self) -> None:
        # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-authentication-flow-methods.html
        client = properties("UserPoolClient")
        assert "ALLOW_USER_PASSWORD_AUTH" not in client["ExplicitAuthFlows"]
        assert client["PreventUserExistenceErrors"] == "ENABLED"
        # Tokens in URLs can leak (RFC 9700, section 2.1.2).
        [_, flows, _] = client["AllowedOAuthFlows"]["Fn::If"]
        assert flows == ["code"]
        assert client["GenerateSecret"] is False

    def test_tokens_are_short_lived(self) -> None:
        client = properties("UserPoolClient")
        assert client["TokenValidityUnits"]["AccessToken"] == "minutes"
        assert client["AccessTokenValidity"] <= 60
        assert client["EnableTokenRevocation"] is True


CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
"""CloudFront Developer Guide, "Use managed cache policies" and "Use managed origin request policies"."""

PUBLIC_CACHE_POLICY = {"Ref": "PublicCachePolicy"}


class TestCloudFront:
    DISTRIBUTION: dict[str, Any] = properties("Distribution")["DistributionConfig"]

    def behaviors(self) -> dict[str, dict[str, Any]]:
        """Return the cache behaviors by path pattern. The one for API Gateway's stage has the pattern ``STAGE``."""
        listed: list[dict[str, Any]] = self.DISTRIBUTION["CacheBehaviors"]
        named = {one["PathPattern"] if isinstance(one["PathPattern"], str) else "STAGE": one for one in listed}
        return named | {"*": self.DISTRIBUTION["DefaultCacheBehavior"]}

    def test_it_is_off_by_default(self) -> None:
        made = {name for name, one in RESOURCES.items() if one["Type"].startswith("AWS::CloudFront::")}
        assert made == {name for name, one in RESOURCES.items() if one.get("Condition") == "CloudFront"}
        assert len(made) == 4
        assert TEMPLATE["Parameters"]["CloudFrontOrigin"]["Default"] == ""
        assert TEMPLATE["Conditions"]["CloudFront"]["Fn::And"] == [
            {"Condition": "Deployed"},
            {"Fn::Not": [{"Fn::Equals": [{"Ref": "CloudFrontOrigin"}, ""]}]},
        ]
        [on, _, off] = TEMPLATE["Outputs"]["PublicUrl"]["Value"]["Fn::If"]
        assert (on, off) == ("CloudFront", "none")
        assert config.load({"PUBLIC_URL": off}).public_url is None

    def test_code_gets_the_url_by_a_parameter(self) -> None:
        # An exported value cannot change while a stack imports it (CloudFormation, "Fn::ImportValue").
        assert "Export" not in TEMPLATE["Outputs"]["PublicUrl"]
        assert MERGED["APIHandler"]["Properties"]["Environment"]["Variables"]["PUBLIC_URL"] == {"Ref": "PublicUrl"}
        assert read("infra/package.json")["Parameters"]["PublicUrl"]["Default"] == "none"

    @pytest.mark.parametrize(
        ("address", "valid"),
        [
            ("", True),
            ("https://abc123.execute-api.eu-west-1.amazonaws.com/api/", True),
            ("https://abc123.execute-api.eu-west-1.amazonaws.com/api", False),
            ("https://abc123.execute-api.eu-west-1.amazonaws.com/", False),
            ("http://abc123.execute-api.eu-west-1.amazonaws.com/api/", False),
        ],
    )
    def test_address_of_the_api_is_checked(self, address: str, valid: bool) -> None:
        assert bool(re.search(TEMPLATE["Parameters"]["CloudFrontOrigin"]["AllowedPattern"], address)) is valid

    def test_only_public_paths_are_cached(self) -> None:
        cached = {path: one["CachePolicyId"] for path, one in self.behaviors().items()}
        assert cached == {
            f"/{bucket.PUBLIC}*": CACHING_OPTIMIZED,
            "/catalogues/*": PUBLIC_CACHE_POLICY,
            "/c/*": PUBLIC_CACHE_POLICY,
            "/web/*": PUBLIC_CACHE_POLICY,
            "STAGE": CACHING_DISABLED,
            "*": CACHING_DISABLED,
        }
        for (verb, path), operation in app.app.operations.items():
            if path.startswith(("/public/", "/catalogues/", "/c/", "/web/")):
                assert operation.public, path
                assert verb == "GET", path

    def test_cache_follows_the_origin_and_the_query(self) -> None:
        policy = properties("PublicCachePolicy")["CachePolicyConfig"]
        key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
        assert (policy["MinTTL"], policy["DefaultTTL"]) == (0, 0)
        assert key["QueryStringsConfig"] == {"QueryStringBehavior": "all"}
        assert key["CookiesConfig"] == {"CookieBehavior": "none"}
        assert key["HeadersConfig"]["Headers"] == ["Origin"]

    def test_errors_are_not_cached(self) -> None:
        # CloudFront Developer Guide, "Control how long CloudFront caches errors": 10 seconds by default.
        errors_ = {one["ErrorCode"]: one for one in self.DISTRIBUTION["CustomErrorResponses"]}
        assert errors_.keys() == {400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504}
        assert all(one == {"ErrorCode": code, "ErrorCachingMinTTL": 0} for code, one in errors_.items())

    def test_api_gets_whole_requests_but_its_own_host(self) -> None:
        passed = [one for one in self.behaviors().values() if one["CachePolicyId"] == CACHING_DISABLED]
        assert {one["OriginRequestPolicyId"] for one in passed} == {ALL_VIEWER_EXCEPT_HOST_HEADER}
        assert all(set(one["AllowedMethods"]) >= {"DELETE", "GET", "PATCH", "POST", "PUT"} for one in passed)
        others = [one for one in self.behaviors().values() if one not in passed]
        assert not any("OriginRequestPolicyId" in one or "POST" in one["AllowedMethods"] for one in others)

    def test_stage_is_added_to_a_path_or_taken_from_it(self) -> None:
        origins = {one["Id"]: one for one in self.DISTRIBUTION["Origins"]}
        assert self.behaviors()["STAGE"]["TargetOriginId"] == "api-without-path"
        assert "OriginPath" not in origins["api-without-path"]
        assert origins["api-without-path"]["DomainName"] == origins["api"]["DomainName"]
        stage = origins["api"]["OriginPath"]["Fn::Join"][1][1]
        assert self.behaviors()["STAGE"]["PathPattern"] == {"Fn::Join": ["", ["/", stage, "/*"]]}

    def test_only_public_pictures_are_readable_and_by_the_distribution(self) -> None:
        [(condition, allowed, _)] = [
            one["Fn::If"] for one in properties("BucketPolicy")["PolicyDocument"]["Statement"] if "Fn::If" in one
        ]
        assert condition == "CloudFront"
        assert (allowed["Effect"], allowed["Action"]) == ("Allow", "s3:GetObject")
        assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
        assert allowed["Resource"] == {"Fn::Sub": f"${{Bucket.Arn}}/{bucket.PUBLIC}*"}
        source = allowed["Condition"]["StringEquals"]["aws:SourceArn"]["Fn::Sub"]
        assert source.endswith("::${AWS::AccountId}:distribution/${Distribution}")
        assert properties("PictureAccess")["OriginAccessControlConfig"]["SigningBehavior"] == "always"

    def test_security_headers_do_not_replace_those_of_the_api(self) -> None:
        headers = properties("SecurityHeaders")["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
        assert {name: one["Override"] for name, one in headers.items()} == {
            "ContentTypeOptions": True,  # it has one value only
            "FrameOptions": False,
            "ReferrerPolicy": False,
            "StrictTransportSecurity": False,
        }
        assert {json.dumps(one["ResponseHeadersPolicyId"]) for one in self.behaviors().values()} == {
            '{"Ref": "SecurityHeaders"}'
        }

    def test_tls_is_required(self) -> None:
        assert {one["ViewerProtocolPolicy"] for one in self.behaviors().values()} == {"redirect-to-https"}
        assert self.DISTRIBUTION["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
        api = [one["CustomOriginConfig"] for one in self.DISTRIBUTION["Origins"] if "CustomOriginConfig" in one]
        assert {one["OriginProtocolPolicy"] for one in api} == {"https-only"}

    def test_sign_in_page_may_return_to_the_distribution(self) -> None:
        client = properties("UserPoolClient")
        assert client["CallbackURLs"] == client["LogoutURLs"]
        [_, with_front, _] = client["CallbackURLs"]["Fn::If"][1]["Fn::Split"][1]["Fn::If"]
        text, names = with_front["Fn::Sub"]
        assert text == "${ConsoleUrls},https://${Name}/"
        assert names["Name"] == TEMPLATE["Outputs"]["PublicUrl"]["Value"]["Fn::If"][1]["Fn::Sub"][1]["Name"]


class TestNames:
    @pytest.mark.parametrize(
        ("name", "valid"),
        [
            *((name, True) for name in ("shop", "a", "a1", "a" * 14)),
            *((name, False) for name in ("", "Shop", "1st", "a" * 15, "my-shop", "sh\u00f6p", "paws", "shop\n")),
        ],
    )
    def test_name_of_the_app_is_checked(self, name: str, valid: bool) -> None:
        assert is_app_name(name) is valid

    def test_longest_bucket_name_fits(self) -> None:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        assert is_app_name(config.APP), f"the app's name must be {APP_NAME_RULE}"
        longest = {"Stage": "s" * 20, "AWS::AccountId": "1" * 12, "AWS::Region": "ap-southeast-1"}
        name = properties("Bucket")["BucketName"]["Fn::Sub"].replace(config.APP, "a" * 14)
        for variable, value in longest.items():
            name = name.replace(f"${{{variable}}}", value)
        assert len(name) <= 63

    @pytest.mark.parametrize(
        ("name", "valid"),
        [
            *((name, True) for name in ("dev", "a", "pr1234", "a" * 20)),
            *((name, False) for name in ("", "Dev", "1st", "a" * 21, "dev-resources", "../dev", "\u00fc")),
        ],
    )
    def test_stage_name_is_checked_by_tools_and_template(self, name: str, valid: bool) -> None:
        with contextlib.nullcontext() if valid else pytest.raises(StageError, match="is not a stage name"):
            check_stage_name(name)
        assert bool(re.search(TEMPLATE["Parameters"]["Stage"]["AllowedPattern"], name)) is valid

    def test_package_imports_only_what_the_resource_stack_exports(self) -> None:
        imported = set(re.findall(r'"Fn::ImportValue": {"Fn::Sub": "([^"]+)"}', json.dumps(MERGED)))
        exported = {one["Export"]["Name"]["Fn::Sub"] for one in TEMPLATE["Outputs"].values() if "Export" in one}
        assert imported
        assert imported <= {one.replace("${AWS::StackName}", "${AWS::StackName}-resources") for one in exported}


class TestPackage:
    @pytest.mark.parametrize("name", ["OnMessages", "OnDeliveries", "OnChange"])
    def test_failures_are_reported_only_with_the_mapping_that_reads_them(self, name: str) -> None:
        # Without the mapping's setting, as with `chalice deploy`, the failed messages of a batch would be deleted.
        function = MERGED[name]["Properties"]
        [source] = function["Events"].values()
        mapping = source["Properties"]
        assert function["Environment"]["Variables"]["REPORT_BATCH_ITEM_FAILURES"] == "true"
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert "REPORT_BATCH_ITEM_FAILURES" not in json.dumps(CONFIG)

    def test_requests_are_throttled_and_public_routes_more(self) -> None:
        [everything, *others] = METHOD_SETTINGS
        assert (everything["ResourcePath"], everything["HttpMethod"]) == ("/*", "*")
        own = {method(one): one["ThrottlingRateLimit"] for one in others}
        paths = app.app.routes.keys()
        public = {(verb, path) for (verb, path), operation in app.app.operations.items() if operation.public}
        public |= {("HEAD", path) for verb, path in public if verb == "GET"}
        # These send a request to any receiver, however slow it is.
        slow = {("POST", f"/webhooks/{{webhook_id}}/{path}") for path in ("test", "deliveries/{delivery_id}/redeliver")}
        assert {one for one in own if one[0] != "OPTIONS"} == public | slow, "a public route needs a limit of its own"
        assert {path for verb, path in own if verb == "OPTIONS"} <= paths, "a path that is not there has a limit"
        assert 0 < max(own.values()) < everything["ThrottlingRateLimit"]

    def test_no_url_of_a_share_link_is_recorded(self) -> None:
        # Traces, access logs and execution logs of API Gateway contain URLs.
        properties = MERGED["RestAPI"]["Properties"]
        assert properties["TracingEnabled"] is False
        assert "AccessLogSetting" not in properties
        assert not {"LoggingLevel", "DataTraceEnabled"} & {name for one in METHOD_SETTINGS for name in one}

    def test_console_loads_within_the_limit(self) -> None:
        files = len(list((PROJECT / "chalicelib" / "web").iterdir()))
        [web] = [one for one in METHOD_SETTINGS if method(one) == ("GET", "/web/{name}")]
        assert web["ThrottlingBurstLimit"] > 2 * files

    @pytest.mark.parametrize("kind", sorted(GATEWAY_RESPONSES))
    def test_response_of_api_gateway_is_an_error_that_browsers_can_read(self, kind: str) -> None:
        response = GATEWAY_RESPONSES[kind]
        body = json.loads(response["ResponseTemplates"]["application/json"])
        [error] = [one for one in all_below(errors.ApiError) if one.code == body["error"]]
        assert body == {"error": error.code, "message": error.sentence, "requestId": "$context.requestId"}
        # 5xx responses keep their status.
        assert response.get("StatusCode") == (None if kind == "DEFAULT_5XX" else error.status)
        headers = response["ResponseParameters"]["Headers"]
        expected = error.extra_headers | ({"Retry-After": str(error.retry_after)} if error.retry_after else {})
        expected |= {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
        assert expected.items() <= {name: value.strip("'") for name, value in headers.items()}.items()
        assert {"X-Request-Id", "Retry-After"} <= set(headers["Access-Control-Expose-Headers"].strip("'").split(","))


class TestChangeFeed:
    MAPPING: ClassVar[dict[str, Any]] = MERGED["OnChange"]["Properties"]["Events"]["OnChangeDynamodbEventSource"][
        "Properties"
    ]

    def test_table_streams_items_before_and_after_a_change(self) -> None:
        assert properties("Table")["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}

    def test_function_gets_only_items_of_owners(self) -> None:
        [filter_] = self.MAPPING["FilterCriteria"]["Filters"]
        item, copy = (table.Key(owner, "ITEM", "1") for owner in ("ann", table.public_partition("1")))
        prefixes = {
            name: condition["S"][0]["prefix"]
            for name, condition in json.loads(filter_["Pattern"])["dynamodb"]["Keys"].items()
        }
        assert prefixes == {"pk": "OWNER#", "sk": "ITEM#"}
        assert all(item.attributes[name]["S"].startswith(prefix) for name, prefix in prefixes.items())
        assert not copy.attributes["pk"]["S"].startswith(prefixes["pk"])

    def test_an_outage_of_two_hours_is_waited_for(self) -> None:
        # While a service of AWS fails, each run waits until it has too little time for another attempt.
        waiting = timeout("on_change") - change_feed.MIN_REMAINING_MS / 1000
        assert self.MAPPING["MaximumRetryAttempts"] * waiting >= 2 * 3600
        # What is given up then is in the stream for 24 hours, so that it can be sent back.
        assert 2 * 3600 < self.MAPPING["MaximumRecordAgeInSeconds"] <= 12 * 3600

    def test_late_changes_raise_an_alarm_before_they_are_given_up(self) -> None:
        late = MERGED["OnChangeLateAlarm"]["Properties"]
        assert (late["MetricName"], late["Statistic"]) == ("IteratorAge", "Maximum")
        assert late["Threshold"] < 1_000 * self.MAPPING["MaximumRecordAgeInSeconds"] / 10


class TestPolicies:
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_resources_are_of_the_stage_and_the_account(self, function: str) -> None:
        # IAM User Guide, "AWS global condition context keys": the account that owns the resource.
        own = {"aws:ResourceAccount": "${aws:PrincipalAccount}"}
        elsewhere = {"logs", "xray"}  # other accounts cannot grant access to these
        for one in policies.for_stage(PROJECT, "dev")[function]["Statement"]:
            services = {action.partition(":")[0] for action in as_list(one["Action"])}
            assert services <= elsewhere or one["Condition"]["StringEquals"] == own, one["Sid"]
            if services != {"xray"}:  # X-Ray does not support resources
                # Stage names have no hyphens, so no name begins with that of another stage and a hyphen.
                for resource in as_list(one["Resource"]):
                    assert re.search(r"[:/]vitrine[-/]dev($|[-/:])", resource), one["Sid"]

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_log_is_the_functions_own(self, function: str) -> None:
        def may_write(group: str) -> bool:
            need = rights.Need("logs:PutLogEvents", f"arn:aws:logs:us-east-1:1:log-group:{group}:log-stream:1")
            return any(grant.covers(need) for grant in rights.grants(policies.for_stage(PROJECT, "dev")[function]))

        groups = {
            name: [f"/aws/lambda/vitrine-dev-{logical_id}-1A2B3C", f"/aws/lambda/{by_chalice}"]
            for name, logical_id, by_chalice in (
                ("api_handler", "APIHandler", "vitrine-dev"),
                ("authorize", "Authorize", "vitrine-dev-authorize"),
                ("clean_up", "CleanUp", "vitrine-dev-clean_up"),
                ("on_change", "OnChange", "vitrine-dev-on_change"),
                ("on_deliveries", "OnDeliveries", "vitrine-dev-on_deliveries"),
                ("on_messages", "OnMessages", "vitrine-dev-on_messages"),
                ("on_upload", "OnUpload", "vitrine-dev-on_upload"),
            )
        }
        assert sorted(groups) == FUNCTIONS
        writable = {name: [may_write(group) for group in of_function] for name, of_function in groups.items()}
        assert writable == {name: [name == function] * 2 for name in groups}

    def test_arns_fit_any_partition(self) -> None:
        # The partition is aws-us-gov in GovCloud and aws-cn in China. IAM User Guide, "IAM JSON policy elements:
        # Resource": a wildcard may stand for a segment of an ARN, other than the service.
        assert set(re.findall(r"arn:[^:]*", json.dumps(policies.for_stage(PROJECT, "dev")))) == {"arn:*"}


class TestConfig:
    @pytest.mark.parametrize("stage", ["local", "dev", "prod"])
    def test_only_the_local_stage_is_open(self, stage: str) -> None:
        variables = CONFIG["stages"][stage]["environment_variables"]
        assert variables["STAGE"] == stage
        assert (variables.get("AUTH_MODE") == "local") is (stage == "local")

    def test_api_timeout_is_at_most_that_of_api_gateway(self) -> None:
        assert timeout("api_handler") <= 29
