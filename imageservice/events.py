"""Where events go: silence or the log. What is announced stands in layers/notifier.py."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from oslo_config import cfg

from imageservice import errors

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
)

GROUP = "oslo_messaging_notifications"

GROUP_OPTS: Sequence[cfg.Opt] = (
    cfg.MultiStrOpt(
        "driver",
        default=[],
        help="Where events are sent: 'log' writes a line per event to the service's own "
        "log, 'noop' sends nothing, as does leaving this out.",
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
        """Send one event; a request never fails because of it."""
        ...


class Silent:
    """Sends nothing."""

    def wants(self, event_type: str) -> bool:
        return False

    def emit(self, event_type: str, payload: Payload, level: Level = "INFO") -> None:
        """Nobody listens."""


class Log:
    """One line per event, with the ids and nothing else of the payload."""

    def __init__(self, publisher_id: str, disabled: Sequence[str] = ()) -> None:
        self._publisher_id = publisher_id
        self._disabled = tuple(disabled)

    def wants(self, event_type: str) -> bool:
        return not any(
            event_type == name or event_type.startswith(f"{name}.")
            for name in self._disabled
        )

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


def configured(
    drivers: Sequence[str], publisher_id: str, disabled: Sequence[str]
) -> Events:
    """Build what the options ask for. Raises Misconfigured for other drivers."""
    unknown = sorted(set(drivers) - {"noop", "log"})
    if unknown:
        raise errors.Misconfigured(
            reason=f"[{GROUP}] driver: '{unknown[0]}' is not supported, only 'log' and"
            " 'noop'. Change it or remove the option."
        )
    if "log" in drivers:
        return Log(publisher_id, disabled)
    return Silent()
