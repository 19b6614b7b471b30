"""The head of a request, read strictly and turned into a WSGI environ.

Two readers must agree on a head before it is believed: ours on the request line and the
fields that say where a request ends, llhttp on the grammar of all fields. Whatever two
programs could read differently is refused, since that is what smuggling lives on.

Sources: RFC 9112 (messages), RFC 9110 (fields), PEP 3333 (environ).
"""

import re
import urllib.parse
from typing import Any

import httptools

Environ = dict[str, Any]  # PEP 3333: strings, streams and flags side by side

MAX_FIELDS = 200

_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/([0-9]+)\.([0-9]+)"
)
_ABSOLUTE = re.compile(
    rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?@\\]+)(/[^?]*)?(?:\?(.*))?", re.DOTALL
)
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")

#: Fields that have one value. Repeated, they are refused: which one counts would be a guess.
_SINGLE = frozenset(
    f"HTTP_{name}"
    for name in (
        "AUTHORIZATION",
        "CONTENT_RANGE",
        "EXPECT",
        "HOST",
        "IF_MODIFIED_SINCE",
        "IF_RANGE",
        "IF_UNMODIFIED_SINCE",
        "ORIGIN",
        "RANGE",
        "TRANSFER_ENCODING",
    )
) | {"CONTENT_LENGTH", "CONTENT_TYPE"}

#: Families of fields by which a gateway says who asks, or a client what it uploads.
#: A gateway that *adds* its field to one that the client has sent must not end in a
#: union of both ("member" and "admin"), nor in whichever comes first.
_SINGLE_FAMILIES = (
    "HTTP_OPENSTACK_",
    "HTTP_X_AUTH",
    "HTTP_X_DOMAIN",
    "HTTP_X_IDENTITY",
    "HTTP_X_IMAGE",
    "HTTP_X_IS_ADMIN",
    "HTTP_X_OPENSTACK_IMAGE",
    "HTTP_X_PROJECT",
    "HTTP_X_ROLE",
    "HTTP_X_SERVICE",
    "HTTP_X_SUBJECT",
    "HTTP_X_SYSTEM",
    "HTTP_X_TENANT",
    "HTTP_X_TRUST",
    "HTTP_X_USER",
)

#: Environ keys by field name as it was sent. Bounded, because clients choose the names.
_KEYS: dict[bytes, str] = {}
_MAX_KEYS = 1024
_DROPPED = ""


class Refused(Exception):
    """A request that is answered with ``status`` and the end of its connection."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Head:
    """What the connection has to know of a request; the rest is in ``environ``.

    ``length`` is the body's in bytes, None if it is chunked. ``persistent`` says that
    the client would send another request on this connection.
    """

    __slots__ = (
        "_repeated",
        "environ",
        "expects",
        "is_1_1",
        "length",
        "method",
        "persistent",
    )

    def __init__(self, data: bytes, environ: Environ) -> None:
        """Read ``data``, a whole head with its empty line, and add it to ``environ``.

        Raises Refused.
        """
        self.environ = environ
        self._repeated: str | None = None
        self._request_line(data[: data.index(b"\r\n")])
        self._fields(data)
        self._body()
        self._host()
        connection = environ.get("HTTP_CONNECTION")
        if connection is None:
            self.persistent = self.is_1_1
        else:
            tokens = {token.strip(" \t") for token in connection.lower().split(",")}
            self.persistent = "close" not in tokens and (
                self.is_1_1 or "keep-alive" in tokens
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field from the parser."""
        key = _KEYS.get(name)
        if key is None:
            key = _key(name)
        if key is _DROPPED:
            return
        text = value.decode("latin-1").strip(" \t")
        if key in self.environ:
            text = self._joined(key, text)
        self.environ[key] = text

    def _joined(self, key: str, text: str) -> str:
        if key in _SINGLE or key.startswith(_SINGLE_FAMILIES):
            self._repeated = key
        separator = "; " if key == "HTTP_COOKIE" else ","
        return f"{self.environ[key]}{separator}{text}"

    def _request_line(self, line: bytes) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            raise Refused("400 Bad Request", "the request line is malformed")
        method, target, major, minor = match.groups()
        if major != b"1" or minor not in (b"0", b"1"):
            raise Refused(
                "505 HTTP Version Not Supported",
                "HTTP/1.1 and HTTP/1.0 are spoken here",
            )
        self.is_1_1 = minor == b"1"
        self.method = self.environ["REQUEST_METHOD"] = method.decode("ascii")
        self.environ["SERVER_PROTOCOL"] = "HTTP/1.1" if self.is_1_1 else "HTTP/1.0"
        if b"#" in target:
            raise Refused("400 Bad Request", "the request target has a fragment")
        if target[0] == 0x2F and method != b"CONNECT":
            path, _, query = target.partition(b"?")
        else:
            path, query = self._other_target(method, target)
        self._path(path, query)

    def _other_target(self, method: bytes, target: bytes) -> tuple[bytes, bytes]:
        """Understand a target that is no path: ``http://host/path?query``."""
        if method == b"CONNECT" or (method == b"OPTIONS" and target == b"*"):
            raise Refused(
                "501 Not Implemented",
                "there is no proxy here and no server-wide options",
            )
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise Refused("400 Bad Request", "the request target is malformed")
        authority, path, query = match.groups()
        # It takes the place of the Host field (RFC 9112, section 3.2.2); see _host.
        self.environ["imageservice.authority"] = authority.decode("ascii")
        return path or b"/", query or b""

    def _path(self, path: bytes, query: bytes) -> None:
        environ = self.environ
        environ["imageservice.raw_path"] = raw = path.decode("ascii")
        environ["QUERY_STRING"] = query.decode("ascii")
        if b"%" not in path:
            environ["PATH_INFO"] = raw
            return
        if _BAD_PERCENT.search(path):
            raise Refused(
                "400 Bad Request", "the path has a malformed percent-encoding"
            )
        decoded = urllib.parse.unquote_to_bytes(path)
        if b"\0" in decoded:
            raise Refused("400 Bad Request", "the path has a NUL character")
        try:
            decoded.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("400 Bad Request", "the path is not UTF-8") from None
        environ["PATH_INFO"] = decoded.decode("latin-1")

    def _fields(self, data: bytes) -> None:
        lines = data.count(b"\n")
        if lines != data.count(b"\r\n") or lines != data.count(b"\r"):
            raise Refused("400 Bad Request", "a line ends without CR LF")
        if lines > MAX_FIELDS + 2:
            raise Refused(
                "431 Request Header Fields Too Large",
                f"there are more than {MAX_FIELDS} headers",
            )
        try:
            httptools.HttpRequestParser(self).feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # An offer to speak something else, which a server is free to ignore.
        except httptools.HttpParserInvalidMethodError:
            raise Refused("501 Not Implemented", "this method is not known") from None
        except httptools.HttpParserError as error:
            raise Refused(
                "400 Bad Request", f"the request is malformed: {error}"
            ) from None
        if self._repeated is not None:
            name = self._repeated.removeprefix("HTTP_").replace("_", "-").title()
            raise Refused("400 Bad Request", f"the header {name} is repeated")

    def _body(self) -> None:
        """Find out where the request ends; that is what smuggled requests are about."""
        get = self.environ.get
        length, encoding, expect = (
            get("CONTENT_LENGTH"),
            get("HTTP_TRANSFER_ENCODING"),
            get("HTTP_EXPECT"),
        )
        self.length: int | None = 0
        if encoding is not None:
            if not self.is_1_1 or length is not None or encoding.lower() != "chunked":
                raise Refused(
                    "400 Bad Request", "the only transfer coding is chunked, by itself"
                )
            self.length = None
        elif length is not None:
            if not (length.isascii() and length.isdigit() and len(length) < 19):
                raise Refused("400 Bad Request", "Content-Length is malformed")
            self.length = int(length)
        self.expects = False
        if expect is not None and self.is_1_1:
            if expect.lower() != "100-continue":
                raise Refused(
                    "417 Expectation Failed", "only 100-continue can be expected"
                )
            self.expects = self.length != 0

    def _host(self) -> None:
        environ = self.environ
        host = environ.get("HTTP_HOST")
        if host is None:
            if self.is_1_1:
                raise Refused("400 Bad Request", "the Host header is missing")
        elif not _HOST.fullmatch(host):
            raise Refused("400 Bad Request", "the Host header is malformed")
        if authority := environ.pop("imageservice.authority", None):
            if not _HOST.fullmatch(authority):
                raise Refused("400 Bad Request", "the request target is malformed")
            environ["HTTP_HOST"] = authority


def _key(name: bytes) -> str:
    """Say under which key a field goes into the environ, or _DROPPED.

    Dashes become underscores there, so that X_Roles would pass for X-Roles, which a
    gateway may have checked: fields with underscores are dropped. So is Proxy, which
    CGI turns into the variable that HTTP clients take their proxy from.
    """
    key = name.decode("ascii").upper().replace("-", "_")
    if b"_" in name or key == "PROXY":
        key = _DROPPED
    elif key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    if len(_KEYS) < _MAX_KEYS:
        _KEYS[name] = key
    return key
