"""What an operator may set about the daemon's server, and the frozen values made of it."""

import dataclasses
from typing import Self

from oslo_config import cfg

OPTS = (
    cfg.HostAddressOpt(
        "bind_host",
        default="0.0.0.0",  # the published default, operations.md §2.2
        help="Address to listen on. 0.0.0.0 is every IPv4 address of the machine, :: every address, "
        "127.0.0.1 only programs on the same machine, for instance a TLS proxy.",
    ),
    cfg.PortOpt(
        "bind_port",
        default=9292,
        help="TCP port to listen on. 0 takes any free port; the log names it.",
    ),
    cfg.StrOpt(
        "bind_socket",
        help="Path of a unix socket to listen on instead of bind_host and bind_port, for a proxy on the "
        "same machine. It is made with mode 0660: give the proxy the service's group.",
    ),
    cfg.IntOpt(
        "workers",
        min=1,
        help="Server processes. Unset means as many as there are CPU cores, and 1 on SQLite, which has one "
        "writer at a time. Each process uses one core at most and its own memory and database connections; "
        "more than the cores brings nothing.",
    ),
    cfg.IntOpt(
        "backlog",
        default=4096,
        min=1,
        max=65535,
        help="Connections that the kernel keeps waiting until a worker accepts them. A small value refuses "
        "clients in a rush; the kernel's net.core.somaxconn is the upper limit.",
    ),
    cfg.IntOpt(
        "max_connections",
        default=1000,
        min=1,
        help="Open connections per worker. When they are all taken, the connection that has been idle the "
        "longest is closed; if none is idle, newcomers wait in the backlog. Each connection takes about "
        "20 KiB and a file descriptor (look at the limit of open files before you raise it far).",
    ),
    cfg.IntOpt(
        "client_socket_timeout",
        default=900,
        min=1,
        help="Seconds that a client may take for each read or write, and that a connection may be idle "
        "between two requests. A few seconds cut off clients on slow links; hours keep dead ones.",
    ),
    cfg.IntOpt(
        "client_head_timeout",
        default=60,
        min=1,
        help="Seconds that a client may take to send the request line and the headers, counted from the "
        "first byte. It bounds what clients that drip bytes on purpose can occupy.",
    ),
    cfg.IntOpt(
        "tcp_keepidle",
        default=600,
        min=1,
        max=32767,
        help="Seconds of silence after which the kernel asks whether the client is still there. It "
        "should be less than what firewalls on the way forget a connection after.",
    ),
    cfg.BoolOpt(
        "http_keepalive",
        default=True,
        help="Serve several requests on one connection. False closes after each answer, which costs each "
        "request a new connection (and TLS handshake).",
    ),
    cfg.IntOpt(
        "max_header_line",
        default=16384,
        min=1024,
        max=1048576,
        help="Bytes in one header line, and in the request line. A whole head may be four times as long. "
        "Large identity tokens need some thousands; too long lines get 431, too long addresses 414.",
    ),
    cfg.IntOpt(
        "graceful_shutdown_timeout",
        default=60,
        min=0,
        help="Seconds that requests under way may take to end after SIGTERM; what is left then is cut off. "
        "0 cuts off at once. Large images need minutes: the service manager must wait longer than this.",
    ),
    cfg.StrOpt(
        "tls_cert_file",
        help="PEM file of the server's certificate and the chain above it; turns TLS (1.2 or later) on. "
        "Unset serves plain HTTP. SIGHUP reads it anew.",
    ),
    cfg.StrOpt(
        "tls_key_file",
        help="PEM file of the certificate's private key; unset if it is in tls_cert_file.",
    ),
    cfg.StrOpt(
        "pid_file",
        help="File into which the main process writes its process id; removed at the end. Unset writes none.",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The values of OPTS; the defaults here serve tests. Times in seconds, sizes in bytes."""

    bind_host: str = "127.0.0.1"
    bind_port: int = 9292
    bind_socket: str | None = None
    workers: int = 1
    backlog: int = 4096
    max_connections: int = 1000
    client_socket_timeout: float = 900
    client_head_timeout: float = 60
    tcp_keepidle: int = 600
    http_keepalive: bool = True
    max_header_line: int = 16384
    graceful_shutdown_timeout: float = 60
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    pid_file: str | None = None

    @classmethod
    def configured(cls, conf: cfg.ConfigOpts, *, workers: int) -> Self:
        """Take the values from ``conf``, where OPTS are registered in the default group.

        ``workers`` is what the caller decided if the option is not set.
        """
        values = {option.dest: conf[option.dest] for option in OPTS}
        return cls(**values | {"workers": conf.workers or workers})

    @property
    def max_head(self) -> int:
        """Bytes in a whole request head."""
        return 4 * self.max_header_line
