"""The story of the demo: start, register, upload, download, compare, list.

Ends by itself, with status 0 only if the bytes that came back are those that were
sent. The daemon it starts ends with it; the data folder stays.
"""

import argparse
import hashlib
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from imageservice.cmd.demo import disk
from imageservice.cmd.demo.client import Client, DemoError, Progress
from imageservice.cmd.demo.daemon import COMMAND, Daemon, free_port

DEFAULT_PORT = 9292
COLUMNS = ("id", "name", "disk_format", "size", "status")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("demo-data"))
    parser.add_argument("--image", type=Path, help="default: a disk that is made here")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="0: any free one"
    )
    options = parser.parse_args(argv)
    try:
        demonstrate(options.data_dir, options.image, options.port)
    except DemoError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; nothing is left running.", file=sys.stderr)
        return 130
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def demonstrate(folder: Path, path: Path | None, wanted_port: int) -> None:
    """Go the whole way once. Raises DemoError with what went wrong."""
    port = free_port(wanted_port)
    if wanted_port not in (port, 0):
        print(f"Port {wanted_port} is in use: the daemon listens on {port} instead.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    opened = disk.opened(path) if path else disk.made(folder)
    with opened as image, Daemon(folder, port) as daemon:
        _step("start", f"{daemon.url} answers; data and log are in {folder}")
        client = Client(port)
        _there_and_back(client, image)
        _step("list", "the newest images:")
        print(table(client.images()))
    print(how_to_go_on(folder, port))


def _there_and_back(client: Client, image: disk.Disk) -> None:
    """Register, upload and download; raise DemoError if the bytes are not the same."""
    image_id = client.register(image.name, image.disk_format)
    _step("register", f"{image.name}, disk format {image.disk_format}: {image_id}")
    sent, returned = hashlib.sha512(), hashlib.sha512()
    bar = Progress(_label("upload"), image.size)
    client.upload(image_id, image.file, image.size, sent, bar)
    bar = Progress(_label("download"), image.size)
    length = client.download(image_id, returned, bar)
    if length != image.size:
        raise DemoError(f"{image.size} bytes were sent, {length} came back")
    wanted = sent.hexdigest()
    stored = client.show(image_id)["os_hash_value"]
    for whose, digest in (
        ("download", returned.hexdigest()),
        ("os_hash_value", stored),
    ):
        if digest != wanted:
            raise DemoError(f"SHA-512 of the file: {wanted}\n{whose}: {digest}")
    _step(
        "compare", f"file, download and os_hash_value have one SHA-512, {wanted[:12]}…"
    )


def _label(step: str) -> str:
    return f"{step:<10}"


def _step(step: str, text: str) -> None:
    print(_label(step) + text, flush=True)


def table(images: Sequence[Mapping[str, object]]) -> str:
    """Lay images out as a table, a row each."""
    rows = [COLUMNS, *(tuple(str(image[name]) for name in COLUMNS) for image in images)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(map(str.ljust, row, widths)).rstrip()
        for row in (rows[0], ["-" * width for width in widths], *rows[1:])
    ]
    return "\n".join(lines)


def how_to_go_on(folder: Path, port: int) -> str:
    """Write ``clouds.yaml`` into the folder and say what can be done next."""
    url = f"http://127.0.0.1:{port}"
    clouds = folder / "clouds.yaml"
    clouds.write_text(f"""\
clouds:
  imageservice:
    auth_type: none
    auth:
      endpoint: {url}
    image_endpoint_override: {url}
""")
    daemon = COMMAND
    if daemon.is_relative_to(Path.cwd()):
        daemon = daemon.relative_to(Path.cwd())
    port_option = "" if port == DEFAULT_PORT else f" --bind-port {port}"
    return f"""
The daemon has ended with the demo; the images stay in {folder}. To go on:

daemon     {daemon} --data-dir {folder}{port_option}
URL        {url}
curl       curl {url}/v2/images
openstack  OS_CLIENT_CONFIG_FILE={clouds} openstack --os-cloud imageservice image list

The last one is python-openstackclient; it and openstacksdk read {clouds}:

{clouds.read_text()}"""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
