"""Whatever happens to images, in whatever order, counters say what there is."""

import random
from collections.abc import Callable

import pytest

from imageservice import errors
from imageservice.db import transitions
from imageservice.db.copies import Copies
from imageservice.db.engine import Database
from imageservice.db.images import Images
from imageservice.db.leases import Leases
from imageservice.db.usage import Usage
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.image import Image, Location
from tests.db.factories import ADMIN, LATER, NOW, Bytes, an_image

STEPS = 250
OWNERS = ("a", "b", None)
ALLOWANCE = UNLIMITED._replace(images=6, bytes=100, uploading=3)


class Life:
    """A few images to which anything may happen; ``tokens`` of leases, also stale ones."""

    def __init__(self, database: Database, choice: random.Random) -> None:
        self.images, self.leases = Images(database), Leases(database)
        self.copies, self.choice = Copies(database), choice
        self.ids: list[str] = []
        self.tokens: list[tuple[str, str]] = []

    def step(self) -> str:
        happening: Callable[[], object] = self.choice.choice(
            [
                self.create, self.create, self.claim, self.claim, self.grow, self.attach,
                self.attach, self.release, self.doom, self.spare, self.bury,
                self.give_away, self.switch, self.take_over, self.copy, self.copy, self.attach_copy,
                self.attach_copy, self.doom_copy, self.spare_copy, self.bury_copy,
            ]
        )  # fmt: skip
        try:
            happening()
        except (
            errors.Conflict,
            errors.QuotaExceeded,
            errors.NotFound,
            errors.Gone,
            errors.Forbidden,
        ):
            return f"{happening.__name__} refused"
        return happening.__name__

    def create(self) -> None:
        image = an_image(owner=self.choice.choice(OWNERS))
        self.images.insert(image, ALLOWANCE)
        self.ids.append(image.id)

    def claim(self) -> None:
        image, token = self.any(), self.new_token()
        room = transitions.Room(image.owner, self.choice.choice((0, 9, 60)), ALLOWANCE)
        known = {"owner": image.owner}
        self.tokens.append((image.id, token))
        self.images.claim(
            image.id, "queued", "saving", token, "w", "s", NOW, known, room
        )

    def grow(self) -> None:
        image_id, token = self.lease()
        self.images.grow(token, image_id, 1, 30, ALLOWANCE)

    def attach(self) -> None:
        image_id, token = self.lease()
        size = self.choice.choice((0, 9, 40))
        self.images.attach(token, image_id, Bytes(size=size), "s", NOW)

    def release(self) -> None:
        image_id, token = self.lease()
        self.images.release(token, image_id, NOW)

    def doom(self) -> None:
        image_id, token = self.choice.choice(self.ids or [""]), self.new_token()
        self.tokens.append((image_id, token))
        self.images.doom(image_id, token, "w", NOW)

    def spare(self) -> None:
        image_id, token = self.lease()
        if image_id in self.images_doomed():
            self.images.spare(token, image_id, NOW)

    def bury(self) -> None:
        image_id, token = self.lease()
        if image_id in self.images_doomed():
            self.images.bury(token, image_id, NOW)

    def give_away(self) -> None:
        image = self.any()
        owner = self.choice.choice(OWNERS)
        self.images.update(image, image._replace(owner=owner), LATER)

    def switch(self) -> None:
        image = self.any()
        other = {"active": "deactivated", "deactivated": "active"}.get(image.status)
        if other:
            self.images.set_status(image.id, image.status, other, NOW)

    def copy(self) -> None:
        image, token = self.any(), self.new_token()
        self.tokens.append((image.id, token))
        store = self.choice.choice(("s", "s2", "s3"))
        room = transitions.Room(image.owner, image.size or 0, ALLOWANCE)
        self.copies.claim(image.id, token, "w", store, room)

    def attach_copy(self) -> None:
        image_id, token = self.lease()
        copy = Location(self.choice.choice(("s2", "s3")), token, {})
        self.copies.attach(token, image_id, copy, NOW)

    def doom_copy(self) -> None:
        image, token = self.any(), self.new_token()
        self.tokens.append((image.id, token))
        for location in image.locations[-1:]:
            self.copies.doom(image.id, location, token, "w", NOW)

    def spare_copy(self) -> None:
        image_id, token = self.lease()
        self.copies.spare(token, image_id, NOW)

    def bury_copy(self) -> None:
        image_id, token = self.lease()
        self.copies.bury(token, image_id)

    def take_over(self) -> None:
        watched = self.leases.watch()
        if watched:
            row, token = self.choice.choice(watched), self.new_token()
            self.tokens.append((row.image_id, token))
            self.leases.take_over(row.image_id, row.token, row.beat, token, "other")

    def any(self) -> Image:
        found = self.images.show(self.choice.choice(self.ids or [""]), ADMIN)
        if found is None:
            raise errors.ImageNotFound(image_id="")
        return found

    def lease(self) -> tuple[str, str]:
        return self.choice.choice(self.tokens[-6:] or [("", "")])

    def new_token(self) -> str:
        return f"t{self.choice.getrandbits(60)}"

    def images_doomed(self) -> set[str]:
        watched = self.leases.watch()
        return {row.image_id for row in watched if row.status == "pending_delete"}


@pytest.mark.parametrize("seed", range(3))
def test_counters_say_what_there_is_after_every_step(
    database: Database, usage: Usage, seed: int
) -> None:
    life = Life(database, random.Random(seed))
    past = []

    for _ in range(STEPS):
        past.append(life.step())
        for project in usage.projects():
            before, after = usage.recount(project)
            assert before == after, (project, past[-10:])
            assert min(after) >= 0

    done = {step for step in past if not step.endswith("refused")}
    assert {"create", "claim", "attach", "release", "doom", "give_away"} <= done
