"""Where events go: silence, the log, or wherever else. layers/notifier.py says which there are."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from oslo_config import cfg

LOG = logging.getLogger(__name__)

OPTS: Sequence[cfg.Opt] = (
    cfg.ListOpt(
        "disabled_notifications",
        default=[],
        help="Events that are not sent: whole names, such as image.create, or the front "
        "of names up to a dot: 'image' silences all of images and their members, "
        "'image.member' those of members.",
    ),
    cfg.StrOpt(
        "default_publisher_id",
        default="image.localhost",
        help="Name under which events are sent. Use one per host, such as image.HOST, "
        "if those who listen tell hosts apart.",
    ),
    cfg.IntOpt(
        "notification_queue_size",
        default=5000,
        min=1,
        help="Events that each worker process keeps while the broker does not take "
        "them; requests never wait for it. When there are more, or more than 64 MiB of "
        "them, the oldest are dropped, and the log says every ten seconds how many. An "
        "event is 1 to 2 KiB for most images. The larger this is, the longer a broker "
        "may be away: 5000 are about 1000 uploads.",
    ),
    cfg.StrOpt(
        "transport_url",
        default="rabbit://",
        secret=True,
        help="The broker for events, unless [oslo_messaging_notifications] names another: "
        "rabbit://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST, with several USER:PASSWORD@HOST:"
        "PORT separated by commas for a cluster; what is special in a password as %XX. The "
        "default is RabbitMQ on this host, "
        "user guest. It is connected to only if a driver of events needs it.",
    ),
    cfg.StrOpt(
        "control_exchange",
        default="glance",
        help="The exchange that events are published to. Those who listen to images, "
        "such as Ceilometer, expect 'glance'.",
    ),
)

GROUP = "oslo_messaging_notifications"

GROUP_OPTS: Sequence[cfg.Opt] = (
    cfg.MultiStrOpt(
        "driver",
        default=[],
        help="Where events are sent; may be given several times. 'messagingv2' publishes "
        "them to a broker, 'messaging' does so without an envelope, for old listeners; "
        "both need the extra 'notifications'. 'log' writes a line per event to the "
        "service's own log. 'noop' sends nothing, as does leaving this out; 'test' is "
        "the same here.",
    ),
    cfg.StrOpt(
        "transport_url",
        secret=True,
        help="The broker for events. Unset: transport_url of [DEFAULT].",
    ),
    cfg.ListOpt(
        "topics",
        default=["notifications"],
        help="Each event is published to all of these; the routing key is the topic, a "
        "dot, and 'info' or 'error'. A queue of that name keeps it until somebody "
        "listens.",
    ),
    cfg.IntOpt(
        "retry",
        default=-1,
        min=-1,
        help="How often an event that the broker did not take is tried again, 1 s later "
        "at first and 30 s in the end, before it is dropped. 0: never; -1: until it is "
        "among the oldest of a full queue.",
    ),
)

Level = Literal["INFO", "ERROR"]
Payload = Mapping[str, object] | str  # text only for an upload that failed
"""What an event says, in the published form (contract operations.md §4.3)."""


class Events(Protocol):
    """Somewhere to send events to."""

    def wants(self, event_type: str) -> bool:
        """Tell whether anybody listens; else no payload need be made."""
        ...

    def emit(self, event_type: str, payload: Payload, level: Level = "INFO") -> None:
        """Send one event; a request never fails because of it, nor waits."""
        ...


class Silent:
    """Sends nothing."""

    def wants(self, event_type: str) -> bool:
        return False

    def emit(self, event_type: str, payload: Payload, level: Level = "INFO") -> None:
        """Nobody listens."""


class Log:
    """One line per event, with the ids and nothing else of the payload."""

    def __init__(self, publisher_id: str) -> None:
        self._publisher_id = publisher_id

    def wants(self, event_type: str) -> bool:
        return True

    def emit(self, event_type: str, payload: Payload, level: Level = "INFO") -> None:
        if isinstance(payload, str):
            said = payload
        else:
            said = " ".join(
                f"{name}={payload[name]}" for name in _TELLING if name in payload
            )
        number = logging.ERROR if level == "ERROR" else logging.INFO
        LOG.log(number, "%s from %s: %s", event_type, self._publisher_id, said)


_TELLING = ("id", "image_id", "member_id", "owner", "owner_id", "status", "bytes_sent")


class Enabled:
    """All of ``others`` get every event but those that are disabled.

    A name disables itself and what follows it after a dot (contract images.md, 60).
    """

    def __init__(self, others: Sequence[Events], disabled: Sequence[str]) -> None:
        self._others = tuple(others)
        self._disabled = tuple(disabled)

    def wants(self, event_type: str) -> bool:
        return not any(
            event_type == name or event_type.startswith(f"{name}.")
            for name in self._disabled
        )

    def emit(self, event_type: str, payload: Payload, level: Level = "INFO") -> None:
        for other in self._others:
            other.emit(event_type, payload, level)
