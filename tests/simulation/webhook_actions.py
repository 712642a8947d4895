"""What clients do with webhooks: create, change, rotate, test and delete them, and send deliveries again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.simulation.acts import Act, Ledger
from tests.simulation.functions import Answer
from tests.simulation.receivers import Receivers

TYPES = ("item.created", "item.updated", "item.deleted", "picture.ready", "picture.failed", "item.published")

Ask = Callable[..., Answer]
"""Send a request for an action: the action, the method, the path and the body."""


class WebhookActions:
    """The actions of one client."""

    def __init__(
        self, chance: random.Random, ledger: Ledger, receivers: Receivers, act: Callable[..., Act], ask: Ask
    ) -> None:
        self._chance = chance
        self._ledger = ledger
        self._receivers = receivers
        self._act = act
        self._ask = ask

    def do_something(self, owner: str) -> None:
        """Create a webhook, or use one of those that the owner has."""
        found = [act for act in self._ledger.of("create webhook") if act.done and act.owner == owner]
        if not found or self._chance.random() < 0.3:
            self._create()
            return
        webhook = self._chance.choice(found)
        self._chance.choice((self._change, self._change, self._rotate, self._delete, self._test, self._redeliver))(
            webhook
        )

    def _create(self) -> None:
        url = self._receivers.new_url()
        act = self._act("create webhook", url=url)
        self._ask(act, "POST", "/webhooks", {"url": url, "events": self._events()})

    def _change(self, webhook: Act) -> None:
        changes: dict[str, Any] = self._chance.choice(
            ({"events": self._events()}, {"enabled": False}, {"enabled": True}, {"description": "Changed"})
        )
        act = self._act("change webhook", webhook=webhook, changes=changes)
        self._ask(act, "PATCH", f"/webhooks/{webhook.body['id']}", changes)

    def _rotate(self, webhook: Act) -> None:
        act = self._act("rotate secret", webhook=webhook)
        self._ask(act, "POST", f"/webhooks/{webhook.body['id']}/rotate")

    def _delete(self, webhook: Act) -> None:
        act = self._act("delete webhook", webhook=webhook)
        self._ask(act, "DELETE", f"/webhooks/{webhook.body['id']}")

    def _test(self, webhook: Act) -> None:
        act = self._act("test webhook", webhook=webhook)
        self._ask(act, "POST", f"/webhooks/{webhook.body['id']}/test")

    def _redeliver(self, webhook: Act) -> None:
        act = self._act("list deliveries", webhook=webhook)
        path = f"/webhooks/{webhook.body['id']}/deliveries"
        self._ask(act, "GET", path)
        if act.done and act.body["deliveries"]:
            delivery = self._chance.choice(act.body["deliveries"])["id"]
            act = self._act("redeliver", webhook=webhook, delivery=delivery)
            self._ask(act, "POST", f"{path}/{delivery}/redeliver")

    def _events(self) -> list[str]:
        return self._chance.choice((["*"], ["*"], self._chance.sample(TYPES, self._chance.randint(1, 4))))
