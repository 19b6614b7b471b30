"""Hands events to a message broker: THE ONLY MODULE THAT USES OSLO.MESSAGING.

The library is an extra and loaded only when a driver needs it. Its transport is used and
not its ``Notifier``, which gives an event its id and time when it is sent, swallows what
went wrong, and writes whole payloads to the log (docs/adr/0013-events-wait.md).
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from oslo_config import cfg

from imageservice import errors
from imageservice.notifications.outbox import Notice

LOG = logging.getLogger(__name__)

RABBIT = "oslo_messaging_rabbit"
HEARTBEAT_S = 20
"""Default of RABBIT's heartbeat_timeout_threshold, the library has 60: a connection that
hangs is noticed after two of it and replaced after a third."""

#: The drivers of events that need a broker, and the format of their messages.
VERSIONS: Mapping[str, float] = {"messaging": 1.0, "messagingv2": 2.0}


@dataclasses.dataclass(frozen=True)
class Settings:
    """``url`` holds a password. ``files`` and ``folders`` are the configuration's: the
    sections of the library's own drivers, such as [oslo_messaging_rabbit]."""

    url: str = dataclasses.field(repr=False)
    exchange: str
    topics: Sequence[str]
    drivers: Sequence[str]
    publisher_id: str
    files: Sequence[Path] = ()
    folders: Sequence[str] = ()


# Any: the library has no types.
def library() -> Any:
    """The library. Raises Misconfigured, naming the extra, if it is not installed."""
    try:
        import oslo_messaging  # noqa: PLC0415 - optional
    except ImportError as error:
        raise errors.Misconfigured(
            reason="[oslo_messaging_notifications] driver: oslo.messaging is missing."
            " Install imageservice[notifications], or use 'log' or 'noop'."
        ) from error
    return oslo_messaging


class Broker:
    """See ``outbox.Post``. It connects when there is something to send."""

    def __init__(self, settings: Settings) -> None:
        """Raise Misconfigured if the options make no transport."""
        self._settings = settings
        self._library = library()
        self._versions = [VERSIONS[driver] for driver in settings.drivers]
        self._transport: Any = self._connect()

    def send(self, notice: Notice) -> None:
        message = {
            "message_id": notice.message_id,
            "publisher_id": self._settings.publisher_id,
            "event_type": notice.event_type,
            "priority": notice.level,
            "payload": orjson.loads(notice.payload),
            "timestamp": notice.timestamp,
        }
        try:
            if self._transport is None:
                self._transport = self._connect()
            for topic in self._settings.topics:
                for version in self._versions:
                    self._send(f"{topic}.{notice.level.lower()}", message, version)
        except Exception as error:  # whatever drivers and their libraries raise
            # A connection that has failed would be tried again for ever within the next
            # call, where nobody counts: that one begins with a new one.
            self.close()
            said = " ".join(str(error).split()) or type(error).__name__
            raise errors.Unavailable(reason=said) from error

    def _send(self, topic: str, message: Mapping[str, object], version: float) -> None:
        target = self._library.Target(topic=topic)
        # A copy: the library writes into it. There is no context of a request in it.
        self._transport._send_notification(target, {}, dict(message), version, retry=0)

    def close(self) -> None:
        transport, self._transport = self._transport, None
        try:
            if transport is not None:
                transport.cleanup()
        except Exception as error:  # it was broken, mostly
            LOG.debug("the connection to the broker did not close: %s", error)

    def _connect(self) -> Any:
        """Make a transport; it is connected by the first message.

        The library gets an object of its own for options, from the same files: what it
        registers and overrides is its own matter.
        """
        conf = cfg.ConfigOpts()
        try:
            conf(
                [],
                default_config_files=[str(path) for path in self._settings.files],
                default_config_dirs=list(self._settings.folders),
            )
            self._library.set_transport_defaults(self._settings.exchange)
            made = self._library.get_notification_transport(conf, self._settings.url)
            if RABBIT in conf:
                conf.set_default("heartbeat_timeout_threshold", HEARTBEAT_S, RABBIT)
            return made
        except self._library.DriverLoadFailure as error:
            # Its text may hold the URL, as those below.
            reason = f"there is no transport '{error.driver}', or it is misconfigured"
        except (self._library.MessagingException, cfg.Error, RuntimeError) as error:
            reason = f"cannot be used ({type(error).__name__})"
        except ValueError:
            reason = "is not a URL"
        raise errors.Misconfigured(
            reason=f"transport_url: {reason}. Correct it; the form is rabbit://USER:"
            "PASSWORD@HOST:PORT/VIRTUAL_HOST, with special characters as %XX."
        )
