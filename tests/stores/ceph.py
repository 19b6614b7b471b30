"""A Ceph of one node for a test run: monitor, disk in memory, S3 gateway.

All of its state lies in one folder, and everything listens on loopback. As root what is
missing is installed by apt; otherwise the tests are skipped and, where CI is set, fail.
"""

import contextlib
import json
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from tests import programs
from tests.daemon import free_port
from tests.packages import needs

PACKAGES = ("ceph-mon", "ceph-osd", "radosgw", "python3-rados", "python3-rbd")
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")
START_S = 90

POOL = "images"
USER = "glance"

RATIOS = {"full": "0.95", "backfillfull": "0.9", "nearfull": "0.85"}
"""Parts of the disk from which on it counts as such; the usual ones."""

#: What each name may do; the monitor starts with these.
CAPABILITIES = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    "client.gateway": {"mon": "allow rw", "osd": "allow rwx"},
    f"client.{USER}": {"mon": "profile rbd", "osd": f"profile rbd pool={POOL}"},
}

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port}/0]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr1 = false
keyring = {folder}/keyring
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.asok
pid file = {folder}/run/$name.pid
log file = {folder}/log/$name.log
mon cluster log file = {folder}/log/cluster.log
crash dir = {folder}/crash
debug default = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon max pg per osd = 2000
mon allow pool size one = true
mon allow pool delete = true

[client]
admin socket =
log file =
client mount timeout = 30

[mon]
mon data = {folder}/mon.$id
mon data avail crit = 0
mon osd report timeout = 300
paxos propose interval = 0.05
paxos min wait = 0.01
mon tick interval = 1
auth allow insecure global id reclaim = false

[osd]
osd data = {folder}/osd.$id
osd objectstore = memstore
memstore device bytes = {room}
memstore page set = false
osd max object name len = 2048
osd max object namespace len = 256
osd heartbeat grace = 300
# For so long a change of a bucket waits for a gateway that was killed.
osd client watch timeout = 2
# A clean stop then writes the data to the folder, where the next start finds it.
osd fast shutdown = false

[client.gateway]
log file = {folder}/log/gateway.log
rgw data = {folder}/gateway
rgw frontends = beast endpoint=127.0.0.1:{gateway_port}{tls}
rgw dns name = {domain}
rgw thread pool size = 32
rgw enable usage log = false
rgw gc obj min wait = 1
rgw gc processor period = 5
rgw run sync thread = false
rgw enable lc threads = false
rgw override bucket index max shards = 1
"""


class Account(NamedTuple):
    """Keys of a user of the gateway."""

    access_key: str
    secret_key: str

    def given(self) -> list[str]:
        """As ``radosgw-admin`` takes them."""
        return [f"--access-key={self.access_key}", f"--secret-key={self.secret_key}"]


def new_keys() -> Account:
    return Account(secrets.token_hex(10).upper(), secrets.token_hex(20))


class Ceph:
    """One node, used as a context.

    ``conf`` and ``keyring`` are files for clients, ``pool`` is made for rbd, ``user`` may
    use it. With ``gateway`` there is S3 at ``url``, and ``account`` is one to use it with;
    ``certificate`` (a PEM with its key) adds ``secure_url``. Hosts below ``domain`` are buckets.
    """

    def __init__(
        self,
        folder: Path,
        *,
        gateway: bool = False,
        certificate: Path | None = None,
        domain: str = "localhost",
        room: int = 4 * 1024**3,
    ) -> None:
        self.folder = folder
        self.conf = folder / "ceph.conf"
        self.keyring = folder / "keyring"
        self.pool = POOL
        self.user = USER
        self.port = free_port()
        self.gateway_port = free_port()
        self.secure_port = free_port()
        self.url = f"http://127.0.0.1:{self.gateway_port}"
        self.secure_url = f"https://127.0.0.1:{self.secure_port}"
        self.account: Account
        self._with_gateway = gateway
        self._certificate = certificate
        self._domain = domain
        self._room = room
        self._fsid = str(uuid.uuid4())
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        needs(PROGRAMS, PACKAGES)
        try:
            self._make()
            self._start_monitor()
            self._start_disk()
            if self._with_gateway:
                self._start_gateway()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for name in reversed(list(self._processes)):
            self.kill(name)

    # --- trouble ---

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a process where it stands for a while; nobody gets an answer from it."""
        self.freeze(name)
        try:
            yield
        finally:
            self.thaw(name)

    def freeze(self, name: str) -> None:
        """Stop ``mon.a``, ``osd.0`` or ``gateway`` where it stands."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGCONT)

    def kill(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process:
            process.kill()
            process.wait()

    def restart(self, name: str) -> None:
        """End ``osd.0`` or ``gateway``, and start it again.

        The gateway is killed; the disk is asked to end, as it loses everything else.
        """
        if name == "gateway":
            self.kill(name)
            self._run_gateway()
            return
        self._processes[name].terminate()
        self._processes.pop(name).wait()
        self._run_disk()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Let the disk count as full for a while; some 100 KiB must lie on it."""
        try:
            self.fill()
            yield
        finally:
            self.relieve()

    def fill(self) -> None:
        """Let the disk count as full, until ``relieve``."""
        for name in reversed(RATIOS):
            self.run("ceph", "osd", f"set-{name}-ratio", "0.00001")
        self._wait("osd.0", self._is_full)

    def relieve(self) -> None:
        for name, ratio in RATIOS.items():
            self.run("ceph", "osd", f"set-{name}-ratio", ratio)
        self._wait("osd.0", lambda: not self._is_full())

    def _is_full(self) -> bool:
        return '"full"' in self.run("ceph", "osd", "dump", "--format", "json")

    @contextlib.contextmanager
    def quota(self, user: str, limit: str) -> Iterator[None]:
        """Limit each bucket of a user of the gateway for a while: ``--max-size=1M``."""
        of_buckets = ("--quota-scope=bucket", f"--uid={user}")
        self.admin("quota", "set", *of_buckets, limit)
        self.admin("quota", "enable", *of_buckets)
        self.restart("gateway")  # it remembers users for a while
        try:
            yield
        finally:
            self.admin("quota", "disable", *of_buckets)
            self.restart("gateway")

    # --- commands ---

    def run(self, *command: str) -> str:
        """Run a program of Ceph's and return what it prints."""
        done = subprocess.run(
            [command[0], "-c", str(self.conf), *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
        return done.stdout

    def admin(self, *command: str) -> str:
        """Run ``radosgw-admin``."""
        return self.run("radosgw-admin", "-n", "client.gateway", *command)

    def new_user(self, user: str) -> Path:
        """Let a user into the pool, with a new key each time; return its ``ceph.conf``."""
        keyring = self.folder / f"{user}.keyring"
        self.run("ceph", "auth", "del", f"client.{user}")
        caps = [
            part for pair in CAPABILITIES[f"client.{USER}"].items() for part in pair
        ]
        get = ("ceph", "auth", "get-or-create", f"client.{user}")
        self.run(*get, *caps, "-o", str(keyring))
        conf = self.folder / f"{user}.conf"
        own = f"\n[client.{user}]\nkeyring = {keyring}\n"
        conf.write_text(self.conf.read_text() + own)
        return conf

    def new_account(self, user: str) -> Account:
        """Make a user of the gateway."""
        keys = new_keys()
        self.admin(
            "user", "create", f"--uid={user}", f"--display-name={user}", *keys.given()
        )
        return keys

    # --- how it comes up ---

    def _make(self) -> None:
        for name in ("run", "log", "crash", "mon.a", "osd.0", "gateway"):
            (self.folder / name).mkdir(parents=True)
        tls = (
            f" ssl_endpoint=127.0.0.1:{self.secure_port} ssl_certificate={self._certificate}"
            if self._certificate
            else ""
        )
        self.conf.write_text(
            CONFIGURATION.format(
                fsid=self._fsid,
                port=self.port,
                folder=self.folder,
                room=self._room,
                gateway_port=self.gateway_port,
                tls=tls,
                domain=self._domain,
            )
        )
        for number, (name, caps) in enumerate(CAPABILITIES.items()):
            command = ["ceph-authtool", str(self.keyring), "--gen-key", "-n", name]
            if not number:
                command.append("--create-keyring")
            for service, cap in caps.items():
                command += ["--cap", service, cap]
            run(command)
        map_ = str(self.folder / "monmap")
        monitor = f"[v2:127.0.0.1:{self.port}]"
        run(
            [
                "monmaptool",
                "--create",
                "--fsid",
                self._fsid,
                "--addv",
                "a",
                monitor,
                map_,
            ]
        )
        self.run(
            "ceph-mon",
            "-i",
            "a",
            "--mkfs",
            "--monmap",
            map_,
            "--keyring",
            str(self.keyring),
        )

    def _start_monitor(self) -> None:
        self._start("mon.a", "ceph-mon", "-i", "a", "-f")
        self._wait(
            "mon.a", lambda: bool(self.run("ceph", "--connect-timeout", "5", "fsid"))
        )

    def _start_disk(self) -> None:
        number = str(uuid.uuid4())
        map_ = str(self.folder / "monmap")
        self.run(
            "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", number, "--monmap", map_,
            "--no-mon-config",
        )  # fmt: skip
        self.run("ceph", "osd", "new", number, "0")
        self._run_disk()
        self.run("ceph", "osd", "pool", "create", POOL, "4")
        self.run("ceph", "osd", "pool", "application", "enable", POOL, "rbd")

    def _run_disk(self) -> None:
        self._start("osd.0", "ceph-osd", "-i", "0", "-f")
        self._wait("osd.0", self._is_disk_up)

    def _is_disk_up(self) -> bool:
        status = json.loads(self.run("ceph", "osd", "stat", "--format", "json"))
        return bool(status["num_up_osds"] == 1)

    def _start_gateway(self) -> None:
        self.account = self.new_account("test")
        self._run_gateway()

    def _run_gateway(self) -> None:
        self._start("gateway", "radosgw", "-n", "client.gateway", "-f")
        self._wait("gateway", lambda: answers(self.url))

    def _start(self, name: str, program: str, *arguments: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self._processes[name] = programs.start(
                [program, "-c", self.conf, *arguments], out, folder=self.folder
            )

    def _wait(self, name: str, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while True:
            if self._processes[name].poll() is not None:
                text = (self.folder / "log" / f"{name}.out").read_text()[-2000:]
                raise RuntimeError(f"{name} ended: {text}")
            try:
                if is_there():
                    return
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not come up")
            time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
