"""URLs by which clients read an object themselves: Swift's temporary URLs."""

import hashlib
import hmac
import time
import urllib.parse


def url(address: str, path: str, key: str, digest: str, lifetime_s: int) -> str:
    """The URL of an object for so many seconds. It is a secret.

    ``address`` is that of the account, ``path`` container and object in it, not encoded;
    ``digest`` the algorithm of the signature. What is signed is the path as Swift sees it.
    Source: https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html
    """
    parts = urllib.parse.urlsplit(address)
    whole = f"{urllib.parse.unquote(parts.path)}/{path}"
    expires = int(time.time()) + lifetime_s
    signed = f"GET\n{expires}\n{whole}".encode()
    signature = hmac.new(key.encode(), signed, getattr(hashlib, digest)).hexdigest()
    query = f"temp_url_sig={signature}&temp_url_expires={expires}"
    return parts._replace(path=urllib.parse.quote(whole), query=query).geturl()
