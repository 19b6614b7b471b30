"""What the S3 store says when it cannot know whether a call was obeyed."""

import pytest

from imageservice import errors
from imageservice.stores.driver import Reader
from imageservice.stores.testing import Stream, read_all

URL = "s3://images/key"


def data() -> Reader:
    return Stream(b"data")


def test_a_small_service_does_for_an_upload(driver, service):
    url = driver.write("key", data(), None).url

    assert read_all(driver, url) == b"data"
    driver.delete(url)
    assert service.objects == {}


def test_a_removal_that_was_obeyed_before_nobody_listened_is_in_doubt(driver, service):
    driver.write("key", data(), None)
    service.faults["DELETE key"] = ["last"]

    with pytest.raises(errors.RemainsLeft):
        driver.delete(URL)

    assert service.objects == {}


def test_a_removal_that_was_obeyed_before_it_was_refused_is_in_doubt(driver, service):
    driver.write("key", data(), None)
    service.faults["DELETE key"] = ["lost", "403"]

    with pytest.raises(errors.RemainsLeft):
        driver.delete(URL)


def test_a_removal_that_reached_nobody_is_not_in_doubt(driver, service):
    driver.write("key", data(), None)
    service.faults["HEAD key"] = ["farewell"]

    with pytest.raises(errors.StoreUnavailable) as raised:
        driver.delete(URL)

    assert not isinstance(raised.value, errors.RemainsLeft)
    assert set(service.objects) == {"key"}


def test_an_upload_whose_beginning_was_obeyed_before_nobody_listened_is_in_doubt(
    driver, service
):
    service.faults["POST key?uploads"] = ["last"]

    with pytest.raises(errors.RemainsLeft):
        driver.write("key", data(), None)

    assert service.uploads


@pytest.mark.parametrize("answer", ["500", "503", "504"])
@pytest.mark.parametrize("call", ["POST key?uploads", "POST key?uploadId"])
def test_an_upload_whose_end_a_proxy_does_not_await_is_in_doubt(
    driver, service, call, answer
):
    service.faults[call] = [f"{answer} later", answer, answer]

    with pytest.raises(errors.RemainsLeft):
        driver.write("key", data(), None)

    service.catch_up()
    driver.discard("key")
    assert (service.objects, service.uploads) == ({}, {})
    assert driver.write("key", data(), None).size == 4


def test_a_refusal_after_a_lost_end_does_not_tell_that_it_was_not_obeyed(
    driver, service
):
    service.faults["POST key?uploadId"] = ["504 later", "400"]

    with pytest.raises(errors.RemainsLeft):
        driver.write("key", data(), None)


def test_an_end_that_was_refused_leaves_nothing(driver, service):
    service.faults["POST key?uploadId"] = ["400"]

    with pytest.raises(errors.StoreUnavailable) as raised:
        driver.write("key", data(), None)

    assert not isinstance(raised.value, errors.RemainsLeft)
    assert (service.objects, service.uploads) == ({}, {})


@pytest.mark.parametrize("answer", ["500", "503", "429", "lost"])
def test_a_part_is_sent_again_from_its_beginning(driver, service, answer):
    service.faults["PUT key?partNumber"] = [answer, answer]

    url = driver.write("key", data(), None).url

    assert read_all(driver, url) == b"data"
