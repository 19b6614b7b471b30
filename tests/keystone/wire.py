"""Requests that no client library would send, byte by byte."""

import socket
from email.parser import BytesParser
from typing import NamedTuple

from tests.daemon import Daemon


class Reply(NamedTuple):
    status: int
    # Any: the standard library's message, which maps names of any case.
    headers: dict[str, str]
    body: bytes


def send(
    daemon: Daemon, *fields: bytes, method: bytes = b"GET", body: bytes = b""
) -> Reply:
    """Send a request for the list with these header lines; read its answer to the end."""
    lines = [method + b" /v2/images HTTP/1.1", b"Host: localhost", *fields]
    if body:
        lines.append(b"Content-Type: application/json")
        lines.append(b"Content-Length: %d" % len(body))
    with socket.create_connection(("127.0.0.1", daemon.port), 20) as line:
        line.sendall(b"\r\n".join([*lines, b"Connection: close", b"", body]))
        answer = b""
        while data := line.recv(65536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    status, _, headers = head.partition(b"\r\n")
    parsed = BytesParser().parsebytes(headers)
    names = {name.lower(): value for name, value in parsed.items()}
    return Reply(int(status.split()[1]), names, body)


def token(value: str) -> bytes:
    return f"X-Auth-Token: {value}".encode()
