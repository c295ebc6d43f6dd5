"""The operator's password: compared, and not guessed."""

import hmac
import math
import threading
import time
from collections import deque
from collections.abc import Callable

from digit_core.errors import NotAllowed

MOST_WRONG, WHILE = 5, 60.0  # wrong passwords in so many seconds, after which none is looked at


class PasswordGate:
    """Lets the right password through, and none while too many were wrong; threads share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: deque[float] = deque(maxlen=MOST_WRONG)  # when they came, oldest first
        self._lock = threading.Lock()

    def check(self, given: str, password: str) -> None:
        """Compare a password, but for white space around it, in constant time. Raises NotAllowed."""
        with self._lock:
            now = self._clock()
            wait = self._wrong[0] + WHILE - now if len(self._wrong) == MOST_WRONG else 0.0
            if wait > 0:
                raise NotAllowed(
                    f"{MOST_WRONG} wrong passwords came within a minute. Wait {math.ceil(wait)} s, and try again."
                )
            if not hmac.compare_digest(_to_bytes(given), _to_bytes(password)):
                self._wrong.append(now)
                raise NotAllowed("This is not the operator's password. Try again, or ask who runs this Digit Lab.")


def _to_bytes(text: str) -> bytes:
    return text.strip().encode(errors="surrogatepass")  # a variable may hold bytes that are no text
