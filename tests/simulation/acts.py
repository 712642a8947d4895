"""The actions of clients with their responses, and the ledger of all of them."""

from __future__ import annotations

from typing import Any

OWNERS = ("ann", "bob")


class Act:
    """An action of a client, and the response."""

    def __init__(self, kind: str, owner: str, at: float, **details: Any) -> None:
        self.kind = kind
        self.owner = owner
        self.started = at
        self.ended = at
        self.status: int | None = None
        self.body: Any = None
        self.runs: list[str] = []
        self.item: str = details.pop("item", "")
        self.tokens: tuple[str, ...] = details.pop("tokens", ())
        self.key: str | None = details.pop("key", None)
        self.if_match: int | None = details.pop("if_match", None)
        self.details = details

    @property
    def done(self) -> bool:
        """Return whether the response reports success."""
        return self.status is not None and self.status < 300

    @property
    def refused(self) -> bool:
        """Return whether the response is a client error: the action has no effect, now or later."""
        return self.status is not None and 400 <= self.status < 500

    def __repr__(self) -> str:
        result = "" if self.body is None else f" {self.body.get('error') or self.body.get('id')}"
        tokens = " ".join(self.tokens)
        extras = "".join(
            f" {name}={value}" for name, value in (("key", self.key), ("if-match", self.if_match)) if value
        )
        runs = "".join(f" {run}" for run in self.runs)
        return f"{self.owner}'s {self.kind} {self.item}{tokens}{extras} ({self.status}{result}{runs})"


def shared_path(link: Act) -> str:
    """Return the path at which visitors read what a link shows."""
    return f"/shares/{link.body['url'].rpartition('/')[2]}"


class Ledger:
    """All actions."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.by_token: dict[str, Act] = {}
        self.items: dict[str, list[dict[str, Any]]] = {owner: [] for owner in OWNERS}
        """What each owner's clients know of their items: the last response about each."""
        self.values: dict[str, dict[str, Any]] = {}
        """The fields that are sent beside each token."""
        self.visibility: dict[str, dict[str, Any]] = {}
        """What is sent beside each token about the item's visibility."""
        self._tokens = 0

    def token(self) -> str:
        """Return a token that no other write has."""
        self._tokens += 1
        return f"t{self._tokens}"

    def add(self, act: Act) -> Act:
        """Record an action before it starts."""
        self.acts.append(act)
        for token in act.tokens:
            self.by_token[token] = act
        return act

    def of(self, *kinds: str) -> list[Act]:
        """Return the actions of these kinds."""
        return [act for act in self.acts if act.kind in kinds]

    def knows(self, owner: str, item: dict[str, Any]) -> None:
        """Record an item as a response contained it."""
        known = self.items[owner]
        for place, other in enumerate(known):
            if other["id"] == item["id"]:
                known[place] = item
                return
        known.append(item)
