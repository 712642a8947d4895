"""The actions of clients and producers in a history.

Every write has a unique token, so that each change of an item can be traced to the action that caused it: a create or a
replace sets ``{"by": token}``, a patch adds ``{token: 1}``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from chalicelib.values import times
from tests.builders import fields
from tests.simulation.acts import OWNERS, Act, Ledger, shared_path
from tests.simulation.functions import Answer
from tests.simulation.item_values import some_fields, some_visibility
from tests.simulation.pictures import KINDS, picture
from tests.simulation.queries import some_query
from tests.simulation.timeline import HOUR
from tests.simulation.webhook_actions import WebhookActions
from tests.simulation.world import World

GARBAGE = ("not JSON", "{}", '{"type":"item.create","owner":"ann","item":[1],"key":"array"}', '{"type":"unknown"}')
"""Messages that cannot be processed: they must become dead letters."""

MOST_PAGES = 8
"""The pages after which a client stops to look for more."""


class Client:
    """A client that does a few things, one after the other."""

    def __init__(self, world: World, ledger: Ledger, owner: str, steps: int) -> None:
        self._world = world
        self._ledger = ledger
        self._chance = world.chance
        self._owner = owner
        self._steps = steps
        self._webhook_actions = WebhookActions(world.chance, ledger, world.receivers, self._act, self._ask)
        self._does: list[Callable[[], None]] = [
            self._create,
            self._create,
            self._create_by_message,
            self._replace,
            self._replace,
            self._patch,
            self._patch,
            self._delete,
            self._delete_by_message,
            self._batch,
            self._keyed_batch,
            self._read,
            self._find,
            self._find,
            self._find,
            self._visit,
            self._visit,
            self._use_link,
            self._use_link,
            self._upload,
            self._upload,
            self._upload,
            self._upload,
            self._remove_picture,
            self._change_focus,
            self._change_focus,
            self._import,
            self._import,
            self._export,
            self._put_loose_file,
            self._send_garbage,
            self._use_webhooks,
            self._use_webhooks,
        ]

    def work(self) -> None:
        """Run all actions of the client."""
        # Some histories have only a few kinds of actions, so that actions of these kinds overlap more often.
        does = [self._create, *self._chance.sample(self._does, self._chance.choice((3, 6, len(self._does))))]
        pace = self._chance.choice((0.1, 3, 600))
        for step in range(self._steps):
            (does[0] if step == 0 else self._chance.choice(does))()
            self._wait(self._chance.random() * pace)

    # --------------------------------------------------------------------------------------------------------- items

    def _create(self) -> None:
        key = self._key()
        act = self._act("create", tokens=(self._ledger.token(),), key=key)
        body = {**self._fields(act.tokens[0]), **self._expiry(act)}
        self._ask(act, "POST", "/items", body)

    def _create_by_message(self) -> None:
        key = self._ledger.token() if self._chance.random() < 0.7 else None
        act = self._act("message", tokens=(self._ledger.token(),), key=key)
        message = {"type": "item.create", "owner": self._owner, "item": self._fields(act.tokens[0])}
        body = json.dumps(message | ({"key": key} if key else {}))
        act.details["body"] = body
        self._send(body)
        if key and self._chance.random() < 0.4:
            self._wait(self._chance.choice((0, 1, 2 * HOUR)) * self._chance.random())
            self._send(body)

    def _replace(self) -> None:
        if item := self._some_item():
            act = self._act("replace", item=item["id"], tokens=(self._ledger.token(),), if_match=self._version(item))
            self._ask(act, "PUT", f"/items/{item['id']}", self._fields(act.tokens[0]))

    def _patch(self) -> None:
        if item := self._some_item():
            act = self._act("patch", item=item["id"], tokens=(self._ledger.token(),), if_match=self._version(item))
            self._ask(act, "PATCH", f"/items/{item['id']}", self._changes(act.tokens[0]))

    def _delete(self) -> None:
        if item := self._some_item():
            act = self._act("delete", item=item["id"], if_match=self._version(item))
            self._ask(act, "DELETE", f"/items/{item['id']}")

    def _delete_by_message(self) -> None:
        if item := self._some_item():
            act = self._act("delete message", item=item["id"])
            self._send(json.dumps({"type": "item.delete", "owner": act.owner, "id": act.item}))

    def _batch(self) -> None:
        """Create, replace, patch and delete items by one request."""
        acts: list[Act] = []
        operations: list[dict[str, Any]] = []
        for _ in range(self._chance.randint(1, 6)):
            item, token = self._some_item(), self._ledger.token()
            kind = self._chance.choice(("create", "replace", "patch", "delete")) if item else "create"
            operation: dict[str, Any] = {"op": kind}
            if kind != "delete":
                operation["body"] = self._changes(token) if kind == "patch" else self._fields(token)
            tokens = () if kind == "delete" else (token,)
            if item is None or kind == "create":
                acts.append(self._act(kind, tokens=tokens))
            else:
                version = self._version(item)
                acts.append(self._act(kind, item=item["id"], tokens=tokens, if_match=version))
                operation |= {"id": item["id"]} | ({} if version is None else {"ifMatch": f'"{version}"'})
            operations.append(operation)
        self._send_batch(acts, {"operations": operations})

    def _keyed_batch(self) -> None:
        """Create items by a request that is repeated until every operation succeeds or is refused."""
        key = self._ledger.token()
        acts = [
            self._act("create", tokens=(self._ledger.token(),), key=f"{key},{number}")
            for number in range(self._chance.randint(1, 6))
        ]
        body = {"operations": [{"op": "create", "body": self._fields(act.tokens[0])} for act in acts]}
        for tried in range(7):
            self._wait(self._chance.random() * tried**2)
            self._send_batch(acts, body, {"idempotency-key": key})
            if all(act.done for act in acts):
                return

    def _send_batch(self, acts: list[Act], body: Any, headers: dict[str, str] | None = None) -> None:
        """Send a batch, and record the result of each operation as that of its action."""
        answer = self._world.api.ask(self._owner, "POST", "/items/batch", body, headers or {})
        results = answer.body["results"] if answer.status == 200 else [None] * len(acts)
        for act, result in zip(acts, results, strict=True):
            act.runs.append(answer.run)
            act.ended = self._world.timeline.now
            act.status, act.body = (result["status"], result) if result else (answer.status, answer.body)

    def _read(self) -> None:
        if item := self._some_item():
            self._ask(self._act("read", item=item["id"]), "GET", f"/items/{item['id']}")

    def _find(self) -> None:
        query, limit = some_query(self._chance), self._chance.choice((1, 2, 5, 100))
        act = self._act("find", query=query, pages=[], complete=False)
        cursor = ""
        for _ in range(MOST_PAGES):
            self._ask(act, "GET", f"/items?{query.text}&limit={limit}{cursor}")
            if not act.done:
                return
            act.details["pages"].append(act.body["items"])
            if act.body["nextCursor"] is None:
                act.details["complete"] = True
                return
            cursor = f"&cursor={act.body['nextCursor']}"

    def _visit(self) -> None:
        """Read an item as a visitor, by itself and in the list."""
        item, answer = self._some_item(), self._world.api.ask(self._owner, "GET", "/catalogue")
        if item is None or answer.status != 200:
            return
        path = f"/catalogues/{answer.body['id']}/items"
        act = self._act("visit", item=item["id"], catalogue=answer.body["id"])
        self._ask(act, "GET", f"{path}/{act.item}")
        act = self._act("visit list", item=item["id"], catalogue=answer.body["id"])
        self._ask(act, "GET", f"{path}?limit=100")

    def _use_link(self) -> None:
        """Make a share link, or not, and then visit and delete links."""
        if self._chance.random() < 0.6:
            self._share()
        uses = (self._visit_share, self._visit_share, self._unshare)
        for use in self._chance.choices(uses, k=self._chance.choice((0, 1, 3))):
            use()

    def _share(self) -> None:
        if item := self._some_item():
            act = self._act("share", item=item["id"])
            self._ask(act, "POST", f"/items/{item['id']}/shares", self._expiry(act))

    def _unshare(self) -> None:
        if link := self._some_link(self._owner):
            act = self._act("unshare", item=link.item, link=link)
            self._ask(act, "DELETE", f"/items/{link.item}/shares/{link.body['id']}")

    def _visit_share(self) -> None:
        """Read an item through a link, as a visitor."""
        if link := self._some_link(*OWNERS):
            self._ask(self._act("visit share", item=link.item, link=link), "GET", shared_path(link))

    def _some_link(self, *owners: str) -> Act | None:
        """Return the action that made one of the links of these owners."""
        links = [act for act in self._ledger.of("share") if act.done and act.owner in owners]
        return self._chance.choice(links) if links else None

    def _use_webhooks(self) -> None:
        self._webhook_actions.do_something(self._owner)

    # ------------------------------------------------------------------------------------------------------ pictures

    def _upload(self) -> None:
        item = self._some_item()
        if item is None:
            return
        act = self._act("ticket", item=item["id"])
        answer = self._ask(act, "POST", f"/items/{item['id']}/image", {"contentType": "image/jpeg"})
        if answer.status != 201:
            return
        fields = answer.body["upload"]["fields"]
        for _ in range(self._chance.choice((0, 1, 1, 1, 1, 2))):
            self._wait(self._chance.choice((0.1, 3, 100, 1000)) * self._chance.random())
            self._world.s3.post(fields, picture(self._chance.choice((*KINDS, "huge")), self._ledger.token()))

    def _remove_picture(self) -> None:
        if item := self._some_item():
            act = self._act("remove picture", item=item["id"])
            self._ask(act, "DELETE", f"/items/{item['id']}/image")

    def _change_focus(self) -> None:
        self._find_more()
        ready = [one for one in self._ledger.items[self._owner] if one.get("image", {}).get("status") == "ready"]
        if not ready:
            self._upload()
            return
        item = self._chance.choice(ready)
        for _ in range(self._chance.choice((1, 2, 3))):
            focus = self._chance.choice((None, {"x": 0.25, "y": 0.5}, {"x": 1, "y": 0}))
            act = self._act("change focus", item=item["id"], if_match=self._version(item))
            self._ask(act, "PATCH", f"/items/{item['id']}/image", {"focus": focus})
            self._wait(self._chance.choice((0.1, 3, 100)) * self._chance.random())

    def _put_loose_file(self) -> None:
        key = f"uploads/loose/{self._chance.randint(1, 2)}.png"
        for _ in range(self._chance.choice((1, 1, 2))):
            data = picture(self._chance.choice((*KINDS, "good", "good", "good")), self._ledger.token())
            self._world.s3.put_object(Bucket="", Key=key, Body=data)
            self._wait(self._chance.choice((0.1, 3)) * self._chance.random())

    # ----------------------------------------------------------------------------------------------- imports, and so on

    def _import(self) -> None:
        good = tuple(self._ledger.token() for _ in range(self._chance.randint(1, 7)))
        act = self._act("import", tokens=good, key=self._key())
        entries: list[Any] = [self._fields(token) for token in good]
        bad = self._chance.choice((0, 0, 1, 2))
        for _ in range(bad):
            entries.insert(self._chance.randint(0, len(entries)), self._chance.choice(([1], {"expiresAt": "soon"})))
        act.details |= {"total": len(entries), "bad": bad}
        self._ask(act, "POST", "/imports", {"items": entries})

    def _export(self) -> None:
        act = self._act("export", key=self._key())
        wanted = {"format": self._chance.choice(("ndjson", "csv")), "pictures": self._chance.random() < 0.5}
        act.details |= wanted
        self._ask(act, "POST", "/exports", wanted)

    def _send_garbage(self) -> None:
        body = self._chance.choice(GARBAGE)
        self._act("garbage", body=body)
        self._send(body)

    # ------------------------------------------------------------------------------------------------------- in common

    def _act(self, kind: str, **details: Any) -> Act:
        return self._ledger.add(Act(kind, self._owner, self._world.timeline.now, **details))

    def _fields(self, token: str) -> dict[str, Any]:
        """Return fields of an item with this token."""
        values = self._ledger.values[token] = some_fields(self._chance)
        return fields(by=token, **values, **self._visibility(token))

    def _changes(self, token: str) -> dict[str, Any]:
        """Return a patch with this token."""
        values = self._ledger.values[token] = some_fields(self._chance)
        return {**values, token: 1, **self._visibility(token)}

    def _visibility(self, token: str) -> dict[str, Any]:
        self._ledger.visibility[token] = some_visibility(self._chance)
        return self._ledger.visibility[token]

    def _ask(self, act: Act, method: str, path: str, body: Any = None) -> Answer:
        """Send a request; with an idempotency key, repeat it until a response arrives."""
        headers = {"idempotency-key": act.key} if act.key else {}
        if act.if_match is not None:
            headers["if-match"] = f'"{act.if_match}"'
        for tried in range(7 if act.key else 1):
            self._wait(self._chance.random() * tried**2)
            answer = self._world.api.ask(self._owner, method, path, body, headers)
            act.runs.append(answer.run)
            if answer.status is not None and answer.status < 500:
                break
        act.status, act.body, act.ended = answer.status, answer.body, self._world.timeline.now
        if act.done and act.kind in ("create", "replace", "patch", "read", "change focus"):
            self._ledger.knows(self._owner, answer.body)
        return answer

    def _send(self, body: str) -> None:
        self._world.jobs.send(body)
        self._world.timeline.note("sent", body)

    def _key(self) -> str | None:
        """Return None, a new key, or a shared key, with which a request is refused if its body differs."""
        return self._chance.choice((None, None, self._ledger.token(), self._ledger.token(), "shared"))

    def _expiry(self, act: Act) -> dict[str, str]:
        if self._chance.random() < 0.85:
            return {}
        seconds = self._chance.choice((2, 60, 2 * HOUR)) * self._chance.random()
        return {
            "expiresAt": times.format_time(
                times.now().fromtimestamp(self._world.timeline.wall() + seconds, times.now().tzinfo)
            )
        }

    def _some_item(self) -> dict[str, Any] | None:
        """Return one of the owner's items, the newest more often, so that clients meet. Includes items of imports."""
        known = self._ledger.items[self._owner]
        if not known or self._chance.random() < 0.2:
            self._find_more()
        if not known:
            return None
        return known[-1] if self._chance.random() < 0.5 else self._chance.choice(known)

    def _find_more(self) -> None:
        answer = self._world.api.ask(self._owner, "GET", "/items?limit=5")
        for item in answer.body["items"] if answer.status == 200 else ():
            self._ledger.knows(self._owner, item)

    def _version(self, item: dict[str, Any]) -> int | None:
        return item["version"] if self._chance.random() < 0.5 else None

    def _wait(self, seconds: float) -> None:
        self._world.timeline.pause(seconds)
