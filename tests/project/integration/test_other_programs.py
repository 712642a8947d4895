"""The message and the policy in docs/adapting.md with which another program creates items."""

from __future__ import annotations

import json
import re

from chalicelib import config
from tests.blocks import block
from tests.builders import REQUIRED
from tests.integration.stage import OWNER, Stage, json_of

PAGE = "docs/adapting.md"


def test_message_from_another_program_is_processed(stage: Stage) -> None:
    message = json.loads(re.search(r"--message-body '(.+?)'", block(PAGE, "send"), re.DOTALL)[1])  # type: ignore[index]
    stage.send({**message, "owner": OWNER, "item": {**message["item"], **REQUIRED}})

    stage.work()

    assert [item["title"] for item in json_of(stage("GET", "/items"))["items"]] == [
        {"title": "Vase", **REQUIRED}["title"]
    ]


def test_policy_of_a_producer_names_the_queue() -> None:
    queue = config.load({"STAGE": "prod"}).queue_name("jobs")
    statement = json.loads(block(PAGE, "producer"))
    assert f"--queue-name {queue} " in block(PAGE, "send")
    assert statement["Resource"].rpartition(":")[2] == queue
    assert statement["Action"] == ["sqs:GetQueueUrl", "sqs:SendMessage"]
