"""The program itself, beside the runs: where a cluster trains, all its machines run what the server runs."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from digit_core.model_store import storing
from digit_core.settings import ROOT, STARTERS, Settings
from digit_core.types import STARTER_IDS

PROGRAMS, KEPT = ".program", 5  # of the versions that were run last


def share_program(settings: Settings) -> Path:
    """Copy this package and the starter models, nothing else, into the models folder, unless that version is there.

    Returns the folder to run it in. Raises StorageFailed.
    """
    programs = settings.models.absolute() / PROGRAMS
    sources = [ROOT / "digit_core", *(STARTERS / starter for starter in STARTER_IDS)]
    files = [path for source in sources for path in sorted(source.rglob("*")) if _is_wanted(path)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    program = programs / digest.hexdigest()[:16]
    with storing(programs):
        programs.mkdir(parents=True, exist_ok=True)
        if not program.is_dir():
            with tempfile.TemporaryDirectory(dir=programs, ignore_cleanup_errors=True) as folder:
                whole = Path(folder) / "whole"
                for path in files:
                    copy = whole / path.relative_to(ROOT)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
                if not program.is_dir():
                    whole.rename(program)
        program.touch()
        older = sorted(programs.iterdir(), key=lambda each: each.stat().st_mtime)[:-KEPT]
    for each in older:
        shutil.rmtree(each, ignore_errors=True)
    return program


def _is_wanted(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
