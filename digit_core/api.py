"""The REST API: under `/api` in the dashboard's process, or alone by `uvicorn digit_core.api:app`.

Requests are answered in threads of their own, so that neither the dashboard waits for them nor they for it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from digit_core import __version__
from digit_core.api_errors import HANDLERS, on_http_exception, responses
from digit_core.api_gate import BATCH, HEALTH, Gate, access
from digit_core.api_input import media_type, read_items
from digit_core.api_schemas import (
    JSON,
    MAX_ITEMS,
    TAKES_DRAWING,
    TAKES_FEEDBACK,
    TAKES_ITEMS,
    Answer,
    Answers,
    Health,
    Kept,
    ListedModel,
    Models,
    Stats,
)
from digit_core.api_service import Service
from digit_core.errors import DigitError, UnsupportedType
from digit_core.settings import Settings, read_settings

ABOUT = f"""Reads hand-drawn digits. A body has up to 7 MB, that of a batch 16 MB and {MAX_ITEMS} drawings. A picture
is PNG, JPEG, WebP, BMP or GIF, has up to 5 MB and 4096 x 4096 pixels, and may be dark on light or light on dark.
Strokes have up to 10,000 points. Where the operator has set a token, all but `/health` asks for it as a bearer."""
ModelId = Annotated[str, Query(description="The id of the model that reads; the default one if left out.")]
bearer = HTTPBearer(auto_error=False)
router = APIRouter(responses=responses(429))
open_router = APIRouter()  # asks for no token


def service_of(request: Request) -> Service:
    """What answers the requests of this application."""
    return request.app.state.service


@router.post(
    "/predict",
    response_model=Answer,
    responses=responses(400, 404, 413, 415, 422, 503, 504),
    openapi_extra=TAKES_DRAWING,
)
async def predict(request: Request, model: ModelId = "") -> JSONResponse:
    """Read a drawing: a form with a picture in `image` or `file`, a picture, a data URL, 784 numbers or strokes."""
    service, kind = service_of(request), request.headers.get("content-type", "")
    return JSONResponse(await service.reading.run(service.read, await request.body(), kind, model))


@router.post(
    BATCH,
    response_model=Answers,
    responses=responses(400, 404, 413, 503, 504),
    openapi_extra=TAKES_ITEMS,
)
async def predict_batch(request: Request, model: ModelId = "") -> JSONResponse:
    """Read up to 256 drawings; one that cannot be read has an `error` in its place."""
    service, body = service_of(request), await request.body()
    with service.room_for(body):
        items = await service.reading.run(read_items, body)
        return JSONResponse({"predictions": await service.reading.run_in_turns(service.read_some, iter(items), model)})


@router.post(
    "/feedback",
    status_code=201,
    response_model=Kept,
    responses=responses(400, 404, 413, 415, 422, 503, 504),
    openapi_extra=TAKES_FEEDBACK,
)
async def add_feedback(request: Request) -> JSONResponse:
    """Say what a drawing shows; it is kept beside what the model says of it, once for each id."""
    if media_type(request.headers.get("content-type", "")) != JSON:  # or a page of any site could send it unasked
        raise UnsupportedType(f"Feedback is taken as JSON. Send it with the content type {JSON}.")
    service = service_of(request)
    return JSONResponse({"id": await service.database.run(service.add_feedback, await request.body())}, 201)


@router.get("/feedback/stats", response_model=Stats, responses=responses(503, 504))
async def stats(request: Request) -> dict[str, Any]:
    """Tell how often the models were right."""
    service = service_of(request)
    return await service.database.run(service.count_feedback)


@router.get("/models", responses=responses(503))
async def models(request: Request) -> Models:
    """List the models that can read."""
    service = service_of(request)
    return Models(models=await service.lookups.run(service.list_models))


@router.get("/models/{model_id}", responses=responses(404, 503))
async def model(request: Request, model_id: Annotated[str, Path(description="The id of the model.")]) -> ListedModel:
    """Tell what is known of one model."""
    service = service_of(request)
    return await service.lookups.run(service.load_model, model_id)


@open_router.get(HEALTH, responses=responses(503))
async def health(request: Request) -> Health:
    """Tell whether the server can read, by which model."""
    service = service_of(request)
    classifier = await service.lookups.run(service.find_classifier)
    return Health(status="ok", model=classifier.info.model_id, version=__version__)


def drop_validation_errors(document: dict[str, Any]) -> None:
    """Take a failure out of the documentation that FastAPI lists and no call here has."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name)
    for path in document["paths"].values():
        for call in path.values():
            if "HTTPValidationError" in str(call["responses"].get("422")):
                del call["responses"]["422"]


def start_log() -> None:
    """Write a line for each request to standard error, and let the server write none of its own for it."""
    if not access.handlers:
        access.addHandler(logging.StreamHandler())
        access.setLevel(logging.INFO)
        access.propagate = False
        logging.getLogger("uvicorn.access").addFilter(lambda record: "/api/" not in record.getMessage())


def build(settings: Settings) -> Starlette:
    """Make the API, all of it below `/api`: an application of its own, whose routes another one may take."""
    api = FastAPIOffline(
        title="Digit Lab",
        version=__version__,
        description=ABOUT,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
    )
    if settings.api_token:
        api.include_router(router, dependencies=[Security(bearer)], responses=responses(401))
    else:
        api.include_router(router)
    api.include_router(open_router)
    drop_validation_errors(api.openapi())
    api.state.service = service = Service(settings)
    api.add_middleware(Gate, settings=settings)
    if settings.cors_origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        start_log()
        with contextlib.suppress(DigitError):  # told to each who asks
            await asyncio.to_thread(service.find_classifier)
        yield
        service.close()

    return Starlette(
        routes=[Mount("/api", api)], lifespan=lifespan, exception_handlers={HTTPException: on_http_exception}
    )


try:
    app = build(read_settings())
except DigitError as error:
    raise SystemExit(f"Error: {error}") from None
