"""The listening socket: what it says when it cannot be."""

import socket

import pytest

from imageservice import errors
from imageservice.wsgi import listener
from imageservice.wsgi.options import Settings


def test_accepted_sockets_send_at_once_and_notice_dead_clients():
    with listener.listen(Settings(bind_port=0, tcp_keepidle=77)) as made:
        with socket.create_connection(made.getsockname()):
            accepted, _ = made.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77


def test_the_address_is_a_url():
    with listener.listen(Settings(bind_port=0)) as made:
        port = made.getsockname()[1]
        assert listener.address(made, secure=False) == f"http://127.0.0.1:{port}"
        assert listener.address(made, secure=True) == f"https://127.0.0.1:{port}"


def test_an_unknown_host_is_named():
    with pytest.raises(errors.Misconfigured, match="bind_host no.such.invalid"):
        listener.listen(Settings(bind_host="no.such.invalid"))


def test_a_file_is_not_taken_for_a_socket(tmp_path):
    path = tmp_path / "socket"
    path.write_text("precious")

    with pytest.raises(errors.Misconfigured, match="is no socket"):
        listener.listen(Settings(bind_socket=str(path)))

    assert path.read_text() == "precious"


def test_the_socket_of_a_running_service_is_left_alone(tmp_path):
    settings = Settings(bind_socket=str(tmp_path / "socket"))

    with (
        listener.listen(settings),
        pytest.raises(errors.Misconfigured, match="in use by a running service"),
    ):
        listener.listen(settings)
