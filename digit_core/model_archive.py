"""A model as one file: its networks, a `.zip` of its folder, or its card."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

from digit_core.arrays import ARCHIVE_ERRORS
from digit_core.errors import ModelUnavailable
from digit_core.exams import find_marks, load_exam, take_exam
from digit_core.model_card import write_card
from digit_core.model_store import (
    CONFIG,
    MAX_FILE_BYTES,
    METADATA,
    STORED_FILES,
    load_evaluation,
    read_model_file,
    to_json,
)
from digit_core.settings import Settings
from digit_core.types import ModelInfo

FORMATS = (".zip", ".keras", ".tflite", ".md")
MEMBERS = {*STORED_FILES, CONFIG, METADATA}


def export_model(info: ModelInfo, ending: str, settings: Settings) -> bytes:
    """A stored model as the content of a file with one of the endings in FORMATS.

    Raises ModelUnavailable when one of its files is missing or not the one that was stored.
    """
    if ending == ".md":
        stress = load_exam("stress", settings)
        take_exam(info, stress, settings)
        return write_card(info, load_evaluation(info, settings), find_marks(info, stress, settings)).encode()
    if ending != ".zip":
        return read_model_file(info, f"model{ending}", settings)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in STORED_FILES:
            archive.writestr(name, read_model_file(info, name, settings))
        if not info.imported:  # whose config makes no run
            archive.writestr(CONFIG, to_json(info.config))
        archive.writestr(METADATA, to_json(info))
    return content.getvalue()


def read_archive(path: Path) -> dict[str, bytes]:
    """Read what `export_model` wrote to a `.zip`: the content of each file, by its name.

    Raises ModelUnavailable for anything else, and when a file is not the one that the metadata tells of.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {item.filename: item for item in archive.infolist()}
            is_ours = MEMBERS - {CONFIG} <= set(members) <= MEMBERS and len(members) == len(archive.infolist())
            if not is_ours or sum(item.file_size for item in members.values()) > 2 * MAX_FILE_BYTES:
                raise ModelUnavailable(f"{path} is no archive of a model, as `models export` writes it.")
            contents = {name: archive.read(name) for name in members}
        digests = json.loads(contents[METADATA])["sha256"]
        changed = [name for name in STORED_FILES if hashlib.sha256(contents[name]).hexdigest() != digests[name]]
    except ARCHIVE_ERRORS as error:
        raise ModelUnavailable(f"{path} is damaged. Export the model again.") from error
    if changed:
        raise ModelUnavailable(f"{changed[0]} in {path} is not the one that was exported. Export the model again.")
    return contents
