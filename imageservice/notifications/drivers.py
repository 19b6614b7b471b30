"""From options to where events go, and the jobs that bring them there."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from oslo_config import cfg

from imageservice import errors
from imageservice.notifications import messaging
from imageservice.notifications.events import GROUP, Enabled, Events, Log, Silent
from imageservice.notifications.outbox import Outbox, Stop

LOG = logging.getLogger(__name__)

#: 'test' gathers events in the memory of whoever tests the library: here they would
#: never be taken out of it again.
SILENT = frozenset({"noop", "test"})


class Built(NamedTuple):
    events: Events
    jobs: Sequence[Callable[[Stop], None]] = ()


def build(conf: cfg.ConfigOpts, files: Sequence[Path] = ()) -> Built:
    """Build what the options ask for; ``files`` are those they come from.

    Raises Misconfigured: a driver or a transport is unknown, a library is missing.
    """
    options = conf[GROUP]
    drivers = list(dict.fromkeys(options.driver))
    for driver in drivers:
        if driver not in {*SILENT, *messaging.VERSIONS, "log"}:
            raise errors.Misconfigured(
                reason=f"[{GROUP}] driver: '{driver}' is not supported, only"
                " 'messagingv2', 'messaging', 'log' and 'noop'. Change it or remove the"
                " option."
            )
    if "test" in drivers:
        LOG.warning("[%s] driver: 'test' sends nothing, as 'noop'", GROUP)
    others: list[Events] = []
    jobs: Sequence[Callable[[Stop], None]] = ()
    if "log" in drivers:
        others.append(Log(conf.default_publisher_id))
    if published := [driver for driver in drivers if driver in messaging.VERSIONS]:
        broker = messaging.Broker(
            messaging.Settings(
                url=options.transport_url or conf.transport_url,
                exchange=conf.control_exchange,
                topics=tuple(options.topics),
                drivers=tuple(published),
                publisher_id=conf.default_publisher_id,
                files=tuple(files),
                folders=tuple(conf.config_dir or ()),
            )
        )
        outbox = Outbox(broker, conf.notification_queue_size, options.retry)
        others.append(outbox)
        jobs = outbox.jobs
    if not others:
        return Built(Silent())
    return Built(Enabled(others, conf.disabled_notifications), jobs)
