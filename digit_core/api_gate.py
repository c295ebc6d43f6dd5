"""What every request passes: token, rate, size and time, and the line that it leaves in the log."""

import asyncio
import hmac
import ipaddress
import json
import logging
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digit_core.api_errors import tell
from digit_core.settings import Settings

HEALTH = "/health"  # balancers look at it: no token, no rate
BATCH = "/predict/batch"
MAX_BODY, MAX_BATCH = 7 * 2**20, 16 * 2**20  # bytes of one request
MAX_HELD = 256 * 2**20  # bytes of all that are being read or answered
DIGITS = 12  # of a number of bytes
TIMEOUT_S = 30.0  # of a request, its coming included
access = logging.getLogger("digit_lab.access")


class Gate:
    """ASGI middleware that answers 401, 413, 429, 503 or 504 itself, and logs each request without what it holds."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._token = settings.api_token
        self._rate = parse(settings.rate_limit) if settings.rate_limit else None
        self._rates = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        most = MAX_BATCH if path == BATCH else MAX_BODY
        start, status, taken = time.perf_counter(), 0, 0

        async def receive_bounded() -> Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            taken += size
            self._held += size
            if taken > most:
                raise HTTPException(413, _too_large(most))
            if self._held > MAX_HELD:
                raise HTTPException(503, "Too much is being sent at once. Send it again.")
            return message

        async def send_noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            if refusal := self._refuse(path, most, scope):
                await refusal(scope, receive, send_noted)
                return
            async with asyncio.timeout(TIMEOUT_S) as limit:
                await self._app(scope, receive_bounded, send_noted)
        except TimeoutError:
            if not limit.expired():
                status = 500
                raise
            if not status:
                words = f"The request was not done within {TIMEOUT_S:.0f} s. Send it again, or less at a time."
                await tell(504, words)(scope, receive, send_noted)
        except Exception:
            status = 500
            raise
        finally:
            self._held -= taken
            line = {
                "time": round(time.time(), 3),
                "client": _client(scope),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "bytes": taken,
                "ms": round(1000 * (time.perf_counter() - start), 1),
            }
            access.info(json.dumps(line))

    def _refuse(self, path: str, most: int, scope: Scope) -> JSONResponse | None:
        """The answer to a request that is not let through."""
        headers = Headers(scope=scope)
        if path != HEALTH and self._rate and not self._rates.hit(self._rate, _network(scope)):
            reset = self._rates.get_window_stats(self._rate, _network(scope)).reset_time
            wait = max(1, round(reset - time.time()))
            return tell(429, f"More than {self._rate}. Ask again in {wait} s.", headers={"Retry-After": str(wait)})
        if path != HEALTH and self._token and not _is_token(headers.get("authorization", ""), self._token):
            words = "This API asks for a token. Send it as Authorization: Bearer TOKEN."
            return tell(401, words, headers={"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > DIGITS or int(length) > most:
            return tell(413, _too_large(most))
        return None


def _is_token(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return (
        hmac.compare_digest(given.strip(" \t").encode("latin-1"), token.encode(errors="surrogateescape"))
        and scheme.lower() == "bearer"
    )


def _too_large(most: int) -> str:
    return f"The request has more than {most // 2**20} MB. Send less at a time."


def _network(scope: Scope) -> str:
    """Whose rate a request counts for: a client's, of IPv6 all addresses of its network, which are one client's."""
    client = _client(scope)
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if address.version == 4:
        return client
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""
