"""Being asked to stop."""

from __future__ import annotations

import os
import signal

import pytest

from tools.interruption import Interrupted, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_interrupts_once(number: signal.Signals) -> None:
    with Interruption():
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)


def test_a_request_waits_until_what_must_be_whole_is_done() -> None:
    done = []

    def start() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("noted")

    with Interruption() as interruption:
        with pytest.raises(Interrupted), interruption.deferred():
            start()
        with interruption.deferred():
            done.append("after")

    assert done == ["noted", "after"]


def test_an_error_inside_is_not_hidden_by_a_request() -> None:
    def fail() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("inside")

    with Interruption() as interruption, pytest.raises(ValueError, match="inside"), interruption.deferred():
        fail()


def test_a_request_after_an_error_inside_still_interrupts() -> None:
    with Interruption() as interruption:
        with pytest.raises(ValueError, match="inside"), interruption.deferred():
            raise ValueError("inside")
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_request_during_an_error_inside_is_heard_at_the_next_occasion() -> None:
    def fail() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("inside")

    with Interruption() as interruption:
        with pytest.raises(ValueError, match="inside"), interruption.deferred():
            fail()
        with pytest.raises(Interrupted), interruption.deferred():
            pass


def test_once_it_is_stopping_a_request_changes_nothing() -> None:
    with Interruption() as interruption:
        interruption.ignore()
        os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_from_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with Interruption():
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before
