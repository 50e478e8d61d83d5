"""The application: what users ask of it, and how its parts start and stop."""

from __future__ import annotations

import asyncio
import hmac
import logging
from contextlib import suppress
from typing import Awaitable, Callable
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, constr
from starlette.datastructures import State
from starlette.websockets import WebSocketDisconnect

from . import database, health, lti, ops, sessions
from .access import BodyLimit, Meter, require_operator, require_user, same_origin
from .canvas import Client
from .metrics import Metrics, memory_usage_mb
from .settings import Settings
from .tasks import Runner, Task, Tasks

log = logging.getLogger("app")
router = APIRouter()

ITEMS = 1000  # of one task


class Login(BaseModel):
    user: constr(min_length=1, max_length=100)
    password: constr(max_length=1000)


class NewTask(BaseModel):
    """Pages of a course to check, by name, and drafts that are not in Canvas yet."""

    instance: health.Instance
    course_id: int = Field(ge=1, lt=2**63)
    pages: list[constr(min_length=1, max_length=255)] = Field(default=[], max_items=ITEMS)
    drafts: list[constr(max_length=64 * 1024)] = Field(default=[], max_items=ITEMS)

    def items(self) -> list[dict[str, str]]:
        return [{"page": page} for page in self.pages] + [{"draft": draft} for draft in self.drafts]


def create_app(settings: Settings) -> FastAPI:
    app = FastAPI(title="Canvas QA Automation", version=settings.version, docs_url=None, redoc_url=None)
    state = app.state
    state.settings = settings
    state.metrics = Metrics()
    state.shared = health.Shared()
    state.ops = ops.Ops(settings.ops_url, settings.ops_token)
    state.canvas = {
        name: Client(canvas, settings.canvas_rate_limit_per_minute, state.metrics)
        for name, canvas in settings.canvas.items()
    }
    app.add_middleware(BodyLimit)
    app.add_middleware(Meter, metrics=state.metrics)
    app.add_exception_handler(database.Unavailable, _unavailable("the database"))
    app.add_exception_handler(sessions.Unavailable, _unavailable("the session store"))
    for part in (router, health.router, lti.router, ops.router):
        app.include_router(part)

    @app.on_event("startup")
    async def start() -> None:
        await _start(state)

    @app.on_event("shutdown")
    async def stop() -> None:
        await _stop(state)

    return app


async def _start(state: State) -> None:
    """Neither PostgreSQL nor Redis need be there: the health checks tell."""
    settings = state.settings
    state.store = sessions.Store(settings.redis_url)
    state.sessions = sessions.Sessions(state.store, settings.secret_key, settings.secret_key_previous)
    state.database = database.Database(settings.database_url)
    state.tasks = Tasks(state.database)
    state.runner = Runner(settings, state.tasks, state.canvas, state.metrics, state.ops)
    await state.database.open()
    state.working = asyncio.create_task(_work(state))


async def _work(state: State) -> None:
    try:
        await state.database.migrate()
        await state.runner.run()
    except Exception:  # /health says so from now on
        log.exception("the workers failed")
        raise


async def _stop(state: State) -> None:
    """Ends the work and gives back what is not done."""
    state.working.cancel()
    await asyncio.gather(state.working, return_exceptions=True)
    with suppress(database.Unavailable):
        await state.tasks.give_back()
    await state.database.close()
    await state.store.close()


def _unavailable(what: str) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def handler(request: Request, error: Exception) -> JSONResponse:
        log.error("%s failed: %s: %s", request.url.path, what, type(error.__cause__).__name__)
        return JSONResponse({"detail": f"{what} is not available"}, 503, {"Retry-After": "5"})

    return handler


@router.post("/sessions", status_code=201)
async def log_in(request: Request, login: Login, response: Response) -> dict[str, str]:
    """Starts a session with DEMO_PASSWORD; people come by an LTI launch instead."""
    state = request.app.state
    password = state.settings.demo_password
    if not password:
        raise HTTPException(404)
    if not hmac.compare_digest(login.password.encode(), password.encode()):
        state.metrics.count("failed_logins")
        log.warning("failed login")
        raise HTTPException(401, "wrong password", {"WWW-Authenticate": "Cookie"})
    cookie = await state.sessions.create("demo:" + login.user)
    response.set_cookie(sessions.COOKIE, cookie, httponly=True, secure=True, samesite="none")
    state.metrics.count("logins")
    return {"user": "demo:" + login.user}


@router.get("/sessions/current")
async def who(user: str = Depends(require_user)) -> dict[str, str]:
    return {"user": user}


@router.delete("/sessions/current", status_code=204)
async def log_out(request: Request) -> Response:
    await request.app.state.sessions.end(request.cookies.get(sessions.COOKIE))
    answer = Response(status_code=204)
    answer.delete_cookie(sessions.COOKIE, secure=True, httponly=True, samesite="none")
    return answer


@router.post("/admin/force-logout-all", dependencies=[Depends(require_operator)])
async def force_logout_all(request: Request) -> dict[str, int]:
    """Ends the sessions of all users, on all replicas."""
    ended = await request.app.state.sessions.end_all()
    request.app.state.metrics.count("forced_logouts")
    log.warning("all %d sessions were ended by an operator", ended)
    return {"sessions_ended": ended}


@router.post("/tasks", status_code=202)
async def add_task(request: Request, new: NewTask, user: str = Depends(require_user)) -> dict[str, object]:
    state = request.app.state
    items = new.items()
    if not 1 <= len(items) <= ITEMS:
        raise HTTPException(422, f"a task has 1 to {ITEMS} items")
    if new.pages and not state.canvas[new.instance.value].canvas.url:
        raise HTTPException(422, "this Canvas instance is not configured")
    if memory_usage_mb() > state.settings.memory_limit_mb:
        raise HTTPException(503, "too little memory for a new task", {"Retry-After": "60"})
    task = await state.tasks.add(user, new.instance.value, new.course_id, items)
    state.runner.wake()
    return task.view()


@router.get("/tasks/{id}")
async def get_task(request: Request, id: UUID, user: str = Depends(require_user)) -> dict[str, object]:
    return (await _task(request.app.state, id, user)).view()


async def _task(state: State, id: UUID, user: str) -> Task:
    task = state.runner.live(id)
    if task is None:
        task = await state.tasks.get(id, user)
    if task is None or task.owner != user:
        raise HTTPException(404)
    return task


@router.websocket("/ws/progress/{id}")
async def progress(websocket: WebSocket, id: UUID) -> None:
    """Sends the task's progress when it opens, every PROGRESS_UPDATE_INTERVAL
    seconds in which there was any, and when the task has ended; then it closes."""
    state = websocket.app.state
    try:
        user = await require_user(websocket)
        task = await _task(state, id, user)
    except (HTTPException, database.Unavailable, sessions.Unavailable):
        return await websocket.close()
    if not same_origin(websocket):
        return await websocket.close()
    await websocket.accept()
    updates = asyncio.create_task(_updates(websocket, task.view(), user))
    with suppress(WebSocketDisconnect):
        gone = asyncio.create_task(_until_gone(websocket))
        await asyncio.wait((updates, gone), return_when=asyncio.FIRST_COMPLETED)
        for running in (updates, gone):
            running.cancel()
        await asyncio.gather(updates, gone, return_exceptions=True)


async def _until_gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _updates(websocket: WebSocket, view: dict[str, object], user: str) -> None:
    state = websocket.app.state
    await websocket.send_json(view)
    while view["status"] in ("queued", "running"):
        await state.runner.wait_finished(UUID(view["id"]), state.settings.progress_update_interval)
        try:
            last, view = view, (await _task(state, UUID(view["id"]), user)).view()
        except database.Unavailable:
            continue
        if view != last:
            await websocket.send_json(view)
    await websocket.close()


@router.websocket("/ws/echo")
async def echo(websocket: WebSocket) -> None:
    """Says back what it is told, for a minute at most: what a watcher dials."""
    await websocket.accept()
    with suppress(WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(60):
            while True:
                await websocket.send_text(await websocket.receive_text())
        await websocket.close()


@router.get("/work", dependencies=[Depends(require_operator)], include_in_schema=False)
async def work(request: Request, ms: int = 0, mb: int = 0, fail: bool = False) -> dict[str, int]:
    """Slow requests, used memory and errors for a drill, where ALLOW_DRILLS is set."""
    if not request.app.state.settings.allow_drills:
        raise HTTPException(404)
    held = bytearray(min(mb, 1024) * 2**20)
    held[::4096] = b"x" * len(held[::4096])  # touched, so that it is resident
    await asyncio.sleep(min(ms, 10_000) / 1000)
    if fail:
        raise RuntimeError("a drill")
    return {"ms": ms, "mb": len(held) // 2**20}
