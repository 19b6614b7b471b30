"""Errors of Swift, of Keystone and of the network, in the words of a store."""

import contextlib
import logging
from collections.abc import Iterator

import requests
import swiftclient
import urllib3
from keystoneauth1 import exceptions as keystone

from imageservice import errors

LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def translated(store: str, key: str) -> Iterator[None]:
    """Make of errors of Swift, Keystone and the network those of a store."""
    try:
        yield
    except swiftclient.ClientException as error:
        raise _answered(store, key, error) from error
    except (keystone.Unauthorized, keystone.Forbidden) as error:
        LOG.error("store %s: Keystone refuses its account: %s", store, error)
        reason = "Keystone does not accept its account"
        raise errors.StoreDenied(store=store, reason=reason) from error
    except keystone.ClientException as error:
        LOG.error("store %s: Keystone: %s", store, error)
        reason = "Keystone does not answer as it should"
        raise errors.StoreUnavailable(store=store, reason=reason) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        LOG.error("store %s: %s", store, error)
        reason = f"the connection broke or timed out ({type(error).__name__})"
        raise errors.StoreUnavailable(store=store, reason=reason) from error


def _answered(store: str, key: str, error: swiftclient.ClientException) -> errors.Error:
    status = error.http_status
    if status == 404:
        return errors.KeyNotFound(store=store, key=key)
    LOG.error("store %s: %s", store, error)
    if status in (401, 403):
        reason = "Swift does not accept its account, or it may not do this there"
        return errors.StoreDenied(store=store, reason=reason)
    if status in (413, 507):
        return errors.StoreFull(store=store, reason=f"Swift answered {status}")
    if status == 409:
        reason = f"some of the data of {key} is missing"
        return errors.StoreUnavailable(store=store, reason=reason)
    reason = f"Swift answered {status}" if status else "Swift's login failed"
    return errors.StoreUnavailable(store=store, reason=reason)
