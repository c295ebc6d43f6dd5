"""What the API takes and gives, as its documentation states it and as JSON is held against it."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from annotated_types import Len
from pydantic import AllowInfNan, BaseModel, Field, Strict

from digit_core.api_errors import Problem
from digit_core.pictures import FORMATS
from digit_core.strokes import FARTHEST, MAX_POINTS, SIDE
from digit_core.types import ModelInfo

MAX_ITEMS = 256  # drawings of a batch
JSON, FORM = "application/json", "multipart/form-data"
PICTURE_TYPES = tuple(f"image/{name.lower()}" for name in FORMATS)
SEVEN = [[[60, 50], [200, 50], [120, 230]]]

Number = Annotated[float, Strict(), AllowInfNan(False)]
Coordinate = Annotated[Number, Field(ge=-FARTHEST, le=FARTHEST)]
Point = Annotated[list[Coordinate], Len(2, 2)]
Pixel = Annotated[Number, Field(ge=0, le=255)]
Pixels = Annotated[list[Pixel], Len(SIDE * SIDE, SIDE * SIDE)]
Digit = Annotated[int, Strict(), Field(ge=0, le=9)]
Share = Annotated[float, Field(ge=0, le=1)]


class StrokesBody(BaseModel):
    """A drawing as pen strokes."""

    strokes: list[list[Point]] = Field(
        description=f"a list of strokes, each a list of [x, y] points, y down; {MAX_POINTS:,} points at most",
        examples=[SEVEN],
    )


class ImageBody(BaseModel):
    """A drawing as a picture."""

    image: Annotated[str, Strict()] | Pixels = Field(
        description="a picture as a data URL in Base64, or 784 numbers from 0 to 255, row by row, ink bright",
        examples=["data:image/png;base64,iVBORw0KGgo…"],
    )


class FeedbackBody(BaseModel):
    """What a person said of a drawing."""

    true_digit: Digit | None = Field(
        description="the digit that it shows, 0 to 9, or null for what is no digit", examples=[7]
    )
    id: UUID | None = Field(None, description="a UUID of the client's own: what is sent twice is kept once")
    model: str | None = Field(None, description="the id of the model that answers; the default one if left out")


class LabelledStrokes(FeedbackBody, StrokesBody):
    """What a person said of pen strokes."""


class LabelledImage(FeedbackBody, ImageBody):
    """What a person said of a picture."""


class Answer(BaseModel):
    """What a model says of a drawing."""

    digit: Digit
    confidence: Share = Field(description="the probability of this digit, calibrated")
    probabilities: list[Share] = Field(min_length=10, max_length=10, description="of 0 to 9, calibrated; they sum to 1")
    is_digit: bool = Field(description="whether it looks like a digit at all")
    digit_score: Share = Field(description="how much it looks like a digit; 0.5 and more is taken for one")
    answer_set: list[Digit] = Field(description="digits that hold the true one in 99.5 % of cases, likeliest first")
    model: str
    elapsed_ms: float = Field(ge=0, description="milliseconds that the network took")


class Failure(BaseModel):
    """Why a drawing of a batch was not read."""

    error: Problem


class Answers(BaseModel):
    """What a model says of each drawing of a batch."""

    predictions: list[Answer | Failure]


class Kept(BaseModel):
    """The entry that was stored."""

    id: UUID


class Count(BaseModel):
    """How many answers were judged, and how many of them were right."""

    total: int
    correct: int


class Confusion(BaseModel):
    """How often one digit, or null for no digit, was read as another."""

    true: int | None
    predicted: int
    count: int


class Stats(Count):
    """How often the models were right."""

    by_digit: dict[str, Count]
    by_model: dict[str, Count]
    confusions: list[Confusion]


@dataclass(frozen=True)
class ListedModel(ModelInfo):
    """What is known of a model, and whether it reads where none is named."""

    default: bool


class Models(BaseModel):
    """The models that can read."""

    models: list[ListedModel]


class Health(BaseModel):
    """Which model reads where none is named, and the version of the program."""

    status: str
    model: str
    version: str


def _any_of(*bodies: type[BaseModel]) -> dict[str, Any]:
    return {"anyOf": [body.model_json_schema() for body in bodies]}


def _taking(schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind, schema in schemas.items()}
    return {"requestBody": {"required": True, "content": content}}


# Bodies are read by hand, off the event loop; these describe them in the documentation.
_DRAWING = _any_of(StrokesBody, ImageBody)
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_FORM = {
    "type": "object",
    "properties": {"image": _FILE, "file": _FILE},
    "anyOf": [{"required": ["image"]}, {"required": ["file"]}],
}
_URL = {"type": "string", "description": "a data URL in Base64", "examples": ["data:image/png;base64,iVBORw0KGgo…"]}
_ITEM = {"description": "a drawing in JSON, as `/predict` takes it", "examples": [{"strokes": SEVEN}]}
_ITEMS = {"type": "array", "items": _ITEM, "minItems": 1, "maxItems": MAX_ITEMS}
TAKES_DRAWING = _taking({JSON: _DRAWING, FORM: _FORM, "text/plain": _URL, **dict.fromkeys(PICTURE_TYPES, _FILE)})
TAKES_ITEMS = _taking({JSON: {"type": "object", "properties": {"items": _ITEMS}, "required": ["items"]}})
TAKES_FEEDBACK = _taking({JSON: _any_of(LabelledStrokes, LabelledImage)})
