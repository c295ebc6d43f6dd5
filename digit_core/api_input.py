"""The body of a request -> Drawing: a form, a picture, a data URL, or JSON with a picture, 784 numbers or strokes."""

import base64
import json
import math
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, create_form_parser

from digit_core.api_schemas import FORM, MAX_ITEMS, PICTURE_TYPES, ImageBody, StrokesBody
from digit_core.errors import InvalidLabel, TooLarge, UnreadableInput, UnsupportedType
from digit_core.pictures import FORMATS, picture_from_array, read_picture
from digit_core.strokes import SIDE, read_strokes
from digit_core.types import Drawing

MAX_FIELDS = 16  # of a form
IN_MEMORY = {"MAX_MEMORY_FILE_SIZE": math.inf}  # the body is bounded, and no file is wanted
UNTYPED = ("", "application/octet-stream", "application/x-www-form-urlencoded")  # what clients send who say nothing
HEAD = 300  # bytes of a data URL before its data, at most
MAX_PARTS = 50_000  # values in JSON, each of which takes far more memory and time than its text
MAX_BATCH_PARTS = 1_000_000
Some = TypeVar("Some", bound=BaseModel)


def read_body(body: bytes, content_type: str) -> Drawing:
    """Read a drawing from a request, whatever its form; what it holds counts for more than what it is called.

    Raises UnreadableInput, TooLarge, UnsupportedType.
    """
    kind = media_type(content_type)
    if kind == FORM:
        body, kind = _find_part(body, content_type), ""
    if not body:
        raise UnreadableInput("The request is empty. Send a picture, a data URL, 784 numbers or strokes.")
    if body[:HEAD].lstrip()[:5].lower() == b"data:":
        return read_data_url(body)
    if "json" in kind or body.lstrip()[:1] in (b"{", b"[", b'"'):
        return read_json_drawing(parse_json(body))
    if kind not in (*PICTURE_TYPES, *UNTYPED):
        raise UnsupportedType(f"The content type is {kind!r:.80}. Send JSON, a form, or one of {', '.join(FORMATS)}.")
    return read_picture(body)


def read_json_drawing(value: Any) -> Drawing:
    """Read a drawing from JSON: `{"strokes": …}`, `{"image": …}`, or a data URL alone.

    Raises UnreadableInput, TooLarge.
    """
    if isinstance(value, str):
        return read_data_url(value.encode(errors="replace"))
    if not isinstance(value, dict) or not {"strokes", "image"} & set(value):
        raise UnreadableInput('The JSON holds no drawing. Send {"strokes": …} or {"image": …}.')
    if value.get("strokes") or "image" not in value:
        strokes = read_strokes(value.get("strokes"))  # which bounds their number first
        check(StrokesBody, value)
        return Drawing(strokes)
    image = check(ImageBody, value).image
    if isinstance(image, str):
        return read_data_url(image.encode(errors="replace"))
    return picture_from_array(np.rint(image).astype(np.uint8).reshape(SIDE, SIDE))


def read_items(body: bytes) -> list[Any]:
    """The drawings of a batch, each as JSON. Raises UnreadableInput."""
    value = parse_json(body, MAX_BATCH_PARTS)
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        raise UnreadableInput(f'The body holds no list of drawings. Send {{"items": [1 to {MAX_ITEMS} drawings]}}.')
    return items


def read_data_url(url: bytes) -> Drawing:
    """Read a picture from a data URL in Base64. Raises UnreadableInput, TooLarge."""
    head, _, data = url[:HEAD].partition(b",")
    if not (head.lstrip()[:5].lower() == b"data:" and head.rstrip().lower().endswith(b";base64") and data):
        raise UnreadableInput(
            "The picture is no data URL. It begins with data:image/png;base64, and goes on in Base64."
        )
    try:
        return read_picture(base64.b64decode(b"".join(url[len(head) + 1 :].split()), validate=True))
    except ValueError:
        raise UnreadableInput(
            "What follows base64, in the data URL is no Base64. Encode the picture's bytes."
        ) from None


def media_type(content_type: str) -> str:
    """What a header `Content-Type` names, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def count_values(body: bytes) -> int:
    """At least how many values JSON holds."""
    return sum(map(body.count, (b"[", b"{", b",")))


def parse_json(body: bytes, most_parts: int = MAX_PARTS) -> Any:
    """Read JSON of so many values at most. Raises UnreadableInput, TooLarge."""
    if count_values(body) > most_parts:
        raise TooLarge(f"The JSON has more than {most_parts:,} values. Send fewer points or drawings.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableInput("The body is no JSON. Check its brackets and quotes.") from None


def check(body: type[Some], value: Any) -> Some:
    """Hold JSON against what it should be. Raises UnreadableInput, InvalidLabel; too many points are told elsewhere."""
    try:
        return body.model_validate(value)
    except ValidationError as error:
        name = str(next(iter(error.errors(include_url=False, include_input=False)[0]["loc"]), ""))
    if name not in body.model_fields:
        raise UnreadableInput("The JSON is no object of names and values. See the documentation under /api/docs.")
    words = f"{name} must be {body.model_fields[name].description}."
    raise InvalidLabel(words) if name == "true_digit" else UnreadableInput(words)


def _find_part(body: bytes, content_type: str) -> bytes:
    """The content of a form's field `image`, or `file`."""
    parts: dict[str, bytes] = {}
    count = 0

    def keep(part: Field | File) -> None:
        nonlocal count
        count += 1
        if count > MAX_FIELDS:
            raise UnreadableInput(f"The form has more than {MAX_FIELDS} fields. Send the picture alone.")
        name = (part.field_name or b"").decode(errors="replace")
        if isinstance(part, File):
            part.file_object.seek(0)
            parts[name] = part.file_object.read()
        else:
            parts[name] = part.value or b""

    headers = {"Content-Type": content_type.encode("latin-1", errors="replace")}
    try:
        parser = create_form_parser(headers, keep, keep, IN_MEMORY)
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise UnreadableInput("The form cannot be read. Send the picture in a field named image.") from None
    part = parts.get("image") or parts.get("file")
    if part is None:
        raise UnreadableInput("The form has no field named image or file, or it is empty. Put the picture there.")
    return part
