"""What several commands take: numbers that make sense, and the arguments of care for bytes."""

import argparse

from imageservice.care.pace import Pace

FOUND = 3
"""Exit code: something is wrong, or left to be done."""

MIB = 1024 * 1024
JOBS = 64


def describe_care(one: argparse.ArgumentParser) -> None:
    """Describe what every command takes that goes through images."""
    one.add_argument(
        "--jobs",
        type=_jobs,
        default=4,
        metavar="N",
        help=f"so many images at the same time, 1 to {JOBS}; 4 if not given. More is faster"
        " where the store and not this machine is what is slow",
    )
    one.add_argument(
        "--rate",
        type=_rate,
        metavar="MIB",
        help="MiB read in a second at most, of all jobs together: what the service can "
        "do without; as many as there are if not given",
    )
    one.add_argument(
        "--json", action="store_true", help="a line of JSON each; sizes in bytes"
    )


def pace(asked: argparse.Namespace) -> Pace:
    return Pace(asked.rate * MIB if asked.rate else None)


def hours(text: str) -> float:
    """A number of hours. Raises ArgumentTypeError."""
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be hours, 0 or more, not {text}")
    return value


def _rate(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be MiB, more than 0, not {text}")
    return value


def _jobs(text: str) -> int:
    value = _number(text)
    if value not in range(1, JOBS + 1):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {JOBS}")
    return int(value)


def _number(text: str) -> float:
    """NaN, which no range has, if it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
