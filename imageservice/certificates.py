"""Fetches the certificates of signatures from the key manager, through castellan.

Castellan's options are the operator's: ``[key_manager]`` and the section of its back end
(contract operations.md §2.12). It is an extra, loaded when the first signed image comes.
"""

import functools
import logging
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_context import context as oslo_context

from imageservice import errors
from imageservice.context import Context
from imageservice.identity.patience import Patience

LOG = logging.getLogger(__name__)

OPTS: Sequence[cfg.Opt] = (
    cfg.IntOpt(
        "certificate_timeout",
        default=15,
        min=1,
        help="Seconds that an upload waits for its signature's certificate before it is "
        "answered 503. Four requests, to Keystone and the key manager, must be answered "
        "within them; more ties up more uploads while one of the two is slow.",
    ),
)


class Certificates:
    """See ``data.signature.Certificates``; ``timeout`` is in seconds."""

    def __init__(self, conf: cfg.ConfigOpts, timeout: float) -> None:
        self._conf = conf
        self._patience = Patience(timeout)

    def get(self, ctx: Context, certificate_id: str) -> bytes:
        try:
            return self._patience.call(lambda: self._fetch(ctx, certificate_id))
        except TimeoutError as error:
            raise self._unavailable(certificate_id, error) from error

    @functools.cached_property
    def _manager(self) -> Any:  # one of castellan's back ends
        from castellan import key_manager
        from castellan.common import utils

        self._conf.register_opts(utils.credential_opts, group="key_manager")
        return key_manager.API(self._conf)

    def _fetch(self, ctx: Context, certificate_id: str) -> bytes:
        """Raises SignatureRefused and CertificateUnavailable, whatever is wrong."""
        from castellan.common import exception
        from castellan.common.objects import x_509

        try:
            manager = self._manager
            found = manager.get(self._credentials(ctx), certificate_id)
        except exception.ManagedObjectNotFoundError as error:
            raise _refusal(certificate_id, "is not in the key manager") from error
        except (ValueError, TypeError) as error:
            raise _refusal(certificate_id, "is no X.509 certificate in PEM") from error
        except Exception as error:
            # Each back end raises what its own libraries do.
            if isinstance(error, exception.Forbidden) or _is_denied(error):
                LOG.info("certificate %s: %s", certificate_id, error)
                refusal = "may not be read with your token"
                raise _refusal(certificate_id, refusal) from error
            raise self._unavailable(certificate_id, error) from error
        if not isinstance(found, x_509.X509):
            raise _refusal(certificate_id, "is no certificate")
        return bytes(found.get_encoded() or b"")

    def _credentials(self, ctx: Context) -> object:
        """Whose rights count in the key manager: the caller's unless an account is set."""
        from castellan.common import utils

        if self._conf.key_manager.auth_type:
            return utils.credential_factory(self._conf, ctx)
        endpoint = getattr(self._conf, "barbican", {}).get("barbican_endpoint")
        return _Caller(endpoint, ctx) if endpoint and ctx.auth_token else ctx

    def _unavailable(
        self, certificate_id: str, error: Exception
    ) -> errors.CertificateUnavailable:
        LOG.error("the key manager does not answer as it should: %s", error)
        return errors.CertificateUnavailable(certificate_id=certificate_id)


class _Caller(oslo_context.RequestContext):
    """Sends the token as it is to the key manager's address.

    Otherwise castellan takes it to Keystone to get another one of the same scope, and the
    catalog; Keystone gives none for the token of an application credential.
    """

    def __init__(self, endpoint: str, ctx: Context) -> None:
        super().__init__(auth_token=ctx.auth_token, overwrite=False)
        self._endpoint = endpoint

    def get_auth_plugin(self) -> Any:  # keystoneauth has no types
        from keystoneauth1 import token_endpoint

        return token_endpoint.Token(self._endpoint, self.auth_token)


def _refusal(certificate_id: str, what: str) -> errors.SignatureRefused:
    reason = f"the certificate {certificate_id} {what}"
    return errors.SignatureRefused(reason=reason)


def _is_denied(error: BaseException) -> bool:
    """Tell whether Keystone or the key manager answered 401 or 403; castellan hides it."""
    cause: BaseException | None = error
    while cause is not None:
        status = getattr(cause, "http_status", getattr(cause, "status_code", None))
        if status in (401, 403):
            return True
        if type(cause).__name__ == "HTTPAuthError":  # without status, by a slip
            return True
        cause = cause.__context__
    return False
