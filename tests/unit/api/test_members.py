import pytest

from imageservice import errors
from tests.unit.api.fakes import ID, Client

MEMBERS = f"/v2/images/{ID}/members"


def test_members_are_listed_with_their_schema():
    reply = Client()("GET", MEMBERS)

    assert reply.json == {
        "members": [
            {
                "member_id": "friend",
                "image_id": ID,
                "status": "pending",
                "created_at": "2026-01-02T03:04:05Z",
                "updated_at": "2026-01-02T03:04:05Z",
                "schema": "/v2/schemas/member",
            }
        ],
        "schema": "/v2/schemas/members",
    }


def test_adding_a_member_is_200_and_other_keys_are_ignored():
    reply = Client()("POST", MEMBERS, {"member": "friend", "more": 1})

    assert (reply.status, reply.json["status"]) == (200, "pending")


@pytest.mark.parametrize(
    "body",
    [{}, [], b"", {"member": ""}, {"member": None}, {"member": 3}]
    + [{"member": "x" * 256}, {"member": "\0"}, {"member": "\U0001f600"}],
)
def test_weakness_46_a_member_is_a_string_of_1_to_255_characters(body):
    assert Client()("POST", MEMBERS, body).status == 400


@pytest.mark.parametrize("status", ["pending", "accepted", "rejected"])
def test_a_member_can_be_set_to_any_status(status):
    reply = Client()("PUT", MEMBERS + "/friend", {"status": status, "more": 1})

    assert (reply.status, reply.json["status"]) == (200, status)


@pytest.mark.parametrize("body", [{}, [], {"status": "maybe"}, {"status": ["pending"]}])
def test_an_unknown_status_is_400(body):
    assert Client()("PUT", MEMBERS + "/friend", body).status == 400


def test_whatever_stands_against_showing_a_member_is_404():
    client = Client()

    def forbidden(ctx, image, member_id):
        raise errors.NotShared(image_id=image.id, visibility="public")

    client.api._services.members.show = forbidden

    assert client("GET", MEMBERS + "/friend").status == 404


def test_removing_a_member_is_204():
    assert Client()("DELETE", MEMBERS + "/friend").status == 204
