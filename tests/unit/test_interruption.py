"""Being asked to stop."""

from __future__ import annotations

import os
import signal

import pytest

from tools.interruption import Interrupted, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_interrupts(number: signal.Signals) -> None:
    with Interruption():
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)


def test_signal_in_a_deferred_block_waits_for_its_end() -> None:
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


def test_error_in_a_deferred_block_comes_before_the_signal() -> None:
    def fail() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("inside")

    with Interruption() as interruption, pytest.raises(ValueError, match="inside"), interruption.deferred():
        fail()


def test_signal_after_an_error_interrupts() -> None:
    with Interruption() as interruption:
        with pytest.raises(ValueError, match="inside"), interruption.deferred():
            raise ValueError("inside")
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)


def test_signal_before_an_error_waits_for_the_next_block() -> None:
    def fail() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("inside")

    with Interruption() as interruption:
        with pytest.raises(ValueError, match="inside"), interruption.deferred():
            fail()
        with pytest.raises(Interrupted), interruption.deferred():
            pass


def test_ignored_signal_does_nothing() -> None:
    with Interruption() as interruption:
        interruption.ignore()
        os.kill(os.getpid(), signal.SIGINT)


def test_previous_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with Interruption():
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before
