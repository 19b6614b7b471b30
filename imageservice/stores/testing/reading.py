"""Ranges, and reads by clients themselves."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from imageservice import errors
from imageservice.stores.driver import (
    BLOCK,
    Capability,
    Driver,
)
from imageservice.stores.testing.case import Case, Put
from imageservice.stores.testing.materials import PATIENCE_S, fetched, pattern, read_all


class Reading(Case):
    # --- ranges ---

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, None),
            (0, 0),
            (0, 1),
            (1, None),
            (BLOCK - 1, 2),
            (BLOCK, BLOCK),
            (2 * BLOCK, None),
            (2 * BLOCK + 4, 1),
            (2 * BLOCK + 5, None),
            (2 * BLOCK + 5, 0),
        ],
    )
    def test_any_range_can_be_read(
        self, driver: Driver, put: Put, offset: int, length: int | None
    ) -> None:
        self.needs(driver, Capability.RANGE)
        data = pattern(2 * BLOCK + 5)
        url = put("key", data).url

        found = read_all(driver, url, offset, length)

        assert found == data[offset : None if length is None else offset + length]

    @pytest.mark.parametrize(("offset", "length"), [(0, 6), (5, 1), (6, None), (2, 4)])
    def test_a_range_beyond_the_data_is_never_cut_short_silently(
        self, driver: Driver, put: Put, offset: int, length: int | None
    ) -> None:
        self.needs(driver, Capability.RANGE)
        url = put("key", b"12345").url

        with pytest.raises(errors.StoreUnavailable):
            read_all(driver, url, offset, length)

    def test_a_file_that_is_offered_holds_the_same_bytes(
        self, driver: Driver, put: Put
    ) -> None:
        data = pattern(BLOCK + 5)
        url = put("key", data).url
        chunks = (
            driver.read(url, 3, BLOCK) if self._ranges(driver) else driver.read(url)
        )
        expected = data[3 : 3 + BLOCK] if self._ranges(driver) else data

        file = getattr(chunks, "file", None)

        if file is not None:
            descriptor, offset, length = file
            assert os.pread(descriptor, length, offset) == expected
        chunks.close()

    def _ranges(self, driver: Driver) -> bool:
        return Capability.RANGE in driver.capabilities

    def test_a_read_may_end_early_and_be_closed_twice(
        self, driver: Driver, put: Put
    ) -> None:
        url = put("key", pattern(3 * BLOCK)).url
        chunks = driver.read(url)

        next(iter(chunks))
        chunks.close()
        chunks.close()

    def test_many_may_read_at_once(
        self, driver: Driver, put: Put, threads: ThreadPoolExecutor
    ) -> None:
        data = pattern(2 * BLOCK + 1)
        url = put("key", data).url

        found = list(threads.map(lambda _: read_all(driver, url), range(8)))

        assert found == [data] * 8

    # --- read by clients themselves ---

    def test_clients_read_the_bytes_by_themselves(
        self, driver: Driver, put: Put
    ) -> None:
        self.needs(driver, Capability.REDIRECT)
        data = pattern(2 * BLOCK + 17)
        url = driver.redirect(put("key", data).url, 60)

        whole = fetched(url)
        part = fetched(url, {"Range": f"bytes={BLOCK - 3}-{BLOCK + 3}"})

        assert (whole.status, whole.body) == (200, data)
        assert whole.type == "application/octet-stream"
        assert (part.status, part.body) == (206, data[BLOCK - 3 : BLOCK + 4])

    @pytest.mark.parametrize("key", ["with space", "per%2Fcent", "plus+amp&=?#"])
    def test_clients_read_odd_keys_by_themselves(
        self, driver: Driver, put: Put, key: str
    ) -> None:
        self.needs(driver, Capability.REDIRECT)
        try:
            url = put(key, b"data").url
        except errors.LocationInvalid:
            pytest.skip(f"{driver.kind} takes no key {key!r}")

        assert fetched(driver.redirect(url, 60)).body == b"data"

    def test_clients_do_so_for_a_while_only(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.REDIRECT)
        url = driver.redirect(put("key", b"data").url, 1)
        deadline = time.monotonic() + PATIENCE_S

        while (answer := fetched(url)).status == 200:
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.2)

        assert answer.status in (401, 403)
        assert b"data" not in answer.body

    def test_clients_read_nothing_else(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.REDIRECT)
        put("other", b"secret")
        url = driver.redirect(put("key", b"data").url, 60)

        answer = fetched(url.replace("/key?", "/other?"))

        assert answer.status in (401, 403)
