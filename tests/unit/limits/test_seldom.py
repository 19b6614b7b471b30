"""The log says the same thing only once in a while."""

import logging

from imageservice.limits.seldom import MANY, SELDOM_S, Seldom

LOG = logging.getLogger(__name__)


def test_the_same_is_said_once_in_a_while(clock, caplog):
    seldom = Seldom(LOG, clock)

    for second in range(int(2.5 * SELDOM_S)):
        clock.now = float(second)
        seldom.error("limit %s", "a")

    assert len(caplog.records) == 3


def test_different_things_are_all_said(clock, caplog):
    seldom = Seldom(LOG, clock)

    for number in range(3 * MANY):
        seldom.error("limit %s", number)

    assert len(caplog.records) == 3 * MANY
    assert len(seldom._said) <= MANY
