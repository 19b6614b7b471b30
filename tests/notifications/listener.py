"""Somebody outside who listens to events on a real RabbitMQ, with kombu alone."""

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import kombu
from kombu import exceptions

from tests.databases import missing

SERVER = os.environ.get(
    "IMAGESERVICE_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"
)
EXCHANGE = "glance"
CONNECT_S = 5
ARRIVAL_S = 20
QUIET_S = 0.3


class Heard(NamedTuple):
    """A message as it was on the wire."""

    routing_key: str
    envelope: dict[str, Any]  # what the format 2.0 has around it; empty for 1.0
    message: dict[str, Any]

    @property
    def said(self) -> str:
        """The type and, unless it is INFO, the level."""
        level = self.message["priority"]
        name: str = self.message["event_type"]
        return name if level == "INFO" else f"{name} {level}"

    @property
    def payload(self) -> Any:
        return self.message["payload"]


class Listener:
    """A queue for all events of one topic, which no other test uses."""

    def __init__(self, connection: kombu.Connection) -> None:
        self._connection = connection
        self._heard: list[Heard] = []
        self._ids: set[str] = set()
        self.ignores_repeats = False
        self.topic = f"imageservice-test-{uuid.uuid4().hex[:12]}"
        channel = connection.channel()
        exchange = kombu.Exchange(EXCHANGE, "topic", durable=False, channel=channel)
        self._queue = kombu.Queue(
            f"{self.topic}-listener",
            bindings=[
                kombu.binding(exchange, routing_key=f"{self.topic}.{level}")
                for level in ("info", "error", "warn")
            ],
            durable=False,
            exclusive=True,
            channel=channel,
        )
        exchange.declare()
        self._queue.declare()
        self._consumer = kombu.Consumer(
            channel, self._queue, callbacks=[self._hear], no_ack=True
        )
        self._consumer.consume()

    def _hear(self, body: Any, message: Any) -> None:
        envelope = body if "oslo.message" in body else {}
        content = json.loads(body["oslo.message"]) if envelope else body
        known = content["message_id"] in self._ids
        self._ids.add(content["message_id"])
        if known and self.ignores_repeats:
            return
        key = message.delivery_info["routing_key"]
        self._heard.append(Heard(key, envelope, content))

    def take(self, count: int) -> list[Heard]:
        """Wait for the next events; fail if there are less."""
        deadline = time.monotonic() + ARRIVAL_S
        while len(self._heard) < count:
            left = deadline - time.monotonic()
            assert left > 0, [heard.said for heard in self._heard]
            with contextlib.suppress(TimeoutError):
                self._connection.drain_events(timeout=left)
        taken, self._heard = self._heard[:count], self._heard[count:]
        return taken

    def names(self, count: int) -> list[str]:
        return [heard.said for heard in self.take(count)]

    def rest(self) -> list[str]:
        """What else arrives, until it is quiet."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._connection.drain_events(timeout=QUIET_S)
        rest, self._heard = self._heard, []
        return [heard.said for heard in rest]

    def close(self) -> None:
        """Remove the queues, those that the service has made for the topic too."""
        with self._connection.channel() as channel:
            for level in ("info", "error"):
                channel.queue_delete(f"{self.topic}.{level}")


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """Listen; without a server the test is skipped, or fails in CI."""
    connection = kombu.Connection(SERVER, connect_timeout=CONNECT_S)
    try:
        connection.ensure_connection(max_retries=1, interval_start=0)
    except (exceptions.OperationalError, OSError) as error:
        missing(f"no RabbitMQ at {connection.as_uri()}: {error}")
    with connection:
        made = Listener(connection)
        try:
            yield made
        finally:
            made.close()
