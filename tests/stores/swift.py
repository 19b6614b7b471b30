"""A real Swift for tests: proxy, account, container and object server on loopback.

The programs are those of the package ``swift``, in a virtual environment of its own, as
its versions of libraries are none of ours. It is made once, below the system's temporary
folder, and used by later runs. Its users are kept by Swift itself (``USER``, version 1),
and with ``keystone`` in a Keystone, too; S3's API takes ``USER`` and ``KEY`` as a pair of keys.
"""

import contextlib
import fcntl
import getpass
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests import programs
from tests.daemon import free_port
from tests.databases import missing
from tests.identity.keystone import DOMAIN, Account, Keystone
from tests.packages import needs

USER, KEY = "test:tester", "testing"

#: A user of Keystone who may use the object storage of one project.
KEYSTONE_USER, KEYSTONE_PROJECT = "imagestore", "imagestore"

#: One of the same project who may do everything in the accounts of all projects.
RESELLER, RESELLER_ROLE = "imagereseller", "ResellerAdmin"

VERSION = "2.38.0"
PACKAGES = (f"swift>={VERSION}", "keystonemiddleware")
START_S = 90
SERVERS = ("account", "container", "object", "proxy")

# Lets [swift-constraints] of our folder count, which Swift reads from /etc while it is
# imported.
RUN = """
import runpy, sys
from swift.common import constraints, utils
utils.set_swift_dir(sys.argv[1])
constraints.reload_constraints()
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

RINGS = """
import sys
from swift.common.ring import RingBuilder
folder = sys.argv[1]
for pair in sys.argv[2:]:
    name, port = pair.split("=")
    ring = RingBuilder(part_power=3, replicas=1, min_part_hours=0)
    ring.add_dev({"id": 0, "region": 1, "zone": 1, "device": "disk", "weight": 1, "meta": "",
                  "ip": "127.0.0.1", "port": int(port),
                  "replication_ip": "127.0.0.1", "replication_port": int(port)})
    ring.rebalance()
    ring.get_ring().save(f"{folder}/{name}.ring.gz")
"""

COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
log_address =
log_level = INFO
fallocate_reserve = 0
disable_fallocate = true
"""

STORAGE = """
[pipeline:main]
pipeline = {name}-server

[app:{name}-server]
use = egg:swift#{name}
"""

PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl s3api {auth} copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
node_timeout = {node_timeout}
recheck_account_existence = 1
recheck_container_existence = 1

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}

[filter:tempauth]
use = egg:swift#tempauth
reseller_prefix = {reseller}
user_test_tester = testing .admin {url}/v1/{reseller}_test

[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false

[filter:slo]
use = egg:swift#slo
min_segment_size = 1

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
"""

PLAIN = {
    "catch_errors": "catch_errors",
    "gatekeeper": "gatekeeper",
    "healthcheck": "healthcheck",
    "listing_formats": "listing_formats",
    "bulk": "bulk",
    "tempurl": "tempurl",
    "copy": "copy",
    "container-quotas": "container_quotas",
    "account-quotas": "account_quotas",
    "dlo": "dlo",
    "symlink": "symlink",
}

KEYSTONE = """
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
auth_url = {url}
www_authenticate_uri = {url}
auth_type = password
username = {user}
password = {password}
project_name = service
user_domain_id = {domain}
project_domain_id = {domain}
delay_auth_decision = true
cache = swift.cache
service_token_roles_required = true

[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member
"""


class Swift:
    """A Swift on free ports, used as a context; all it keeps lies in ``folder``.

    ``auth`` is where users of its own log in. ``url`` is the proxy's address, which S3's
    clients use, too. ``max_file_size`` is the most bytes of an object, ``node_timeout_s``
    how long the proxy waits for the other servers. With ``certificate`` (a PEM with its
    key) it speaks https alone.
    """

    def __init__(
        self,
        folder: Path,
        keystone: Keystone | None = None,
        *,
        max_file_size: int = 5 * 1024**3 + 2,
        node_timeout_s: float = 5,
        certificate: Path | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.auth = f"{self.url}/auth/v1.0"
        self.user, self.key = USER, KEY
        self._keystone = keystone
        self._max_file_size = max_file_size
        self._node_timeout_s = node_timeout_s
        self._certificate = certificate
        self._ports = {name: free_port() for name in (*SERVERS, "memcached")}
        self._ports["proxy"] = self.port
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._python = Path()

    def __enter__(self) -> Self:
        needs(("memcached",), ("memcached",))
        self._python = environment()
        (self.folder / "devices" / "disk").mkdir(parents=True)
        self._check_attributes()
        self._configure()
        try:
            for name in self._ports:
                self.start(name)
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for name in list(self._running):
            self.kill(name)

    # --- trouble ---

    def kill(self, name: str = "proxy") -> None:
        """End one of its servers, in the middle of whatever it does."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def start(self, name: str = "proxy") -> None:
        """Start one of its servers that was ended; it listens when this returns."""
        port = self._ports[name]
        if name == "memcached":
            command = ["memcached", "-l", "127.0.0.1", "-p", str(port)]
            command += ["-U", "0", "-m", "32", "-t", "1", "-u", me()]
        else:
            program = self._python.parent / f"swift-{name}-server"
            command = [str(self._python), "-W", "ignore", "-c", RUN]
            command += [str(self.folder), str(program), f"{self.folder}/{name}.conf"]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = programs.start(command, log)
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            ended = self._running[name].poll() is not None
            if ended or time.monotonic() > deadline:
                text = (self.folder / f"{name}.log").read_text(errors="replace")
                raise AssertionError(f"Swift's {name} does not listen. {text[-3000:]}")
            time.sleep(0.05)

    def rotate(self, key: str) -> None:
        """Give ``user`` another password, and forget the tokens got by the old one."""
        configuration = self.folder / "proxy.conf"
        text = configuration.read_text(encoding="utf-8")
        configuration.write_text(
            text.replace(f"= {self.key} ", f"= {key} "), encoding="utf-8"
        )
        self.key = key
        for name in ("memcached", "proxy"):
            self.kill(name)
            self.start(name)

    @contextlib.contextmanager
    def frozen(self, name: str = "proxy") -> Iterator[None]:
        """Let one of its servers hang for a while."""
        process = self._running[name]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    # --- start ---

    def _check_attributes(self) -> None:
        disk = self.folder / "devices" / "disk"
        try:
            os.setxattr(disk, "user.test", b"x" * 200)
            os.removexattr(disk, "user.test")
        except OSError as error:
            missing(f"Swift needs extended attributes of files in {disk}: {error}")

    def _configure(self) -> None:
        self._write(
            "swift.conf",
            "[swift-hash]\nswift_hash_path_suffix = tests\n"
            "[storage-policy:0]\nname = only\ndefault = yes\n"
            f"[swift-constraints]\nmax_file_size = {self._max_file_size}\n",
        )
        for name in SERVERS:
            common = COMMON.format(
                port=self._ports[name], user=me(), folder=self.folder
            )
            if name == "proxy":
                rest = self._tls() + self._proxy()
            else:
                rest = STORAGE.format(name=name)
            self._write(f"{name}.conf", common + rest)
        rings = [f"{name}={self._ports[name]}" for name in SERVERS[:3]]
        subprocess.run(
            [self._python, "-W", "ignore", "-c", RINGS, str(self.folder), *rings],
            check=True,
            cwd=self.folder,
        )

    def _tls(self) -> str:
        """More of the proxy's [DEFAULT]."""
        path = self._certificate
        return f"cert_file = {path}\nkey_file = {path}\n" if path else ""

    def _proxy(self) -> str:
        keystone = self._keystone
        text = PROXY.format(
            url=self.url,
            memcached=self._ports["memcached"],
            node_timeout=self._node_timeout_s,
            auth="authtoken keystoneauth tempauth" if keystone else "tempauth",
            reseller="OWN" if keystone else "AUTH",
        )
        for section, egg in PLAIN.items():
            text += f"\n[filter:{section}]\nuse = egg:swift#{egg}\n"
        if keystone:
            text += KEYSTONE.format(
                url=keystone.url,
                user=keystone.authtoken_options()["username"],
                password=keystone.authtoken_options()["password"],
                domain=DOMAIN,
            )
            self._register(keystone)
        return text

    def _register(self, keystone: Keystone) -> None:
        keystone.make("projects", KEYSTONE_PROJECT, domain_id=DOMAIN)
        keystone.settle(KEYSTONE_USER, Account(KEYSTONE_PROJECT, "member"))
        keystone.make("roles", RESELLER_ROLE)
        keystone.settle(RESELLER, Account(KEYSTONE_PROJECT, RESELLER_ROLE))
        service = keystone.make("services", "swift", type="object-store")
        wish = {
            "service_id": service,
            "interface": "public",
            "region_id": keystone.region,
            "url": f"{self.url}/v1/AUTH_%(project_id)s",
        }
        keystone.admin().post("/endpoints", json={"endpoint": wish})

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def _wait(self) -> None:
        request = urllib.request.Request(
            self.auth, headers={"X-Auth-User": USER, "X-Auth-Key": KEY}
        )
        trusted = ssl.create_default_context(cafile=self._certificate)
        deadline = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(request, timeout=5, context=trusted).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"Swift does not answer: {error}") from error
                time.sleep(0.05)


def me() -> str:
    return getpass.getuser()


def environment() -> Path:
    """The Python of the virtual environment with Swift, made if there is none yet."""
    folder = Path(tempfile.gettempdir()) / f"imageservice-tests-swift-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        missing(f"{folder} belongs to somebody else")
    python = folder / "bin" / "python"
    made = folder / f"made-{VERSION}"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            return python
        commands: list[list[str]] = [
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", *PACKAGES],
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                missing(f"Swift cannot be installed: {done.stderr.strip()[-500:]}")
        made.touch()
    return python
