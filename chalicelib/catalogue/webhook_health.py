"""Whether deliveries to a webhook succeed: when it is failing, when it is tried again, and when it is switched off.

A webhook is *failing* after FAILING_AFTER failed attempts in a row. Then one delivery, the probe, tries it every
PROBE_PERIOD, and the others wait without an attempt. A success ends that. After SWITCHED_OFF_AFTER, the webhook is
switched off.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from chalicelib.catalogue.webhooks import FAILING_AFTER, Webhook, without_failures
from chalicelib.values import times

PROBE_PERIOD = timedelta(minutes=5)
SWITCHED_OFF_AFTER = timedelta(days=3)


def is_failing(webhook: Webhook) -> bool:
    """Return whether the last attempts failed, so that the webhook is tried only every PROBE_PERIOD."""
    return webhook.consecutive_failures >= FAILING_AFTER


def can_be_tried(webhook: Webhook, at: datetime) -> bool:
    """Return whether a delivery may be attempted."""
    return not is_failing(webhook) or webhook.probe_at is None or webhook.probe_at <= times.format_time(at)


def after_probe_began(webhook: Webhook, at: datetime) -> Webhook:
    """Return a failing webhook as it is when one delivery tries it, so that no other one does for PROBE_PERIOD."""
    return msgspec.structs.replace(webhook, probe_at=times.format_time(at + PROBE_PERIOD))


def after_success(webhook: Webhook) -> Webhook:
    """Return a webhook as it is when an attempt has succeeded: ``webhook`` itself if it had no failures."""
    healthy = without_failures(webhook)
    return webhook if healthy == webhook else healthy


def after_failure(webhook: Webhook, problem: str, at: datetime) -> Webhook:
    """Return a webhook as it is when an attempt has failed because of ``problem``, which may switch it off."""
    failed = msgspec.structs.replace(
        webhook,
        consecutive_failures=min(webhook.consecutive_failures + 1, FAILING_AFTER),
        failing_since=webhook.failing_since or times.format_time(at),
        problem=problem,
    )
    since = times.parse_time(failed.failing_since or "")
    if not is_failing(failed):
        return failed
    if at - since >= SWITCHED_OFF_AFTER:
        return switched_off(failed, f"Every attempt failed for {SWITCHED_OFF_AFTER.days} days. The last one: {problem}")
    return failed if failed.probe_at else after_probe_began(failed, at)


def switched_off(webhook: Webhook, problem: str) -> Webhook:
    """Return a webhook that receives no events until its owner switches it on again."""
    return msgspec.structs.replace(webhook, enabled=False, problem=problem)
