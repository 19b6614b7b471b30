"""The cache of Keystone's answers: bounded in time and in bytes."""

from imageservice.identity.tokens import Tokens


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_counts_for_its_time() -> None:
    clock = Clock()
    tokens = Tokens(clock=clock)
    tokens.set("key", b"answer", time=300)

    clock.now = 299
    assert tokens.get("key") == b"answer"
    clock.now = 300
    assert tokens.get("key") is None


def test_an_unknown_key_has_no_answer() -> None:
    assert Tokens().get("key") is None


def test_when_it_is_full_what_was_not_used_for_longest_goes() -> None:
    tokens = Tokens(capacity=300)
    for key in ("a", "b", "c"):
        tokens.set(key, b"x" * 100, time=300)
    tokens.get("a")

    tokens.set("d", b"x" * 100, time=300)

    assert [key for key in "abcd" if tokens.get(key)] == ["a", "c", "d"]


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    tokens = Tokens(capacity=100)
    tokens.set("small", b"x", time=300)

    tokens.set("large", b"x" * 101, time=300)

    assert tokens.get("large") is None
    assert tokens.get("small") == b"x"
