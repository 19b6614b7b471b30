"""The plain clients that drivers are compared with, and the servers that both use."""

import abc
import contextlib
import functools
import http.client
import http.server
import os
import shutil
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import boto3
import botocore.config

from tests.stores import swift
from tests.stores.ceph import Ceph

BLOCK = 1024 * 1024

SEGMENT_MIB = 200


class Peer(abc.ABC):
    """A plain client, set up from the options of the driver on the same server."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    @staticmethod
    @abc.abstractmethod
    def server(folder: Path, mib: int) -> AbstractContextManager[dict[str, Any]]:
        """Run a server with room for two images of ``mib``; gives options of a driver."""

    @abc.abstractmethod
    def download(self, key: str) -> None:
        """Read all of it, to /dev/null."""


class Keeper(Peer):
    """One that takes data, too."""

    @abc.abstractmethod
    def upload(self, file: Path, key: str) -> None: ...

    @abc.abstractmethod
    def remove(self, key: str) -> None: ...


class Rbd(Keeper):
    """``rbd import`` and ``rbd export``."""

    @staticmethod
    @contextlib.contextmanager
    def server(folder: Path, mib: int) -> Iterator[dict[str, Any]]:
        with Ceph(folder / "ceph", room=4 * mib * BLOCK) as ceph:
            yield {
                "rbd_store_ceph_conf": str(ceph.conf),
                "rbd_store_user": ceph.user,
                "rbd_store_pool": ceph.pool,
            }

    def upload(self, file: Path, key: str) -> None:
        size = self.options.get("rbd_store_chunk_size", 8)
        self._run("import", "--object-size", f"{size}M", str(file), self._image(key))

    def download(self, key: str) -> None:
        self._run("export", self._image(key), "-")

    def remove(self, key: str) -> None:
        self._run("rm", self._image(key))

    def _image(self, key: str) -> str:
        return f"{self.options['rbd_store_pool']}/{key}"

    def _run(self, *arguments: str) -> None:
        options = self.options
        command = ["rbd", "-c", options["rbd_store_ceph_conf"]]
        command += ["--id", options["rbd_store_user"], "--no-progress", *arguments]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


class File(Keeper):
    """Copies by Python's ``shutil``, which lets the kernel do it, that are safe on the disk."""

    @staticmethod
    @contextlib.contextmanager
    def server(folder: Path, mib: int) -> Iterator[dict[str, Any]]:
        images = folder / "images"
        images.mkdir()
        yield {"filesystem_store_datadir": str(images)}

    def upload(self, file: Path, key: str) -> None:
        shutil.copyfile(file, self._path(key))
        with self._path(key).open("rb") as body:
            os.fsync(body)

    def download(self, key: str) -> None:
        shutil.copyfile(self._path(key), "/dev/null")

    def remove(self, key: str) -> None:
        self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return Path(self.options["filesystem_store_datadir"], f"{key}.plain")


class Quick(http.server.SimpleHTTPRequestHandler):
    """Files by ``sendfile``, and nothing in the log."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        self.connection.sendfile(source)

    def log_message(self, *_: object) -> None: ...


class Http(Peer):
    """Downloads by ``http.client``; the data lies on the server from the beginning."""

    @staticmethod
    @contextlib.contextmanager
    def server(folder: Path, mib: int) -> Iterator[dict[str, Any]]:
        handler = functools.partial(Quick, directory=str(folder))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield {
                "url": f"http://127.0.0.1:{server.server_port}/data",
                "allowed_hosts": ["127.0.0.1"],
                "allowed_ports": [],
            }
            server.shutdown()
            thread.join()

    def download(self, key: str) -> None:
        place = urllib.parse.urlsplit(self.options["url"])
        connection = http.client.HTTPConnection(place.netloc)
        with contextlib.closing(connection), open("/dev/null", "wb", 0) as out:
            connection.request("GET", place.path)
            answer = connection.getresponse()
            while block := answer.read(BLOCK):
                out.write(block)


class S3(Keeper):
    """boto3's ``upload_fileobj`` and ``download_fileobj``, on Ceph's gateway.

    Both sides send the checksums that the gateway takes over https, too, and over http both
    sign what they send.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._bucket = options["s3_store_bucket"]
        self._client = s3_client(options)

    @staticmethod
    @contextlib.contextmanager
    def server(folder: Path, mib: int) -> Iterator[dict[str, Any]]:
        # What was removed is still there for some seconds.
        with Ceph(folder / "ceph", gateway=True, room=8 * mib * BLOCK) as ceph:
            options = {
                "s3_store_host": ceph.url,
                "s3_store_access_key": ceph.account.access_key,
                "s3_store_secret_key": ceph.account.secret_key,
                "s3_store_bucket": "images",
            }
            s3_client(options).create_bucket(Bucket="images")
            yield options

    def upload(self, file: Path, key: str) -> None:
        with file.open("rb") as body:
            self._client.upload_fileobj(body, self._bucket, key)

    def download(self, key: str) -> None:
        with open("/dev/null", "wb") as out:
            self._client.download_fileobj(self._bucket, key, out)

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key)


def s3_client(options: dict[str, Any]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=options["s3_store_host"],
        region_name="us-east-1",
        aws_access_key_id=options["s3_store_access_key"],
        aws_secret_access_key=options["s3_store_secret_key"],
        config=botocore.config.Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


class Swift(Keeper):
    """``swift upload -S`` and ``swift download``, in segments as large as the driver's."""

    @staticmethod
    @contextlib.contextmanager
    def server(folder: Path, mib: int) -> Iterator[dict[str, Any]]:
        with swift.Swift(folder / "swift") as running:
            yield {
                "swift_store_auth_version": "1",
                "swift_store_auth_address": running.auth,
                "swift_store_user": running.user,
                "swift_store_key": running.key,
                "swift_store_container": "images",
                "swift_store_create_container_on_put": True,
                "swift_store_large_object_size": SEGMENT_MIB,
                "swift_store_large_object_chunk_size": SEGMENT_MIB,
            }

    def upload(self, file: Path, key: str) -> None:
        size = self.options["swift_store_large_object_chunk_size"]
        self._run("upload", "-S", f"{size}M", "--object-name", key, "plain", str(file))

    def download(self, key: str) -> None:
        self._run("download", "--output", "/dev/null", "plain", key)

    def remove(self, key: str) -> None:
        self._run("delete", "plain", key)

    def _run(self, *arguments: str) -> None:
        options = self.options
        command = [str(Path(sys.executable).parent / "swift"), "-q"]
        command += ["-A", options["swift_store_auth_address"]]
        command += ["-U", options["swift_store_user"]]
        command += ["-K", options["swift_store_key"], *arguments]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


PEERS: dict[str, type[Peer]] = {
    "file": File,
    "http": Http,
    "rbd": Rbd,
    "s3": S3,
    "swift": Swift,
}
