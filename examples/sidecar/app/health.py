"""What a watcher asks: is it well, and how much of what is going on."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any, Awaitable, Callable

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from .access import require_operator
from .database import POOL_SIZE
from .database import Unavailable as DatabaseUnavailable
from .keys import key_set
from .metrics import HOUR, memory_usage_mb, quantiles, RECENT
from .sessions import Unavailable as RedisUnavailable

router = APIRouter()

CHECK_SECONDS = 1.2  # so that every answer is there within two
NO_STORE = {"Cache-Control": "no-store"}

Instance = Enum("Instance", {name: name for name in ("test", "beta", "prod")}, type=str)


class Shared:
    """Lets requests that come while a check runs wait for that one's result, so
    that many watchers are no more load than one. A request that is given up does
    not end the check for the others."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def run(self, name: str, check: Callable[[], Awaitable[Any]]) -> Any:
        task = self._running.get(name)
        if task is None or task.done():
            task = self._running[name] = asyncio.ensure_future(check())
        return await asyncio.shield(task)


@router.get("/health")
async def health(request: Request) -> JSONResponse:
    """Healthy, maintenance or degraded with 200; unhealthy with 503."""
    state, settings = request.app.state, request.app.state.settings
    part, cache = await asyncio.gather(_database(request), state.shared.run("redis", state.store.check))
    memory = memory_usage_mb() <= settings.memory_limit_mb
    working = state.working
    workers = not working.done() or working.cancelled() or working.exception() is None
    checks = {
        "database": {"status": "unhealthy", "part": part} if part else {"status": "healthy"},
        "redis": {"status": "healthy" if cache else "degraded"},
        "memory": {"status": "healthy" if memory else "degraded"},
        "workers": {"status": "healthy" if workers else "unhealthy"},
    }
    if part or not workers:
        status = "unhealthy"
    elif settings.canvas_maintenance_mode:
        status = "maintenance"
    else:
        status = "healthy" if cache and memory else "degraded"
    body = {
        "status": status, "environment": settings.environment,
        "version": settings.version, "commit": settings.commit, "checks": checks,
    }
    return JSONResponse(body, 503 if status == "unhealthy" else 200, NO_STORE)


@router.get("/health/database")
async def database(request: Request) -> JSONResponse:
    """Whether PostgreSQL can be reached and the tasks can be read."""
    if part := await _database(request):
        return JSONResponse({"status": "unhealthy", "part": part}, 503, NO_STORE)
    return JSONResponse({"status": "healthy"}, 200, NO_STORE)


async def _database(request: Request) -> str:
    state = request.app.state
    return await state.shared.run("database", lambda: state.database.check(CHECK_SECONDS))


@router.get("/health/canvas")
async def canvas(request: Request, instance: Instance) -> JSONResponse:
    """Whether Canvas answers us. In maintenance mode it is not asked."""
    state = request.app.state
    if state.settings.canvas_maintenance_mode:
        status, details = "maintenance", {"instance": instance.value, "maintenance_mode": True}
    else:
        status, details = await state.shared.run("canvas " + instance.value, state.canvas[instance.value].health)
    body = {"status": status, "canvas_details": details}
    return JSONResponse(body, 503 if status == "unhealthy" else 200, NO_STORE)


@router.get("/health/canvas/rate-limits", dependencies=[Depends(require_operator)])
async def rate_limits(request: Request) -> JSONResponse:
    """How much of the limit on our own calls is used, and what Canvas says is left."""
    limits = {name: client.rate_limits() for name, client in request.app.state.canvas.items()}
    return JSONResponse({"instances": limits}, headers=NO_STORE)


@router.get("/health/metrics", dependencies=[Depends(require_operator)])
async def metrics(request: Request) -> JSONResponse:
    """Numbers. One that cannot be had, since Redis or PostgreSQL is away, is null."""
    state, settings, m = request.app.state, request.app.state.settings, request.app.state.metrics
    sessions, queued = await asyncio.gather(
        _or_none(state.shared.run("sessions", state.sessions.active)),
        _or_none(state.shared.run("queued", state.tasks.queued)),
    )
    memory = memory_usage_mb()
    body = {
        "active_sessions": sessions,
        "active_qa_tasks": state.runner.active,
        "queued_qa_tasks": queued,
        "recent_errors": m.recent("errors"),
        "recent_requests": m.recent("requests"),
        "recent_seconds": RECENT,
        "requests_total": m.totals["requests"],
        "errors_total": m.totals["errors"],
        "memory_usage_mb": memory,
        "memory_limit_mb": settings.memory_limit_mb,
        "memory_usage_percent": round(100 * memory / settings.memory_limit_mb, 1),
        "response_time_ms": quantiles(m.response_times.since(RECENT)),
        "task_duration_seconds": quantiles(m.task_durations.since(HOUR)),
        "tasks_completed_total": m.totals["tasks_completed"],
        "tasks_failed_total": m.totals["tasks_failed"],
        "canvas_errors_last_minute": m.recent("canvas_errors", 60),
        "canvas_throttled_total": m.totals["canvas_throttled"],
        "websocket_connections": m.websockets,
        "database_connections_in_use": state.database.connections_in_use,
        "database_connections_limit": POOL_SIZE,
        "uptime_seconds": m.uptime_seconds,
        "version": settings.version,
        "commit": settings.commit,
        "environment": settings.environment,
        "settings": {
            "async_workers": settings.async_workers,
            "canvas_rate_limit_per_minute": settings.canvas_rate_limit_per_minute,
            "max_concurrent_tasks": settings.max_concurrent_tasks,
            "batch_size": settings.batch_size,
            "parallel_processing_limit": settings.parallel_processing_limit,
            "progress_update_interval": settings.progress_update_interval,
            "canvas_maintenance_mode": settings.canvas_maintenance_mode,
        },
    }
    return JSONResponse(body, headers=NO_STORE)


async def _or_none(number: Awaitable[int]) -> int | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await number
    except (DatabaseUnavailable, RedisUnavailable, TimeoutError):
        return None


@router.get("/health/security-metrics", dependencies=[Depends(require_operator)])
async def security(request: Request) -> JSONResponse:
    """Attempts that were refused, since the start and in the last hour."""
    m, body = request.app.state.metrics, {}
    for name in ("failed_logins", "failed_launches", "unauthorized_requests", "logins", "forced_logouts"):
        body[f"{name}_total"] = m.totals[name]
        body[f"{name}_last_hour"] = m.recent(name, HOUR)
    return JSONResponse(body, headers=NO_STORE)


@router.get("/.well-known/jwks.json")
async def jwks(request: Request) -> JSONResponse:
    """Our public keys, those of a rotation's previous round included."""
    keys = (key for canvas in request.app.state.settings.canvas.values() for key in canvas.keys)
    return JSONResponse(key_set(keys), headers={"Cache-Control": "public, max-age=300"})
