"""The operator's password: compared, and not guessed."""

import threading

import pytest

from digit_core.errors import NotAllowed
from digit_core.password import MOST_WRONG, WHILE, PasswordGate


@pytest.fixture
def clock():
    """The time in seconds, as its only item."""
    return [1000.0]


@pytest.fixture
def gate(clock):
    return PasswordGate(lambda: clock[0])


@pytest.mark.parametrize("given", ["secret", " secret\n"])
def test_the_right_password_is_let_through(gate, given):
    gate.check(given, "secret")


@pytest.mark.parametrize("given", ["", " ", "Secret", "secret2", "sécret", "secret\0", "\udcff"])
def test_a_wrong_password_is_told(gate, given):
    with pytest.raises(NotAllowed, match="not the operator's password"):
        gate.check(given, "secret")


@pytest.mark.parametrize("password", ["gehœim", "秘密", "\udcff"])
def test_a_password_is_of_any_letters(gate, password):
    gate.check(password, password)


def guess(gate, times):
    for _ in range(times):
        with pytest.raises(NotAllowed, match="not the operator's"):
            gate.check("guess", "secret")


def test_after_five_wrong_passwords_even_the_right_one_waits(gate, clock):
    guess(gate, MOST_WRONG)
    clock[0] += 18.5
    with pytest.raises(NotAllowed, match=r"5 wrong passwords came within a minute\. Wait 42 s"):
        gate.check("secret", "secret")
    clock[0] += WHILE - 18.5
    gate.check("secret", "secret")


def test_what_is_refused_unseen_makes_nobody_wait_longer(gate, clock):
    guess(gate, MOST_WRONG)
    for _ in range(100):
        with pytest.raises(NotAllowed, match="Wait 60 s"):
            gate.check("guess", "secret")
    clock[0] += WHILE
    gate.check("secret", "secret")


def test_wrong_passwords_of_earlier_minutes_are_forgotten(gate, clock):
    for _ in range(10):
        guess(gate, 1)
        clock[0] += 20
    gate.check("secret", "secret")


def test_many_who_guess_at_once_have_five_guesses_together(gate):
    told = []

    def try_it():
        with pytest.raises(NotAllowed) as refused:
            gate.check("guess", "secret")
        told.append(str(refused.value))

    threads = [threading.Thread(target=try_it) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("not the operator's" in words for words in told) == MOST_WRONG and len(told) == 40
