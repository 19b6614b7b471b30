"""What ``/healthcheck`` can look at beyond itself, if the operator's file says so (✗9).

Backends of oslo.middleware's Healthcheck. Callers need no token, so they are told which
part does not answer; the reason stands in the log.
"""

import logging
from collections.abc import Callable, Mapping

from oslo_middleware.healthcheck.pluginbase import (
    HealthcheckBaseExtension,
    HealthcheckResult,
)

from imageservice import errors, service

LOG = logging.getLogger(__name__)

Checks = Mapping[str, Callable[[], None]]


class Database(HealthcheckBaseExtension):
    """Well as long as the database answers."""

    def healthcheck(self, server_port: int) -> HealthcheckResult:
        database = service.parts(self.conf).database
        return _result({"the database": database.check})


class Stores(HealthcheckBaseExtension):
    """Well as long as every store works."""

    def healthcheck(self, server_port: int) -> HealthcheckResult:
        stores = service.parts(self.conf).stores.all
        return _result({f"store {store.id}": store.driver.check for store in stores})


def _result(checks: Checks) -> HealthcheckResult:
    failed = [name for name, check in checks.items() if not _passes(name, check)]
    # What is well adds no words to the answer: load balancers look for a plain OK.
    reason = f"{', '.join(failed)}: not available" if failed else ""
    return HealthcheckResult(available=not failed, reason=reason)


def _passes(name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except errors.Error as error:
        LOG.error("health of %s: %s", name, error)
        return False
    return True
