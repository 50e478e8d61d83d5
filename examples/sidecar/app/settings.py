"""Configuration: read once from the environment, every problem reported at once.

No message here contains a value: a setting may be a secret."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Callable, Mapping, TypeVar
from urllib.parse import urlsplit

from . import __version__
from .keys import KeyProblem, PublicKey, public_key

T = TypeVar("T")

INSTANCES = ("test", "beta", "prod")


class SettingsError(Exception):
    """What is wrong with the environment, one problem a line."""


@dataclass(frozen=True)
class Canvas:
    """One Canvas instance: where it is and how we are known to it."""

    name: str
    url: str = ""
    token: str = field(default="", repr=False)
    client_id: str = ""
    issuer: str = ""
    platform_url: str = ""  # the host of LTI logins and of the platform's keys
    keys: tuple[PublicKey, ...] = ()


@dataclass(frozen=True)
class Settings:
    """See README.md for the meaning of each variable."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    ops_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    secret_key_previous: str = field(repr=False)
    demo_password: str = field(repr=False)
    host: str
    port: int
    environment: str
    version: str
    commit: str
    async_workers: int
    canvas_rate_limit_per_minute: int
    memory_limit_mb: int
    max_concurrent_tasks: int
    batch_size: int
    parallel_processing_limit: int
    progress_update_interval: float
    canvas_maintenance_mode: bool
    allow_drills: bool
    ops_url: str  # the Go tool beside us; empty where there is none
    ops_name: str
    ops_interval: float
    canvas: Mapping[str, Canvas]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        read = _Reader(environment)
        settings = cls(
            database_url=read.url("DATABASE_URL", ("postgres", "postgresql"), required=True),
            redis_url=read.url("REDIS_URL", ("redis", "rediss"), required=True),
            ops_token=read.secret("OPS_TOKEN", 16, required=True),
            secret_key=read.secret("SECRET_KEY", 32, required=True),
            secret_key_previous=read.secret("SECRET_KEY_PREVIOUS", 32),
            demo_password=read.secret("DEMO_PASSWORD", 12),
            host=read.text("HOST", "127.0.0.1"),
            port=read.number("PORT", 8000, 1, 65535),
            environment=read.text("ENVIRONMENT", "development"),
            version=read.text("APP_VERSION", __version__),
            commit=read.text("GIT_COMMIT", read.text("RAILWAY_GIT_COMMIT_SHA", "unknown")),
            async_workers=read.number("ASYNC_WORKERS", 4, 1, 64),
            canvas_rate_limit_per_minute=read.number("CANVAS_RATE_LIMIT_PER_MINUTE", 200, 1, 100_000),
            memory_limit_mb=read.number("MEMORY_LIMIT_MB", 512, 1, 1_048_576),
            max_concurrent_tasks=read.number("MAX_CONCURRENT_TASKS", 10, 1, 1000),
            batch_size=read.number("BATCH_SIZE", 50, 1, 1000),
            parallel_processing_limit=read.number("PARALLEL_PROCESSING_LIMIT", 5, 1, 100),
            progress_update_interval=read.seconds("PROGRESS_UPDATE_INTERVAL", 2.0, 0.05, 300),
            canvas_maintenance_mode=read.boolean("CANVAS_MAINTENANCE_MODE", False),
            allow_drills=read.boolean("ALLOW_DRILLS", False),
            ops_url=read.url("OPS_URL", ("http", "https")),
            ops_name=read.text("OPS_NAME", "app"),
            ops_interval=read.seconds("OPS_INTERVAL", 10.0, 0.1, 300),
            canvas={name: read.canvas(name) for name in INSTANCES},
        )
        if read.problems:
            raise SettingsError("\n".join(read.problems))
        return settings


class _Reader:
    def __init__(self, environment: Mapping[str, str]):
        self._environment = environment
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self._environment.get(name, "").strip() or default

    def secret(self, name: str, shortest: int, required: bool = False) -> str:
        value = self.text(name)
        if not value:
            if required:
                self.problems.append(f"{name} is not set")
        elif len(value) < shortest:
            self.problems.append(f"{name} is shorter than {shortest} characters")
        return value

    def url(self, name: str, schemes: tuple[str, ...], required: bool = False) -> str:
        value = self.text(name)
        if not value:
            if required:
                self.problems.append(f"{name} is not set")
            return ""
        try:
            parts = urlsplit(value)
            parts.port
            good = parts.scheme in schemes and bool(parts.hostname)
        except ValueError:
            good = False
        if not good:
            self.problems.append(f"{name} is not a URL of {' or '.join(schemes)}")
        return value.rstrip("/")

    def number(self, name: str, default: int, low: int, high: int) -> int:
        return self._parsed(name, default, int, low, high, "a whole number")

    def seconds(self, name: str, default: float, low: float, high: float) -> float:
        return self._parsed(name, default, float, low, high, "a number of seconds")

    def _parsed(self, name: str, default: T, parse: Callable[[str], T], low: T, high: T, what: str) -> T:
        value = self.text(name)
        if not value:
            return default
        try:
            number = parse(value)
            if math.isfinite(number) and low <= number <= high:
                return number
        except ValueError:
            pass
        self.problems.append(f"{name} is not {what} from {low} to {high}")
        return default

    def boolean(self, name: str, default: bool) -> bool:
        value = self.text(name).lower()
        if not value:
            return default
        if value in ("true", "1", "yes", "on"):
            return True
        if value not in ("false", "0", "no", "off"):
            self.problems.append(f"{name} is neither true nor false")
        return False

    def canvas(self, name: str) -> Canvas:
        upper = name.upper()
        infix = "" if name == "prod" else name + "."
        return Canvas(
            name=name,
            url=self.url(f"CANVAS_URL_{upper}", ("https", "http")),
            token=self.text(f"CANVAS_TOKEN_{upper}"),
            client_id=self.text(f"CANVAS_CLIENT_ID_{upper}"),
            issuer=self.text(f"LTI_ISSUER_{upper}", f"https://canvas.{infix}instructure.com"),
            platform_url=self.url(f"LTI_PLATFORM_URL_{upper}", ("https", "http"))
            or f"https://sso.{infix}canvaslms.com",
            keys=self._keys(f"CANVAS_{upper}_PRIVATE_KEY", f"CANVAS_{upper}_PRIVATE_KEY_PREVIOUS"),
        )

    def _keys(self, *names: str) -> tuple[PublicKey, ...]:
        keys = []
        for name in names:
            try:
                if value := self.text(name):
                    keys.append(public_key(value))
            except KeyProblem as problem:
                self.problems.append(f"{name} {problem}")
        return tuple(keys)
