"""``imageservice-manage stores copy`` and ``drain``: images brought into another store."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator

from oslo_config import cfg

from imageservice import service
from imageservice.care.moving import Moving, Result, Step
from imageservice.care.pace import Pace
from imageservice.care.report import Progress, as_json, size, table
from imageservice.cmd import arguments
from imageservice.cmd.arguments import FOUND
from imageservice.db.inventory import Chosen
from imageservice.wsgi import threads


def describe_copy(one: argparse.ArgumentParser) -> None:
    one.add_argument("--to", required=True, metavar="ID", help="the store to fill")
    which = one.add_mutually_exclusive_group(required=True)
    which.add_argument("--image", nargs="+", metavar="ID", help="these images")
    which.add_argument(
        "--from", dest="from_", metavar="ID", help="all images of this store"
    )
    which.add_argument(
        "--all", action="store_true", help="all images that are not there yet"
    )
    arguments.describe_care(one)


def describe_drain(one: argparse.ArgumentParser) -> None:
    one.add_argument("store", metavar="STORE", help="the store to empty")
    one.add_argument("--to", required=True, metavar="ID", help="the store to fill")
    arguments.describe_care(one)


def copy(conf: cfg.ConfigOpts, asked: argparse.Namespace) -> int:
    """Bring copies of images into another store.

    Exit code: 0 all are there, 3 some are not, 1 nothing could be done. What is done stays
    done: the same command goes on where it was ended.
    """
    pace = arguments.pace(asked)
    with service.tools(conf, threads.Workers(), pace.pass_on) as tools:
        if asked.image:
            chosen = Chosen(asked.image, len(asked.image), None)
        else:
            chosen = tools.inventory.missing(asked.to, asked.from_)
        if asked.from_:
            tools.stores.get(asked.from_)
        told = _Told(chosen, pace, as_json=asked.json)
        moving = Moving(tools, pace, asked.jobs, told.progress)
        told.follow(moving.copy(chosen.ids, asked.to))
        lacks = told.is_left or bool(asked.image and told.done[Result.GONE])
        return FOUND if lacks else 0


def drain(conf: cfg.ConfigOpts, asked: argparse.Namespace) -> int:
    """Move all images of a store into another one.

    Exit code: 0 the store is empty, 3 some images are left in it, 1 nothing could be done.
    What is done stays done: the same command goes on where it was ended. Uploads of users
    still go into the store if it is the default one, or they name it.
    """
    pace = arguments.pace(asked)
    with service.tools(conf, threads.Workers(), pace.pass_on) as tools:
        chosen = tools.inventory.images_in(asked.store)
        told = _Told(chosen, pace, as_json=asked.json)
        moving = Moving(tools, pace, asked.jobs, told.progress)
        told.follow(moving.drain(chosen.ids, asked.store, asked.to))
        left = sum(1 for _ in tools.inventory.copies(asked.store))
        if not asked.json:
            print(f"Left in {asked.store}: {left}")
        return FOUND if left or told.is_left else 0


class _Told:
    """What the operator is told of each step, and of all together."""

    def __init__(self, chosen: Chosen, pace: Pace, *, as_json: bool) -> None:
        self._chosen = chosen
        self._pace = pace
        self._json = as_json
        self._line = Progress()
        self._began = time.monotonic()
        self._copied = 0  # bytes
        self.done: Counter[Result] = Counter()

    @property
    def is_left(self) -> bool:
        """Whether something is still to be done."""
        return any(each.is_left for each in self.done)

    def follow(self, steps: Iterator[Step]) -> None:
        try:
            for step in steps:
                self._tell(step)
                self.progress()
        except KeyboardInterrupt:
            self._line.clear()
            print("What is done stays done: the same command goes on.", file=sys.stderr)
            raise
        finally:
            self._line.clear()
            self._sum_up()

    def progress(self) -> None:
        read, all_of_it = self._pace.bytes, self._chosen.size
        speed = read / max(time.monotonic() - self._began, 0.001)
        self._line(
            f"{self.done.total()} of {self._chosen.images} images, {size(read)}"
            + (f" of {size(all_of_it)}" if all_of_it else "")
            + f" read, {size(int(speed))}/s"
        )

    def _tell(self, step: Step) -> None:
        self.done[step.result] += 1
        self._copied += step.size
        if self._json:
            print(as_json("image", step._asdict()))
        elif step.reason or step.result is Result.GONE:
            self._line.clear()
            why = f" ({step.reason})" if step.reason else ""
            print(f"{step.image_id}: {step.result}{why}")

    def _sum_up(self) -> None:
        row: dict[str, object] = {each.value: self.done[each] for each in Result}
        if self._json:
            print(as_json("images", row | {"bytes": self._copied}))
            return
        print(table([row | {"bytes": size(self._copied)}]))
        if self.is_left:
            print("The reasons are above; the same command tries again what is left.")
