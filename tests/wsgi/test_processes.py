"""Workers: they do not hold each other up, they end in order, and they are replaced."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.wsgi.client import Client


def wait_until(claim, seconds=20):
    """Ask the operating system or the server until it is so; nothing of ours can tell."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


def refuses(daemon):
    try:
        daemon.connect().close()
    except OSError:
        return True
    return False


def test_work_in_a_native_thread_delays_nobody(daemon, make_client):
    blocked = [make_client(daemon) for _ in range(5)]
    for client in blocked:
        client.send(b"GET /blocked?seconds=1.5 HTTP/1.1\r\nHost: a\r\n\r\n")

    before = time.monotonic()
    for _ in range(20):
        assert daemon.get("/hello").status == 200

    assert time.monotonic() - before < 1
    assert {client.answer().body for client in blocked} == {b"slept"}


def test_a_client_that_does_not_read_delays_nobody(daemon, make_client):
    slow = make_client(daemon)
    slow.send(b"GET /data HTTP/1.1\r\nHost: a\r\n\r\n" * 10)

    assert daemon.get("/hello").status == 200


def test_a_client_that_never_waits_does_not_keep_others_waiting(daemon, make_client):
    greedy = make_client(daemon)
    stop = threading.Event()

    def send():
        while not stop.is_set():
            greedy.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 100)

    def receive():
        with contextlib.suppress(OSError):
            while greedy.socket.recv(1 << 20):
                pass

    threads = [threading.Thread(target=target) for target in (send, receive)]
    for thread in threads:
        thread.start()
    try:
        before = time.monotonic()
        for _ in range(10):
            assert daemon.get("/hello").status == 200
        assert time.monotonic() - before < 2
    finally:
        stop.set()
        greedy.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def test_term_lets_a_transfer_end(make_daemon, make_client):
    daemon = make_daemon().start()
    held, idle = make_client(daemon), make_client(daemon)
    assert idle.get("/hello").status == 200
    held.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
    assert held.socket.recv(1, socket.MSG_PEEK)

    daemon.signal(signal.SIGTERM)
    wait_until(lambda: refuses(daemon))
    assert idle.answers() == []
    (daemon.folder / "release").touch()

    assert held.answer().body == b"abcd"
    assert daemon.process.wait(10) == 0


def test_term_cuts_off_what_takes_too_long(make_daemon, make_client):
    daemon = make_daemon(graceful_shutdown_timeout=1).start()
    held, stuck = make_client(daemon), make_client(daemon)
    held.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    stuck.send(b"GET /data HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
    assert stuck.socket.recv(1)

    daemon.signal(signal.SIGTERM)

    assert daemon.process.wait(10) == 0
    assert held.answer().status == 400  # the application could still clear up
    daemon.wait_for("2 connections are cut off")


def test_what_is_cut_off_while_it_works_can_clear_up_when_it_next_waits(
    make_daemon, make_client
):
    daemon = make_daemon(graceful_shutdown_timeout=0).start()
    busy = make_client(daemon)
    busy.send(
        b"POST /blocked?seconds=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"
    )
    assert make_client(daemon).get("/hello").status == 200  # so it has begun

    daemon.signal(signal.SIGTERM)

    assert daemon.process.wait(10) == 0
    assert busy.answer().status == 400


def test_a_second_term_ends_at_once(make_daemon, make_client):
    daemon = make_daemon().start()
    held = make_client(daemon)
    held.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
    assert held.socket.recv(1, socket.MSG_PEEK)

    daemon.signal(signal.SIGINT)
    daemon.wait_for("ending when")
    daemon.signal(signal.SIGTERM)

    assert daemon.process.wait(5) == 0
    assert not held.answer().is_whole


def test_hup_loses_no_request(make_daemon):
    daemon = make_daemon(workers=2, greeting="old").start()
    stop = threading.Event()
    failures, seen = [], set()

    def ask():
        client = Client(daemon.connect())
        while not stop.is_set():
            answer = client.get("/hello")
            if answer is None or answer.status != 200 or not answer.is_whole:
                failures.append(answer)
                return
            seen.add(answer.body)
            if answer.headers.get("connection") == "close":
                client.close()
                client = Client(daemon.connect())
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for times in (1, 2):
        daemon.configure(greeting=f"new{times}")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for("taken over", times=times)
        wait_until(lambda body=b"new%d" % times: body in seen or failures)
    stop.set()
    for thread in threads:
        thread.join()

    assert failures == []
    assert seen == {b"old", b"new1", b"new2"}


def test_hup_lets_transfers_end_and_idle_clients_ask_once_more(
    make_daemon, make_client
):
    daemon = make_daemon(greeting="old").start()
    held, idle = make_client(daemon), make_client(daemon)
    assert idle.get("/hello").body == b"old"
    held.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
    assert held.socket.recv(1, socket.MSG_PEEK)

    daemon.configure(greeting="new")
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("taken over")

    wait_until(lambda: daemon.get("/hello").body == b"new")
    # The old worker hears of it a moment later than we do.
    while "connection" not in (last := idle.get("/hello")).headers:
        assert last.body == b"old"
    assert (last.body, last.headers["connection"]) == (b"old", "close")
    (daemon.folder / "release").touch()
    assert held.answer().body == b"abcd"


def test_a_configuration_that_does_not_work_leaves_the_old_one(make_daemon):
    daemon = make_daemon(greeting="old").start()
    pid = daemon.get("/pid").body

    daemon.configure(broken="no such store")
    daemon.signal(signal.SIGHUP)

    line = daemon.wait_for("new configuration does not work").string
    assert line.endswith("no such store")
    assert daemon.get("/pid").body == pid

    daemon.configure(broken="", greeting="new")
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("taken over")
    wait_until(lambda: daemon.get("/hello").body == b"new")


def test_a_hup_changes_the_number_of_workers(make_daemon):
    daemon = make_daemon(workers=1).start()

    daemon.configure(workers=2)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("taken over")

    children = f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children"
    wait_until(lambda: len(Path(children).read_text().split()) == 2)


def test_a_killed_worker_is_replaced(make_daemon):
    daemon = make_daemon().start()
    pid = int(daemon.get("/pid").body)

    os.kill(pid, signal.SIGKILL)

    daemon.wait_for(f"worker {pid} ended: killed by SIGKILL")
    assert int(daemon.get("/pid").body) != pid


def test_workers_leave_signals_to_the_supervisor(make_daemon):
    daemon = make_daemon().start()
    pid = int(daemon.get("/pid").body)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)

    assert int(daemon.get("/pid").body) == pid


def test_workers_end_when_their_supervisor_is_killed(make_daemon):
    daemon = make_daemon().start()
    pid = int(daemon.get("/pid").body)

    daemon.process.kill()
    daemon.process.wait()

    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))


def test_a_first_configuration_that_does_not_work_ends_the_start(make_daemon):
    daemon = make_daemon(tls_cert_file="/nonexistent.pem")

    assert daemon.process.wait(10) == 1
    assert "/nonexistent.pem" in daemon.wait_for("cannot be used").string


def test_an_address_in_use_ends_the_start(daemon, make_daemon):
    port = int(daemon.where.rpartition(":")[2])

    second = make_daemon(bind_port=port)

    assert second.process.wait(10) == 1
    second.wait_for("cannot listen at .* Address already in use")


def test_the_oldest_idle_connection_makes_room(make_daemon, make_client):
    daemon = make_daemon(max_connections=2).start()
    first = make_client(daemon)
    assert first.get("/hello").status == 200
    second = make_client(daemon)
    assert second.get("/hello").status == 200

    assert make_client(daemon).get("/hello").status == 200

    assert first.answers() == []
    assert second.get("/hello").status == 200


def test_the_pid_file_lives_as_long_as_the_daemon(make_daemon, tmp_path):
    path = tmp_path / "pid"
    daemon = make_daemon(pid_file=str(path)).start()

    assert int(path.read_text()) == daemon.process.pid

    assert daemon.end() == 0
    assert not path.exists()


def test_a_unix_socket_serves_its_group(make_daemon, tmp_path):
    path = tmp_path / "socket"
    daemon = make_daemon(bind_socket=str(path)).start()

    assert path.stat().st_mode & 0o777 == 0o660
    assert daemon.get("/hello").body == b"hello"

    daemon.process.kill()
    daemon.process.wait()
    again = make_daemon(bind_socket=str(path)).start()
    assert again.get("/hello").body == b"hello"
    assert again.end() == 0
    assert not path.exists()


@pytest.fixture
def certificate(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    return {"tls_cert_file": str(cert), "tls_key_file": str(key)}


def test_tls_carries_the_same_bytes(make_daemon, make_client, certificate, data):
    daemon = make_daemon(**certificate).start()
    client = make_client(daemon)

    assert client.socket.version() in ("TLSv1.2", "TLSv1.3")
    assert b'"wsgi.url_scheme": "https"' in client.get("/environ").body
    assert client.get("/data").body == data
    head = f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n\r\n"
    client.send(head.encode() + data)
    assert client.answer().body == data


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_older_than_1_2_is_refused(make_daemon, certificate):
    daemon = make_daemon(**certificate).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate["tls_cert_file"])
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or our own side would refuse it
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    host, port = daemon.where.rpartition("/")[2].split(":")

    with (
        socket.create_connection((host, int(port))) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname=host)


def test_a_client_that_does_not_speak_tls_harms_nobody(make_daemon, certificate):
    daemon = make_daemon(**certificate).start()
    host, port = daemon.where.rpartition("/")[2].split(":")

    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while plain.recv(1000):
            pass

    assert daemon.get("/hello").body == b"hello"
