"""Filters of an image list by attribute: operators, times and ranges.

Source: contract images.md §8.1. Each function takes a parameter's name and all its
values, and gives the conditions they mean.
"""

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import get_args

from oslo_utils import timeutils

from imageservice import errors
from imageservice.domain.query import Condition, Operator

INTEGER_COLUMNS = ("size", "virtual_size", "min_disk", "min_ram")
TIME_COLUMNS = ("created_at", "updated_at")

LARGEST = 2**63 - 1
SECOND = datetime.timedelta(seconds=1)

#: The last time that leaves room for the second added below; later ones mean the same.
LATEST = datetime.datetime.max.replace(microsecond=0) - SECOND

Filter = Callable[[str, Sequence[str]], list[Condition]]


def integer(name: str, text: str) -> int:
    """Read a whole number."""
    try:
        # int() refuses more than 4300 digits; nobody means such a number.
        return int(text)
    except ValueError:
        raise errors.BadRequest(reason=f"'{name}' must be an integer.") from None


def nothing(column: str) -> list[Condition]:
    """A condition that no image meets."""
    return [Condition(column, "in", ())]


def equal(name: str, values: Sequence[str]) -> list[Condition]:
    return [Condition(name, "eq", values[-1])]


def number(name: str, values: Sequence[str]) -> list[Condition]:
    """Nonsense equals no image's number, and is no error."""
    try:
        value = int(values[-1])
    except ValueError:
        return nothing(name)
    if not -LARGEST <= value <= LARGEST:
        return nothing(name)
    return [Condition(name, "eq", value)]


def at_least(name: str, values: Sequence[str]) -> list[Condition]:
    value = min(LARGEST, max(-LARGEST, integer(name, values[-1])))
    return [Condition(name.removesuffix("_min"), "gte", value)]


def at_most(name: str, values: Sequence[str]) -> list[Condition]:
    value = min(LARGEST, max(-LARGEST, integer(name, values[-1])))
    return [Condition(name.removesuffix("_max"), "lte", value)]


def boolean(name: str, values: Sequence[str]) -> list[Condition]:
    if values[-1] not in ("true", "false"):
        raise errors.BadRequest(reason=f"'{name}' must be true or false.")
    return [Condition(name, "eq", values[-1] == "true")]


def text(name: str, values: Sequence[str]) -> list[Condition]:
    """``x``, ``eq:x`` or ``in:a,b,"c,d"``; a colon always follows an operator."""
    operator, colon, rest = values[-1].partition(":")
    if not colon:
        return [Condition(name, "eq", values[-1])]
    if operator == "eq":
        return [Condition(name, "eq", rest)]
    if operator == "in":
        return [Condition(name, "in", tuple(split_quoted(name, rest)))]
    raise errors.BadRequest(
        reason=f"'{name}' knows the operators eq and in. A value that holds a colon is "
        f'written {name}=in:"value".'
    )


def split_quoted(name: str, text: str) -> Iterator[str]:
    """Split at commas, but not within double quotes, where a backslash escapes."""
    at = 0
    while True:
        quoted = QUOTED.match(text, at)
        match = quoted or PLAIN.match(text, at)
        if match is None:
            raise errors.BadRequest(
                reason=f"'{name}': a quote must begin after a comma, be closed, and be "
                "followed by a comma or the end."
            )
        yield re.sub(r"\\(.)", r"\1", match[1]) if quoted else match[1]
        if match.end() == len(text):
            return
        at = match.end() + 1


QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=,|\Z)', re.DOTALL)
PLAIN = re.compile(r'([^",]*)(?=,|\Z)')


def times(name: str, values: Sequence[str]) -> list[Condition]:
    """Compare with a time, in whole seconds as times are shown; fractions are dropped.

    Here every value counts, so that a range can have two sides (✗21).
    """
    conditions = []
    for value in values:
        operator, colon, rest = value.partition(":")
        if colon and operator in get_args(Operator) and operator != "in":
            conditions += COMPARED[operator](name, _moment(name, rest))
        else:
            # A time without operator holds colons, too.
            conditions += COMPARED["eq"](name, _moment(name, value))
    return conditions


def _moment(name: str, text: str) -> datetime.datetime:
    try:
        moment = timeutils.normalize_time(timeutils.parse_isotime(text))
        return min(moment.replace(microsecond=0), LATEST)
    except (ValueError, OverflowError, TypeError):
        raise errors.BadRequest(
            reason=f"'{name}' takes an ISO 8601 time, after one of gt: gte: lt: lte: "
            "eq: neq: if you like. A + in it must be sent as %2B."
        ) from None


def _equal(name: str, moment: datetime.datetime) -> list[Condition]:
    return [Condition(name, "gte", moment), Condition(name, "lt", moment + SECOND)]


COMPARED: Mapping[str, Callable[[str, datetime.datetime], list[Condition]]] = {
    "eq": _equal,
    "neq": lambda name, moment: [Condition(name, "neq", moment)],
    "gt": lambda name, moment: [Condition(name, "gte", moment + SECOND)],
    "gte": lambda name, moment: [Condition(name, "gte", moment)],
    "lt": lambda name, moment: [Condition(name, "lt", moment)],
    "lte": lambda name, moment: [Condition(name, "lt", moment + SECOND)],
}

#: Every parameter that is compared with an attribute. A name that is not here is
#: that of a custom property.
BY_NAME: Mapping[str, Filter] = {
    **dict.fromkeys(("name", "id", "status", "container_format", "disk_format"), text),
    **dict.fromkeys(("owner", "checksum", "os_hash_algo", "os_hash_value"), equal),
    **dict.fromkeys(INTEGER_COLUMNS, number),
    **{f"{column}_min": at_least for column in INTEGER_COLUMNS},
    **{f"{column}_max": at_most for column in INTEGER_COLUMNS},
    **dict.fromkeys(TIME_COLUMNS, times),
    "protected": boolean,
}
