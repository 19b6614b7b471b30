"""Limits of a real Keystone, as oslo.limit reads them."""

from typing import Any

import pytest

from imageservice import errors
from imageservice.domain.allowance import MIB, UNLIMITED, Allowance
from tests.identity.keystone import Keystone
from tests.identity.limits import Limits
from tests.limits.conftest import Asking

limit = pytest.importorskip("oslo_limit.limit")


def test_minus_one_is_no_limit(asking: Asking, keystone: Keystone) -> None:
    assert asking().of(keystone.project("owner")) == UNLIMITED


def test_registered_limits_are_those_of_every_project(
    asking: Asking, keystone: Keystone, limits: Limits
) -> None:
    limits.set("image_size_total", 3)
    limits.set("image_stage_total", 0)
    limits.set("image_count_total", 20)
    limits.set("image_count_uploading", 2)

    found = asking().of(keystone.project("owner"))

    assert found == Allowance(images=20, bytes=3 * MIB, uploading=2, staged=0)


def test_a_limit_of_one_project_counts_for_it_alone(
    asking: Asking, keystone: Keystone, limits: Limits
) -> None:
    owner, partner = keystone.project("owner"), keystone.project("partner")
    limits.set("image_count_total", 20)
    limits.set("image_count_total", 2, owner)
    unified = asking()

    assert unified.of(owner).images == 2
    assert unified.of(partner).images == 20


def test_a_changed_limit_counts_without_a_restart(
    asking: Asking, keystone: Keystone, limits: Limits
) -> None:
    owner = keystone.project("owner")
    limits.set("image_count_total", 20)
    limits.set("image_count_total", 2, owner)
    unified = asking()
    unified.of(owner)

    limits.set("image_count_total", 3, owner)

    assert unified.of(owner).images == 3


def test_an_account_whose_token_was_revoked_gets_another_one(
    asking: Asking, keystone: Keystone, limits: Limits
) -> None:
    limits.set("image_count_total", 20)
    unified = asking()
    unified.of(keystone.project("owner"))
    connection: Any = limit._SDK_CONNECTION

    keystone.revoke(connection.get_token())

    assert unified.of(keystone.project("owner")).images == 20


def test_what_is_not_registered_is_nothing(
    asking: Asking, keystone: Keystone, limits: Limits
) -> None:
    limits.unregister("image_count_total")

    assert asking().of(keystone.project("owner")).images == 0


def test_the_endpoint_can_be_looked_up_by_the_services_type(
    asking: Asking, keystone: Keystone, limits: Limits
) -> None:
    limits.set("image_count_total", 20)
    unified = asking(
        endpoint_id="",
        endpoint_service_type="image",
        endpoint_region_name=keystone.region,
        endpoint_interface="internal",
    )

    assert unified.of(keystone.project("owner")).images == 20


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param({"password": "wrong"}, "refuses the account", id="password"),
        pytest.param(
            {"username": "reader", "password": "reader-secret"},
            "refuses the account",
            id="no-role-on-the-system",
        ),
        pytest.param(
            {
                "username": "reader",
                "password": "reader-secret",
                "system_scope": "",
                "project_name": "owner",
                "project_domain_id": "default",
            },
            "--system all reader",
            id="no-reader-of-endpoints",
        ),
        pytest.param({"endpoint_id": "none"}, "endpoint", id="endpoint"),
        pytest.param(
            {"endpoint_id": "", "endpoint_service_type": "pictures"},
            "Service not found",
            id="service",
        ),
        pytest.param(
            {"auth_url": "http://127.0.0.1:9/v3"}, "does not answer", id="address"
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_said_in_the_log(
    asking: Asking,
    keystone: Keystone,
    caplog: pytest.LogCaptureFixture,
    wrong: dict[str, object],
    said: str,
) -> None:
    unified = asking(**wrong)

    with pytest.raises(errors.LimitsUnknown):
        unified.of(keystone.project("owner"))

    ours = [
        r.getMessage() for r in caplog.records if "limits of proj" in r.getMessage()
    ]
    assert len(ours) == 1
    assert said in ours[0]
