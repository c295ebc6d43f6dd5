"""The environment, read once at each door: every setting has a default that works with nothing set."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from digit_core.errors import InvalidConfig

ROOT = Path(__file__).resolve().parent.parent
STARTERS = ROOT / "models"
SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Settings:
    """Where things are kept, and who may do what.

    models: runs and new models; data: downloads, and what the program draws or measures once; mnist and pen_digits:
    local files that are used when given; parallel_runs: trainings at a time on this machine; ray_address: the cluster
    that trains instead of it, like `http://head:8265`; keep_unjudged: whether answers that nobody judged are kept too;
    api_token: what the API asks for; rate_limit: requests that it takes from a client, like `600/minute`; cors_origins:
    the sites whose pages may use it from a browser; admin_password: what acts on everyone on the pages asks for it.
    """

    models: Path
    database_url: str = field(repr=False)  # it may hold a password
    data: Path
    mnist: Path | None
    pen_digits: Path | None
    parallel_runs: int = 1
    ray_address: str | None = None
    keep_unjudged: bool = False
    api_token: str | None = field(default=None, repr=False)
    rate_limit: str | None = None
    cors_origins: tuple[str, ...] = ()
    admin_password: str | None = field(default=None, repr=False)


def to_environ(settings: Settings) -> dict[str, str]:
    """The variables from which another process, whatever its folder, reads the same settings, but what people give to
    be let in."""
    paths = {
        "MODELS": settings.models,
        "DATA": settings.data,
        "MNIST": settings.mnist,
        "PEN_DIGITS": settings.pen_digits,
    }
    return {f"DIGIT_LAB_{name}": str(path.absolute()) if path else "" for name, path in paths.items()} | {
        "DIGIT_LAB_DATABASE_URL": _absolute(settings.database_url),
        "DIGIT_LAB_PARALLEL_RUNS": str(settings.parallel_runs),
        "DIGIT_LAB_RAY_ADDRESS": settings.ray_address or "",
        "DIGIT_LAB_KEEP_UNJUDGED": "1" if settings.keep_unjudged else "",
        "DIGIT_LAB_ADMIN_PASSWORD": "",
        "DIGIT_LAB_API_TOKEN": "",
    }


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the `DIGIT_LAB_*` variables; one that is empty counts as not set. Raises InvalidConfig."""

    def path(name: str) -> Path | None:
        value = environ.get(name)
        try:
            return Path(value).expanduser() if value else None
        except RuntimeError:
            raise InvalidConfig(f"{name} is {value!r:.80}: there is no such home folder. Name another one.") from None

    return Settings(
        models=path("DIGIT_LAB_MODELS") or STARTERS,
        database_url=environ.get("DIGIT_LAB_DATABASE_URL") or f"{SQLITE}{(ROOT / 'feedback.sqlite3').as_posix()}",
        data=path("DIGIT_LAB_DATA") or user_cache_path("digit-lab", appauthor=False),
        mnist=path("DIGIT_LAB_MNIST"),
        pen_digits=path("DIGIT_LAB_PEN_DIGITS"),
        parallel_runs=_read_number(environ.get("DIGIT_LAB_PARALLEL_RUNS") or "1"),
        ray_address=_read_address(environ.get("DIGIT_LAB_RAY_ADDRESS", "").strip()),
        keep_unjudged=_read_switch("DIGIT_LAB_KEEP_UNJUDGED", environ.get("DIGIT_LAB_KEEP_UNJUDGED") or "0"),
        api_token=environ.get("DIGIT_LAB_API_TOKEN", "").strip() or None,
        rate_limit=_read_rate(environ.get("DIGIT_LAB_RATE_LIMIT", "").strip()),
        cors_origins=_read_origins(environ.get("DIGIT_LAB_CORS_ORIGINS", "")),
        admin_password=environ.get("DIGIT_LAB_ADMIN_PASSWORD", "").strip() or None,
    )


def _absolute(url: str) -> str:
    """A database's address that holds in every folder: SQLite's may name a file relative to this one."""
    start, file = url[: len(SQLITE)], url[len(SQLITE) :]
    if start != SQLITE or file in ("", ":memory:") or file.startswith("file:"):
        return url
    return start + Path(file).resolve().as_posix()


def _read_switch(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise InvalidConfig(f"{name} is {text!r:.40}. Set it to 1, or leave it out.")
    return text == "1"


def _read_address(text: str) -> str | None:
    if text and not re.fullmatch(r"https?://[\w.-]+(:\d{1,5})?/?|https?://\[[0-9a-fA-F:]+\](:\d{1,5})?/?", text):
        raise InvalidConfig(
            f"DIGIT_LAB_RAY_ADDRESS is {text!r:.80}. Set it to where the cluster takes jobs, like http://head:8265."
        )
    return text.rstrip("/") or None


def _read_rate(text: str) -> str | None:
    if text and not re.fullmatch(r"[1-9]\d{0,8}/(second|minute|hour|day)", text):
        raise InvalidConfig(f"DIGIT_LAB_RATE_LIMIT is {text!r:.40}. Set it to a number of requests, like 600/minute.")
    return text or None


def _read_origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin for part in text.split(",") if (origin := part.strip()))
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s*]+", origin):
            raise InvalidConfig(
                f"DIGIT_LAB_CORS_ORIGINS holds {origin!r:.80}. Name sites, like https://example.org,https://example.net."
            )
    return origins


def _read_number(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]?", text):
        raise InvalidConfig(f"DIGIT_LAB_PARALLEL_RUNS is {text!r:.40}. Set it to a number from 1 to 99.")
    return int(text)
