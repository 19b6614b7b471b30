"""Locations as people may see them: in answers, in events, in logs, in tables.

Those that another image service wrote may hold the user and key of an account, and users
register addresses with a password in them (contract operations.md §3.5).
"""

import re

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)

#: Their keys may hold slashes, so that what comes before the host ends at the last "@".
_LOOSE = re.compile(r"(s3|swift)(\+https?)?", re.IGNORECASE)


def redacted(url: str) -> str:
    """The location without the user and password that it may begin with."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url
    rest = url[scheme.end() :]
    authority = rest if _LOOSE.fullmatch(scheme[1]) else re.split(r"[/?#]", rest)[0]
    return scheme[0] + rest[authority.rfind("@") + 1 :]
