"""What a request costs: the same work on several servers, one round after the other.

The figure to quote is the CPU time of the server's processes per request or per GiB:
the noise of a shared machine hardly touches it. Each figure is the median over the
rounds; the ratio is to the first server named, and above 1 is better.

    python benchmarks/compare.py old=http://127.0.0.1:9501,PID new=http://127.0.0.1:9292,PID
"""

import argparse
import collections
import concurrent.futures
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator

from api import Api, header
from process import Tree

COLUMN = 14


class Target:
    """One server: how to call it, what it used, what was measured."""

    def __init__(self, text: str) -> None:
        self.name, _, rest = text.partition("=")
        self.url, _, pid = rest.rpartition(",")
        self.tree = Tree(int(pid))
        self.ids: list[str] = []  # of the images that are listed
        self.figures: dict[str, list[float]] = collections.defaultdict(list)

    def connect(self, headers: dict[str, str]) -> None:
        self.headers = headers
        self.api = Api(self.url, headers)

    def measure(
        self, what: str, unit: str, count: float, work: Callable[[], None]
    ) -> None:
        """Do ``work``, which is ``count`` units, and note its cost and its rate."""
        cpu, started = self.tree.cpu_s(), time.monotonic()
        work()
        seconds, used = time.monotonic() - started, self.tree.cpu_s() - cpu
        self.figures[f"{what}: CPU ms per {unit}"].append(used / count * 1000)
        self.figures[f"{what}: {unit}s per second"].append(count / seconds)


def main() -> int:
    options = _options()
    for target in options.target:
        target.connect(dict(options.header))
    for number in range(options.rounds):
        for step in (create, read, data, four_uploads):
            for target in options.target:
                step(target, options)
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    for target in options.target:
        target.figures["memory MiB"].append(target.tree.memory_mib())
    report(options.target)
    if options.json:
        with open(options.json, "w") as out:
            json.dump({t.name: dict(medians(t)) for t in options.target}, out, indent=1)
    return 0


def create(target: Target, options: argparse.Namespace) -> None:
    """Make the images that the lists show, as far as they are not there yet."""
    target.ids = [
        image["id"]
        for image in target.api.json("GET", "/v2/images?limit=1000")["images"]
    ]
    missing = options.images - len(target.ids)

    def work() -> None:
        for number in range(missing):
            properties = {
                f"property_{n}": f"value-{(number + n) % 50}" for n in range(8)
            }
            distribution = ("debian", "fedora", "ubuntu")[number % 3]
            target.ids.append(
                target.api.create(
                    name=f"image-{number:06}",
                    tags=["benchmark", f"tag-{number % 7}", "linux"],
                    os_distro=distribution,
                    **properties,
                )
            )

    if missing > 0:
        target.measure("create", "request", missing, work)


def read(target: Target, options: argparse.Namespace) -> None:
    """Show and list."""
    paths = {
        "list 25": "/v2/images?limit=25",
        "list 25 mid-way": f"/v2/images?limit=25&marker={target.ids[len(target.ids) // 2]}",
        "list 25 by property": "/v2/images?limit=25&os_distro=debian",
        "list 25 by tag": "/v2/images?limit=25&tag=tag-3",
    }

    def show() -> None:
        for number in range(options.requests):
            target.api.call("GET", f"/v2/images/{target.ids[number % len(target.ids)]}")

    def repeat(path: str, count: int) -> Callable[[], None]:
        def work() -> None:
            for _ in range(count):
                target.api.call("GET", path)

        return work

    target.measure("show", "request", options.requests, show)
    for what, path in paths.items():
        target.measure(
            what, "request", options.requests, repeat(path, options.requests)
        )
    few = max(1, options.requests // 20)
    target.measure("list 1000", "request", few, repeat("/v2/images?limit=1000", few))


def data(target: Target, options: argparse.Namespace) -> None:
    """One stream up and down."""
    image_id = target.api.create(name="benchmark")
    gib = options.data_mib / 1024
    target.measure(
        "upload", "GiB", gib, lambda: target.api.upload(image_id, options.data_mib)
    )
    target.measure(
        "download",
        "GiB",
        gib,
        lambda: _download(target.api, image_id, options.data_mib),
    )
    target.api.call("DELETE", f"/v2/images/{image_id}")


def _download(api: Api, image_id: str, mib: int) -> None:
    received = api.download(image_id)
    if received != mib * 1024 * 1024:
        raise SystemExit(f"{received} bytes came back of {mib} MiB.")


def four_uploads(target: Target, options: argparse.Namespace) -> None:
    """Four streams up, and how long a small request takes meanwhile."""
    ids = [target.api.create(name="benchmark") for _ in range(4)]
    waits: list[float] = []

    def work() -> None:
        with concurrent.futures.ProcessPoolExecutor(4) as pool:
            jobs = [
                pool.submit(
                    _upload, target.url, target.headers, image_id, options.data_mib
                )
                for image_id in ids
            ]
            while not all(job.done() for job in jobs):
                started = time.monotonic()
                target.api.call("GET", f"/v2/images/{target.ids[0]}")
                waits.append((time.monotonic() - started) * 1000)
                concurrent.futures.wait(jobs, timeout=0.02)
            for job in jobs:
                job.result()

    target.measure("4 uploads", "GiB", 4 * options.data_mib / 1024, work)
    waits.sort()
    target.figures["show during 4 uploads: p99 ms"].append(
        waits[int(len(waits) * 0.99)]
    )
    for image_id in ids:
        target.api.call("DELETE", f"/v2/images/{image_id}")


def _upload(url: str, headers: dict[str, str], image_id: str, mib: int) -> None:
    Api(url, headers).upload(image_id, mib)


def medians(target: Target) -> Iterator[tuple[str, float]]:
    for figure, values in target.figures.items():
        yield figure, statistics.median(values)


def report(targets: list[Target]) -> None:
    """Print the table: a row for each figure, a column for each server, then ratios."""
    first = dict(medians(targets[0]))
    columns = [dict(medians(target)) for target in targets]
    print(f"{'median':<40}" + "".join(f"{target.name:>{COLUMN}}" for target in targets))
    for figure, base in first.items():
        values = [column.get(figure, float("nan")) for column in columns]
        is_rate = figure.endswith("per second")
        ratios = [
            (value / base if is_rate else base / value)
            if value and base
            else float("nan")
            for value in values[1:]
        ]
        cells = "".join(f"{value:>{COLUMN}.2f}" for value in values)
        print(f"{figure:<40}{cells}" + "".join(f"{ratio:>10.2f}x" for ratio in ratios))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Target, nargs="+", help="NAME=URL,PID")
    parser.add_argument(
        "--images", type=int, default=1000, help="to have in each, 2 to 1000"
    )
    parser.add_argument(
        "--requests", type=int, default=500, help="of each kind and round"
    )
    parser.add_argument("--data-mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--header", type=header, action="append", default=[])
    parser.add_argument("--json", help="also write the medians to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
