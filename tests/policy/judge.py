"""Asks for one cell of the matrix, and says what is wrong with the answer."""

from collections.abc import Mapping

from tests.policy.cells import Cell
from tests.policy.images import Answer, Call, Images
from tests.policy.operations import OPERATIONS, Asked, Operation, Rows

REFUSED = {"x": 403, ".": 404}

ANSWERS = {"accepted": "rejected", "pending": "accepted", "rejected": "accepted"}


def wrong(
    name: str, cell: Cell, call: Call, images: Images, projects: Mapping[str, str]
) -> str | None:
    """Send the request of a cell; return what is wrong, None if it is as written."""
    operation = OPERATIONS[name]
    if name == "create":
        return _wrong_creation(operation, cell, call, images, projects)
    image = images.get(cell.visibility, operation.state)
    asked = Asked(
        image=image,
        visibility=cell.visibility,
        caller=projects[cell.relation],
        owner=projects["owner"],
        accepted=projects["accepted"],
        answer=ANSWERS.get(cell.relation, "accepted"),
    )
    before = images.rows(image)
    answer = call(asked.caller, cell.role, operation.request(asked))
    after = images.rows(image)
    found = _found(name, operation, cell, answer, image)
    if after != before:
        images.spoil(cell.visibility, operation.state)
    return found or _effect(operation, cell, asked, before, after)


def _found(
    name: str, operation: Operation, cell: Cell, answer: Answer, image: str
) -> str | None:
    expected = REFUSED.get(cell.expected, operation.status)
    if answer.status != expected:
        return f"{answer.status}, not {expected}"
    if name.startswith("list") and name != "list members" and expected == 200:
        listed = {each["id"] for each in answer.json["images"]}
        if (image in listed) != (cell.expected == "+"):
            return "listed" if image in listed else "not listed"
    return None


def _effect(
    operation: Operation, cell: Cell, asked: Asked, before: Rows, after: Rows
) -> str | None:
    if operation.done is None or cell.expected != "+":
        return None if after == before else f"changed {before} to {after}"
    return None if operation.done(asked, after) else f"not done: {after}"


def _wrong_creation(
    operation: Operation,
    cell: Cell,
    call: Call,
    images: Images,
    projects: Mapping[str, str],
) -> str | None:
    """The relation is that of the caller to the project that is to own the image."""
    caller, owner = projects[cell.relation], projects["owner"]
    asked = Asked("", cell.visibility, caller, owner, "", "")
    before = images.count()
    answer = call(caller, cell.role, operation.request(asked))
    expected = REFUSED.get(cell.expected, operation.status)
    if answer.status != expected:
        return f"{answer.status}, not {expected}"
    if cell.expected != "+":
        return None if images.count() == before else "created an image"
    image = str(answer.json["id"])
    (row,) = images.rows(image)["images"]
    images.remove(image)
    is_as_asked = (row["owner"], row["visibility"]) == (owner, cell.visibility)
    return None if is_as_asked else f"not as asked: {row}"
