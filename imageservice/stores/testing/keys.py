"""Keys and locations, and what a listing finds."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from imageservice import errors
from imageservice.stores.driver import (
    BLOCK,
    Capability,
    Driver,
    Written,
)
from imageservice.stores.testing.case import Case, Put
from imageservice.stores.testing.materials import (
    FOREIGN,
    ODD_KEYS,
    PATIENCE_S,
    Pause,
    Stream,
    failures,
    pattern,
    read_all,
)


class Keys(Case):
    # --- keys ---

    def test_finished_data_is_never_overwritten(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.WRITE)
        url = put("key", b"first").url

        with pytest.raises(errors.KeyExists):
            driver.write("key", Stream(b"second"), 6)

        assert read_all(driver, url) == b"first"

    def test_of_many_writers_of_one_key_exactly_one_wins(
        self, driver: Driver, threads: ThreadPoolExecutor
    ) -> None:
        self.needs(driver, Capability.WRITE)
        together = threading.Barrier(6)

        def write(number: int) -> Written:
            data = bytes([number]) * (BLOCK + number)
            stream = Stream(data, then=lambda: together.wait(PATIENCE_S))
            return driver.write("key", stream, None)

        writes = [threads.submit(write, number) for number in range(6)]
        won = [write.result() for write in writes if write.exception() is None]

        assert len(won) == 1
        assert all(isinstance(lost, errors.KeyExists) for lost in failures(writes))
        data = read_all(driver, won[0].url)
        assert data == data[:1] * (BLOCK + data[0])
        driver.delete(won[0].url)

    def test_writers_of_different_keys_do_not_mix(
        self, driver: Driver, threads: ThreadPoolExecutor
    ) -> None:
        self.needs(driver, Capability.WRITE)
        together = threading.Barrier(6)

        def write(number: int) -> Written:
            stream = Stream(
                bytes([number]) * (2 * BLOCK),
                at=BLOCK,
                then=lambda: together.wait(PATIENCE_S),
            )
            return driver.write(f"key-{number}", stream, 2 * BLOCK)

        for number, written in enumerate(threads.map(write, range(6))):
            assert read_all(driver, written.url) == bytes([number]) * (2 * BLOCK)
            driver.delete(written.url)

    @pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: ascii(key)[:20])
    def test_an_odd_key_works_or_is_refused(self, driver: Driver, key: str) -> None:
        self.needs(driver, Capability.WRITE)
        try:
            written = driver.write(key, Stream(b"data"), 4)
        except errors.LocationInvalid:
            with pytest.raises(errors.LocationInvalid):
                driver.discard(key)
            return

        assert read_all(driver, written.url) == b"data"
        assert written.url.isprintable()
        driver.delete(written.url)

    def test_odd_keys_do_not_collide(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.WRITE)
        keys = ["a", "a.b", "a%2Eb", "A", "a-b", "a b", "a+b"]

        urls = {key: put(key, key.encode()).url for key in keys}

        for key, url in urls.items():
            assert read_all(driver, url) == key.encode()

    @pytest.mark.parametrize("url", FOREIGN)
    def test_a_foreign_location_is_refused(self, driver: Driver, url: str) -> None:
        def redirect(url: str) -> str:
            return driver.redirect(url, 60)

        for call in (driver.read, driver.size, driver.delete, redirect):
            with pytest.raises((errors.LocationInvalid, errors.Unsupported)):
                call(url)

    @pytest.mark.parametrize(
        "tail", ["/..", "/../../etc/passwd", "/x", "/", "\0", "\n"]
    )
    def test_a_location_cannot_be_bent(
        self, driver: Driver, put: Put, tail: str
    ) -> None:
        url = put("key", b"data").url

        with pytest.raises((errors.LocationInvalid, errors.KeyNotFound)):
            driver.read(url + tail)

    # --- what lies in it ---

    def finished(self, driver: Driver) -> dict[str, tuple[str, int]]:
        found = [each for each in driver.listing() if each.is_finished]
        by_key = {
            # A listing need not know sizes.
            each.key: (
                each.url,
                driver.size(each.url) if each.size is None else each.size,
            )
            for each in found
        }
        assert len(by_key) == len(found)
        return by_key

    def test_a_listing_is_what_was_written(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.LIST | Capability.WRITE)
        assert self.finished(driver) == {}
        written = {}
        for key in ["a", "a.b", "A", "empty", *ODD_KEYS]:
            data = b"" if key == "empty" else pattern(len(key))
            with contextlib.suppress(errors.LocationInvalid):
                written[key] = (put(key, data).url, len(data))
        assert len(written) >= 4

        assert self.finished(driver) == written

    def test_what_is_listed_has_an_age(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.LIST | Capability.WRITE)
        put("key", b"data")

        (found,) = driver.listing()

        assert found.age_s is not None
        # Services count in whole seconds, and round.
        assert -2 < found.age_s < 60

    def test_what_was_deleted_is_not_listed(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.LIST | Capability.DELETE)
        driver.delete(put("key", b"data").url)

        assert list(driver.listing()) == []

    def test_an_unfinished_write_is_never_listed_as_finished(
        self, driver: Driver, threads: ThreadPoolExecutor
    ) -> None:
        self.needs(driver, Capability.LIST | Capability.WRITE)
        pause = Pause()
        stream = Stream(pattern(2 * BLOCK), at=BLOCK, then=pause)
        writing = threads.submit(driver.write, "key", stream, 2 * BLOCK)
        pause.reached()

        found = list(driver.listing())
        pause.over()

        assert {(each.key, each.is_finished) for each in found} <= {("key", False)}
        driver.delete(writing.result().url)

    def test_a_written_location_is_canonical(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.LIST)
        url = put("key", b"data").url

        assert driver.canonical(url) == url
        assert "@" not in url  # nobody's key, nobody's password
        for foreign in FOREIGN:
            with pytest.raises(errors.LocationInvalid):
                driver.canonical(foreign)
