"""The listening socket: made once by the main process, shared by all its workers."""

import os
import socket
import stat
from pathlib import Path

from imageservice import errors
from imageservice.wsgi.options import Settings

SOCKET_UMASK = 0o117  # leaves 0660


def listen(settings: Settings) -> socket.socket:
    """Open the socket that ``settings`` name. Raises Misconfigured, saying why not."""
    if settings.bind_socket is not None:
        return _unix(Path(settings.bind_socket), settings.backlog)
    host, port = settings.bind_host, settings.bind_port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refused(f"bind_host {host}", error) from error
    try:
        _prepare(made, settings.tcp_keepidle)
        made.bind(address)
        made.listen(settings.backlog)
    except OSError as error:
        made.close()
        raise _refused(f"bind_host {host}, bind_port {port}", error) from error
    return made


def _prepare(made: socket.socket, keepidle: int) -> None:
    """Set what the accepted sockets inherit (socket(7), tcp(7)), which saves setting it on each."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keepidle)
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _unix(path: Path, backlog: int) -> socket.socket:
    _remove_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(SOCKET_UMASK)
    try:
        made.bind(str(path))
        made.listen(backlog)
    except OSError as error:
        made.close()
        raise _refused(f"bind_socket {path}", error) from error
    finally:
        os.umask(mask)
    return made


def _remove_stale(path: Path) -> None:
    """Remove the socket of a service that is dead; never anything else."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise errors.Misconfigured(
                reason=f"bind_socket {path} exists and is no socket"
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _refused(f"bind_socket {path}", error) from error
    else:
        raise errors.Misconfigured(
            reason=f"bind_socket {path} is in use by a running service"
        )


def _refused(options: str, error: OSError) -> errors.Misconfigured:
    return errors.Misconfigured(
        reason=f"cannot listen at {options}: {error.strerror or error}. "
        "Stop what is using it, or choose another."
    )


def address(made: socket.socket, *, secure: bool) -> str:
    """Say where ``made`` listens, as a URL."""
    if made.family == socket.AF_UNIX:
        return f"unix:{made.getsockname()}"
    host, port = made.getsockname()[:2]
    if ":" in host:
        host = f"[{host}]"
    return f"{'https' if secure else 'http'}://{host}:{port}"
