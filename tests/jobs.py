"""What a server runs beside the requests, for applications without a server."""

from collections.abc import Callable, Iterable

from imageservice.tasks.housekeeping import Stop


class Ended:
    """The process ends as soon as it has begun."""

    def wait(self, timeout: float) -> bool:
        return True


def begin(jobs: Iterable[Callable[[Stop], None]]) -> None:
    """Run each job once: the first look at the stores sets new ones up."""
    for job in jobs:
        job(Ended())
