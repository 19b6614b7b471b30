"""What ``/healthcheck`` can look at beyond itself, if the operator's file says so (✗9).

Backends of oslo.middleware's Healthcheck. Callers need no token, so they are told which
part does not answer; the reason stands in the log, and in the details if the file says
``detailed = True``.
"""

import logging
from collections.abc import Mapping

from oslo_middleware.healthcheck.pluginbase import (
    HealthcheckBaseExtension,
    HealthcheckResult,
)

from imageservice import errors, service

LOG = logging.getLogger(__name__)


class Database(HealthcheckBaseExtension):
    """Well as long as the database answers."""

    def healthcheck(self, server_port: int) -> HealthcheckResult:
        try:
            service.parts(self.conf).database.check()
        except errors.Error as error:
            LOG.error("health of the database: %s", error)
            return _result({"the database": str(error)})
        return _result({})


class Stores(HealthcheckBaseExtension):
    """Well as long as every store works, as last seen: nothing is asked here, nor waits."""

    def healthcheck(self, server_port: int) -> HealthcheckResult:
        stores = service.parts(self.conf).stores.all
        trouble = {
            f"store {store.id}": store.condition.trouble
            for store in stores
            if store.condition.trouble
        }
        return _result(trouble)


def _result(trouble: Mapping[str, str]) -> HealthcheckResult:
    """``trouble`` says what is wrong with which part."""
    # What is well adds no words to the answer: load balancers look for a plain OK.
    reason = f"{', '.join(trouble)}: not available" if trouble else ""
    details = "; ".join(f"{name}: {words}" for name, words in trouble.items())
    return HealthcheckResult(available=not trouble, reason=reason, details=details)
