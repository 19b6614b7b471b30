"""Who asks: identity headers, as a gateway in front of the service would set them."""

from collections.abc import Mapping
from typing import NamedTuple


class Person(NamedTuple):
    """``project`` names a project that is unique for each use of the tests."""

    project: str
    roles: str


#: Who the stories speak of. Nothing outranks the roles named here: no role implies
#: another one.
PEOPLE: Mapping[str, Person] = {
    "owner": Person("owner", "member,reader"),
    "reader": Person("owner", "reader"),
    "writer": Person("owner", "member"),
    "roleless": Person("owner", ""),
    "partner": Person("partner", "member,reader"),
    "stranger": Person("stranger", "member,reader"),
    "service": Person("service", "service"),
    "admin": Person("admin", "admin"),
}


def headers(name: str, projects: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that say who asks; none for ``anonymous``."""
    if name == "anonymous":
        return {}
    person = PEOPLE[name]
    return {
        "X-Identity-Status": "Confirmed",
        "X-Roles": person.roles,
        "X-Project-Id": projects[person.project],
        "X-User-Id": f"user-of-{projects[person.project]}",
    }
