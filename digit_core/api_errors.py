"""What went wrong -> the answer that says so: a status, a code for programs, a sentence for people."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from digit_core.errors import (
    DigitError,
    EmptyDrawing,
    FeedbackUnavailable,
    InvalidLabel,
    ModelUnavailable,
    NoDefault,
    StorageFailed,
    TooLarge,
    UnreadableInput,
    UnsupportedType,
)
from digit_core.feedback import forget_store

log = logging.getLogger("digit_lab.api")
RETRY_S = 1  # after which what found no room may be sent again
KINDS: dict[type[DigitError], tuple[int, str]] = {  # the nearest of an error's classes counts
    EmptyDrawing: (422, "empty_drawing"),
    InvalidLabel: (422, "invalid_label"),
    TooLarge: (413, "too_large"),
    UnsupportedType: (415, "unsupported_type"),
    UnreadableInput: (400, "unreadable_input"),
    NoDefault: (503, "model_unavailable"),
    ModelUnavailable: (404, "model_unavailable"),
    FeedbackUnavailable: (503, "feedback_unavailable"),
    StorageFailed: (503, "storage_failed"),
    DigitError: (500, "failed"),
}
CODES = {
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    429: "too_many_requests",
    500: "bug",
    503: "busy",
    504: "timeout",
}
ADVICE = {
    404: "There is no such address. GET /api/docs lists them.",
    405: "The address is there, but not for this method. GET /api/docs says for which.",
}
MEANINGS = {
    400: "It cannot be read.",
    401: "The token is missing or wrong.",
    404: "There is no such model.",
    413: "It is too large.",
    415: "It is of a kind that is not read.",
    422: "The drawing is empty, or the label is no digit.",
    429: "This client asks too often: `Retry-After` says when to ask again.",
    503: "Too much is asked at once, or database or model cannot be used: `Retry-After` says when to ask again.",
    504: "It took too long.",
}


class Problem(BaseModel):
    """What went wrong."""

    code: str = Field(description="for programs", examples=["empty_drawing"])
    message: str = Field(description="for people", examples=["The drawing has no ink. Draw a digit."])


class Problems(BaseModel):
    """The answer to a request that failed."""

    error: Problem


def tell(status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that says what went wrong; code: that of the status if left out."""
    content = {"error": {"code": code or CODES[status], "message": message}}
    retry = {"Retry-After": str(RETRY_S)} if status == 503 else {}
    return JSONResponse(content, status, {**retry, **(headers or {})})


async def on_digit_error(request: Request, error: Exception) -> JSONResponse:
    """Tell a DigitError; a feedback store that failed is opened again for the next one, and where it lies not told."""
    if isinstance(error, FeedbackUnavailable):
        forget_store(request.app.state.service.settings.database_url)
    expected = cast("DigitError", error)
    status, code = find_kind(expected)
    if status < 503:
        return tell(status, str(expected), code)
    log.warning(str(expected))
    return tell(
        status, "This cannot be done at the moment. Ask again later, or ask the operator, whose log says why.", code
    )


async def on_http_exception(_: Request, error: Exception) -> JSONResponse:
    """Tell that an address is not there, or that there is no room."""
    refusal = cast("HTTPException", error)
    return tell(refusal.status_code, ADVICE.get(refusal.status_code, refusal.detail), headers=refusal.headers)


async def on_bug(_: Request, __: Exception) -> JSONResponse:
    """Tell that the program is at fault; the traceback is in the server's log."""
    return tell(500, "Something went wrong here, not in what was sent. The server's log says what.")


async def on_disconnect(_: Request, __: Exception) -> JSONResponse:
    """Answer a client that went away: nobody hears it, and it is no fault."""
    return tell(400, "The request broke off.", "unreadable_input")


HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[JSONResponse]]] = {
    DigitError: on_digit_error,
    HTTPException: on_http_exception,
    ClientDisconnect: on_disconnect,
    Exception: on_bug,
}


def find_kind(error: DigitError) -> tuple[int, str]:
    """The status and the code of an expected failure."""
    return next(KINDS[kind] for kind in type(error).__mro__ if kind in KINDS)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How the documentation lists the failures of a call."""
    return {status: {"model": Problems, "description": MEANINGS[status]} for status in statuses}
