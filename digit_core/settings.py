"""The environment, read once at each door: every setting has a default that works with nothing set."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

ROOT = Path(__file__).resolve().parent.parent
STARTERS = ROOT / "models"


@dataclass(frozen=True)
class Settings:
    """Where things are kept.

    models: runs and new models; data: downloads; mnist and pen_digits: local files that are used when given.
    """

    models: Path
    database_url: str
    data: Path
    mnist: Path | None
    pen_digits: Path | None


def to_environ(settings: Settings) -> dict[str, str]:
    """The variables from which another process, whatever its folder, reads the same settings."""
    paths = {
        "MODELS": settings.models,
        "DATA": settings.data,
        "MNIST": settings.mnist,
        "PEN_DIGITS": settings.pen_digits,
    }
    return {f"DIGIT_LAB_{name}": str(path.resolve()) if path else "" for name, path in paths.items()} | {
        "DIGIT_LAB_DATABASE_URL": settings.database_url
    }


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the `DIGIT_LAB_*` variables; one that is empty counts as not set."""

    def path(name: str) -> Path | None:
        value = environ.get(name)
        return Path(value).expanduser() if value else None

    return Settings(
        models=path("DIGIT_LAB_MODELS") or STARTERS,
        database_url=environ.get("DIGIT_LAB_DATABASE_URL") or f"sqlite:///{(ROOT / 'feedback.sqlite3').as_posix()}",
        data=path("DIGIT_LAB_DATA") or user_cache_path("digit-lab", appauthor=False),
        mnist=path("DIGIT_LAB_MNIST"),
        pen_digits=path("DIGIT_LAB_PEN_DIGITS"),
    )
