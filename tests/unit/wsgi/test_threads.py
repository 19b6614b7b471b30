"""The pool of native threads when the system gives no more of them."""

import _thread
import queue

import pytest

from imageservice.wsgi.natives import _Call, _Pool


class Short:
    """Starts threads as long as ``left`` says."""

    def __init__(self, left):
        self.left = left

    def allocate_lock(self):
        return _thread.allocate_lock()

    def start_new_thread(self, function, args):
        if not self.left:
            raise RuntimeError("can't start new thread")
        self.left -= 1
        return _thread.start_new_thread(function, args)


def test_a_pool_works_again_when_threads_can_be_started_again():
    native, done = Short(0), queue.Queue()
    pool = _Pool(native, 1, done.put)
    with pytest.raises(RuntimeError):
        pool.put(_Call(divmod, (7, 3)))

    native.left = 1
    pool.put(_Call(divmod, (9, 2)))

    assert done.get(timeout=10).result == (4, 1)
    assert done.empty()


def test_calls_wait_for_the_threads_there_are():
    may_end, done = queue.SimpleQueue(), queue.Queue()
    pool = _Pool(Short(1), 2, done.put)
    pool.put(_Call(may_end.get, ()))
    pool.put(_Call(divmod, (9, 2)))

    may_end.put("first")

    assert [done.get(timeout=10).result for _ in "12"] == ["first", (4, 1)]


def test_jobs_that_may_wait_for_each_other_are_refused_instead():
    may_end, done = queue.SimpleQueue(), queue.Queue()
    pool = _Pool(Short(1), None, done.put)
    pool.put(_Call(may_end.get, ()))

    with pytest.raises(RuntimeError):
        pool.put(_Call(divmod, (9, 2)))

    may_end.put("first")
    assert done.get(timeout=10).result == "first"
    assert done.empty()
