"""Cloud Pub/Sub as far as Gmail uses it: topics, push subscriptions, and signed notifications that arrive at a door.

One daemon thread per subscription posts in order, signs like Google (RS256, an hour), tries again when it is not
answered with 2xx, and misbehaves as the knobs say. It posts to this machine only.
https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from .knobs import Knobs
from .mime import padded
from .tokens import KeyRing

OUTCOMES = ("published", "dropped", "delivered", "refused", "given_up")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
TOKEN_SECONDS = 3_600
ANSWER_SECONDS = 10.0  # real time a door may take
FIRST_RETRY_SECONDS = 0.1  # real time, doubled each time; Google starts at ten seconds
POLL_SECONDS = 0.05  # how soon a clock that is not ours is looked at again


@dataclass(slots=True, eq=False)
class Delivery:
    """One notification on its way."""

    body: bytes
    due: float  # by the stage's clock
    not_before: float = 0.0  # by the machine's clock, after a failed try
    tries: int = 0


@dataclass(slots=True, eq=False)
class Subscription:
    """Where a topic pushes, and how that is going."""

    topic: str
    endpoint: str
    audience: str
    service_account: str
    name: str
    pending: list[Delivery] = field(default_factory=list)
    held: Delivery | None = None  # waiting for the next one to overtake it
    worker: threading.Thread | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    account_id: str = field(default_factory=lambda: f"1{secrets.randbelow(10**20):020d}")

    def show(self) -> dict[str, Any]:
        """Tell where it goes and how much came of it."""
        return {
            "topic": self.topic,
            "endpoint": self.endpoint,
            "subscription": self.name,
            "pending": len(self.pending) + (self.held is not None),
            **self.counts,
        }


class Courier:
    """Carries notifications from topics to doors."""

    def __init__(
        self, lock: threading.RLock, knobs: Knobs, now: Callable[[], float], keys: KeyRing, issuer: str
    ) -> None:
        self._changed = threading.Condition(lock)
        self._knobs, self._now, self._keys, self._issuer = knobs, now, keys, issuer
        self.subscriptions: dict[str, Subscription] = {}
        self._last_published: dict[str, float] = {}
        self._messages = 0

    def subscribe(self, topic: str, endpoint: str, audience: str, service_account: str, name: str) -> Subscription:
        """Make a topic and say where it pushes, replacing a subscription of the same name."""
        address = urlsplit(endpoint)
        if address.scheme != "http" or address.hostname not in LOOPBACK:
            raise ValueError("the understudy pushes to http://127.0.0.1 or http://localhost only")
        subscription = Subscription(topic, endpoint, audience or endpoint, service_account, name)
        self.subscriptions[name] = subscription
        self.wake()
        return subscription

    def unsubscribe(self, name: str) -> None:
        """Take a subscription away."""
        self.subscriptions.pop(name, None)
        self.wake()

    def has_topic(self, topic: str) -> bool:
        """Tell whether Gmail could publish there."""
        return any(subscription.topic == topic for subscription in self.subscriptions.values())

    def reset(self) -> None:
        """Take every subscription away; their threads end."""
        self.subscriptions.clear()
        self._last_published.clear()
        self.wake()

    def wake(self) -> None:
        """Look again: the clock, a knob or the subscriptions changed."""
        with self._changed:
            if not self._knobs.push_reorder:
                for subscription in self.subscriptions.values():
                    if subscription.held:
                        subscription.pending.append(subscription.held)
                        subscription.held = None
            self._changed.notify_all()

    def publish(self, topic: str, address: str, history_id: int) -> None:
        """Tell every subscription of a topic that a mailbox changed."""
        with self._changed:
            now, last = self._now(), self._last_published.get(address)
            dropped = self._knobs.push_one_a_second and last is not None and now - last < 1
            if not dropped:
                self._last_published[address] = now
                if dropped := self._knobs.push_drop > 0:
                    self._knobs.push_drop -= 1
            shown = history_id if self._knobs.push_history_id == "number" else str(history_id)
            for subscription in self.subscriptions.values():
                if subscription.topic == topic and dropped:
                    subscription.counts["dropped"] += 1
                elif subscription.topic == topic:
                    self._put(subscription, {"emailAddress": address, "historyId": shown})
            self._changed.notify_all()

    def _put(self, subscription: Subscription, data: dict[str, Any]) -> None:
        now = self._now()
        self._messages += 1
        subscription.counts["published"] += 1
        message = {
            "data": padded(json.dumps(data).encode()),
            "messageId": str(10_000_000_000 + self._messages),
            "publishTime": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        body = json.dumps({"message": message, "subscription": subscription.name}).encode()
        copies = [Delivery(body, now + self._knobs.push_delay_seconds) for _ in range(1 + self._knobs.push_duplicates)]
        if self._knobs.push_reorder and subscription.held is None:
            subscription.held, *copies = copies
            subscription.pending += copies
        else:
            subscription.pending += copies
            if subscription.held:
                subscription.pending.append(subscription.held)
                subscription.held = None
        if subscription.worker is None:
            subscription.worker = threading.Thread(
                target=self._work, args=(subscription,), name="pubsub-understudy", daemon=True
            )
            subscription.worker.start()

    def _work(self, subscription: Subscription) -> None:
        """Post what is due until the subscription is gone; the lock is never held while a door is spoken to."""
        while True:
            with self._changed:
                delivery = self._await_next(subscription)
                if delivery is None:
                    return
                delivery.tries += 1
                key = self._keys.current()
                claims = self._claims(subscription)
            accepted = post(subscription.endpoint, delivery.body, key.sign(claims))
            with self._changed:
                subscription.counts["delivered" if accepted else "refused"] += 1
                if not accepted and delivery.tries < self._knobs.push_tries:
                    delivery.not_before = time.monotonic() + FIRST_RETRY_SECONDS * 2 ** (delivery.tries - 1)
                    subscription.pending.append(delivery)
                elif not accepted:
                    subscription.counts["given_up"] += 1

    def _await_next(self, subscription: Subscription) -> Delivery | None:
        while self.subscriptions.get(subscription.name) is subscription:
            now, tick = self._now(), time.monotonic()
            for delivery in subscription.pending:
                if delivery.due <= now and delivery.not_before <= tick:
                    subscription.pending.remove(delivery)
                    return delivery
            self._changed.wait(POLL_SECONDS if subscription.pending else None)
        return None

    def _claims(self, subscription: Subscription) -> dict[str, Any]:
        issued = int(self._now())
        return {
            "iss": self._issuer,
            "aud": subscription.audience,
            "azp": subscription.account_id,
            "sub": subscription.account_id,
            "email": subscription.service_account,
            "email_verified": True,
            "iat": issued,
            "exp": issued + TOKEN_SECONDS,
        }


def post(endpoint: str, body: bytes, token: str) -> bool:
    """Post once, without proxies or redirects, and tell whether the answer was 2xx."""
    address = urlsplit(endpoint)
    assert address.hostname in LOOPBACK
    connection = HTTPConnection(address.hostname, address.port, timeout=ANSWER_SECONDS)
    path = f"{address.path or '/'}{'?' + address.query if address.query else ''}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "User-Agent": "APIs-Google"}
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return 200 <= answer.status < 300
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
