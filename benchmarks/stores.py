"""Each driver beside the plain client of its storage, on one server and in one run.

    python -m benchmarks.stores KIND [--mib 1024] [--rounds 3] [--set OPTION=VALUE]

Uploads a file of random bytes, downloads it to /dev/null and removes it, by turns with
the driver and with the plain client, each time in a process of its own. The driver
is used as the location ring of the daemon uses it, with its threads and sockets: below
the readers that inspect and that compute both digests. Beside it stand the
digests alone (no upload can be faster), and, as they take CPU that the plain client leaves
to the server, the plain client's upload while they are computed. Ends with status 1 when the memory of a transfer passes ``--limit-mib``.

The server is started for it (``benchmarks/peers.py``), on this machine: so what it uses of
the CPU is missing to the clients, to both alike.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers import PEERS

PLAIN = "from benchmarks import side; side.main()"
#: The daemon patches the standard library before anything else has loaded it.
DAEMON = f"import imageservice.wsgi.server; {PLAIN}"
#: Side → how its process begins.
SIDES = {"plain": PLAIN, "digests": PLAIN, "digested": PLAIN, "ours": DAEMON}
#: What ours is compared with.
OTHERS = ("plain", "digested")
#: Figure → whether more is better.
FIGURES = {
    "upload MiB/s": True,
    "upload CPU s/GiB": False,
    "download MiB/s": True,
    "download CPU s/GiB": False,
}
MEMORY = ("upload memory MiB", "download memory MiB")
MIB = 1024 * 1024


class Place(NamedTuple):
    """What both sides are given."""

    options: Mapping[str, Any]  # of the driver
    file: Path  # the data


def measured(kind: str, place: Place, name: str) -> dict[str, float]:
    command = [sys.executable, "-c", SIDES[name], name, kind]
    command += [json.dumps(place.options), str(place.file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def prepared(options: argparse.Namespace) -> Iterator[Place]:
    """Start the server and make the data."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        file = Path(folder) / "data"
        with file.open("wb") as out:
            for _ in range(options.mib):
                out.write(os.urandom(MIB))
        with PEERS[options.kind].server(Path(folder), options.mib) as chosen:
            yield Place({**chosen, **dict(options.set)}, file)


def main() -> int:
    options = _options()
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    with prepared(options) as place:
        for _ in range(options.rounds):
            for name in SIDES:
                rounds[name].append(measured(options.kind, place, name))
    peak = report(rounds)
    if peak > options.limit_mib:
        print(f"A transfer took {peak:.0f} MiB, more than {options.limit_mib:.0f}.")
        return 1
    return 0


def report(rounds: dict[str, list[dict[str, float]]]) -> float:
    """Print medians, and those of the rounds' ratios; returns the driver's most MiB."""
    titles = (*SIDES, *(f"to {side}" for side in OTHERS))
    print(f"{'figure':<24}" + "".join(f"{title:>12}" for title in titles))
    measured = rounds["ours"][0]
    for name, more_is_better in FIGURES.items():
        if name not in measured:
            continue
        cells = [_median([each.get(name) for each in rounds[side]]) for side in SIDES]
        for side in OTHERS:
            pairs = zip(rounds[side], rounds["ours"], strict=True)
            ratios = [_ratio(a.get(name), b[name], more_is_better) for a, b in pairs]
            cells.append(_median(ratios))
        print(f"{name:<24}" + "".join(f"{cell:>12}" for cell in cells))
    memory = [name for name in MEMORY if name in measured]
    for name in memory:
        most = max(mine[name] for mine in rounds["ours"])
        print(f"{name + ', most':<60}{most:>12.1f}")
    return max(mine[name] for mine in rounds["ours"] for name in memory)


def _ratio(theirs: float | None, mine: float, more_is_better: bool) -> float | None:
    if theirs is None:
        return None
    return mine / theirs if more_is_better else theirs / mine


def _median(values: list[float | None]) -> str:
    found = [value for value in values if value is not None]
    return f"{statistics.median(found):.2f}" if found else "-"


def _setting(text: str) -> tuple[str, Any]:
    """``name=value``; a value that is JSON is that, anything else a string."""
    name, _, value = text.partition("=")
    with contextlib.suppress(ValueError):
        return name, json.loads(value)
    return name, value


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=sorted(PEERS))
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", type=_setting, action="append", default=[])
    parser.add_argument("--folder", help="for the data and the server's files")
    parser.add_argument("--limit-mib", type=float, default=64)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
