"""The program itself, beside the runs: where a cluster trains, all its machines run what the server runs."""

import contextlib
import hashlib
import shutil
import tempfile
import time
from pathlib import Path

from digit_core.model_store import storing
from digit_core.settings import ROOT, STARTERS, Settings
from digit_core.types import STARTER_IDS

PROGRAMS, KEPT_FOR = ".program", 30 * 86_400.0  # seconds after a run was started with it: one may wait for long


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
                try:
                    whole.rename(program)
                except OSError:
                    if not program.is_dir():  # or another server was first
                        raise
        program.touch()
    for each in programs.iterdir():
        with contextlib.suppress(FileNotFoundError):  # so may another server
            if time.time() - each.stat().st_mtime > KEPT_FOR:
                shutil.rmtree(each, ignore_errors=True)
    return program


def _is_wanted(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
