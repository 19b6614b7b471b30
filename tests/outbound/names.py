"""A resolver that answers as a test wants."""

import ipaddress
from collections.abc import Sequence

from imageservice import errors
from imageservice.outbound.addresses import Address


class Names:
    """Each name with the answers that it gets in turn; the last one stays."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self._answers = {
            name.replace("_", "."): list(answers) for name, answers in names.items()
        }
        self.asked: list[str] = []

    def __call__(self, name: str, /) -> list[Address]:
        self.asked.append(name)
        answers = self._answers.get(name)
        if not answers:
            raise errors.OutboundFailed(reason=f"{name}: unknown")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ipaddress.ip_address(text) for text in found]
