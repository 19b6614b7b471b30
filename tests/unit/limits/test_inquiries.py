"""Questions to a slow service are asked once at a time."""

import threading

import pytest

from imageservice.limits.inquiries import MANY, Inquiries


class Service:
    """Answers with how often it was asked, when it is let to."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.fails = False

    def __call__(self, question: str) -> int:
        self.asked += 1
        number = self.asked
        assert self.may_answer.wait(30)
        if self.fails:
            raise ValueError(question)
        return number


@pytest.fixture
def service():
    service = Service()
    yield service
    service.may_answer.set()


def test_an_answer_serves_for_a_moment_and_no_longer(service, clock):
    inquiries = Inquiries(service, keep=10, patience=30, clock=clock)

    first = inquiries.answer("a")
    clock.now = 9.9
    again = inquiries.answer("a")
    clock.now = 10.0
    later = inquiries.answer("a")

    assert (first, again, later) == (1, 1, 2)


def test_each_question_has_an_answer_of_its_own(service, clock):
    inquiries = Inquiries(service, keep=10, patience=30, clock=clock)

    assert inquiries.answer("a") != inquiries.answer("b")


def test_an_error_serves_nobody_who_comes_later(service, clock):
    inquiries = Inquiries(service, keep=10, patience=30, clock=clock)
    service.fails = True

    with pytest.raises(ValueError, match="a"):
        inquiries.answer("a")
    service.fails = False

    assert inquiries.answer("a") == 2


def test_who_asks_meanwhile_waits_for_the_same_answer(service):
    inquiries = Inquiries(service, keep=0, patience=30)
    service.may_answer.clear()
    found = []
    callers = [
        threading.Thread(target=lambda: found.append(inquiries.answer("a")))
        for _ in range(20)
    ]
    for caller in callers:
        caller.start()

    service.may_answer.set()
    for caller in callers:
        caller.join(10)

    assert len(found) == 20
    # Who was started after the answer had come asked again.
    assert service.asked < 20


def test_nobody_waits_longer_than_the_patience(service):
    inquiries = Inquiries(service, keep=10, patience=0.05)
    service.may_answer.clear()

    with pytest.raises(TimeoutError):
        inquiries.answer("a")


def test_a_question_that_was_given_up_is_asked_again(service, clock):
    inquiries = Inquiries(service, keep=100, patience=0.05, clock=clock)
    service.may_answer.clear()
    with pytest.raises(TimeoutError):
        inquiries.answer("a")
    service.may_answer.set()
    clock.now = 1.0

    assert inquiries.answer("a") == 2


def test_answers_that_are_too_old_are_forgotten(clock):
    inquiries = Inquiries(str, keep=1, patience=30, clock=clock)

    for number in range(3 * MANY):
        clock.now = number / 100
        inquiries.answer(number)

    assert len(inquiries._asked) <= MANY
