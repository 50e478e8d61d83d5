"""Who may ask: the operations token, the session cookie, and the access log."""

from __future__ import annotations

import hmac
import logging
import time
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics
from .sessions import COOKIE

log = logging.getLogger("app.access")

BODY = 4 * 2**20  # bytes of a request at most


def require_operator(request: Request) -> None:
    """Lets pass who shows `Authorization: Bearer $OPS_TOKEN`; 401 for all others."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = request.app.state.settings.ops_token
    same = hmac.compare_digest(token.strip().encode(), expected.encode())
    if not (same and scheme.lower() == "bearer"):
        raise unauthorized(request, "Bearer")


async def require_user(connection: HTTPConnection) -> str:
    """The user of the session cookie; 401 where there is no such session."""
    user = await connection.app.state.sessions.user(connection.cookies.get(COOKIE))
    if user is None:
        raise unauthorized(connection, "Cookie")
    return user


def unauthorized(connection: HTTPConnection, scheme: str) -> HTTPException:
    connection.app.state.metrics.count("unauthorized_requests")
    log.warning("unauthorized request for %s", connection.url.path)
    return HTTPException(401, "unauthorized", {"WWW-Authenticate": scheme, "Cache-Control": "no-store"})


def same_origin(connection: HTTPConnection) -> bool:
    """False where a browser tells that another site's page opened the connection."""
    origin = connection.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == connection.headers.get("host")


class BodyLimit:
    """Refuses bodies that are longer than BODY, or do not say how long they are,
    before any of them is read: also those of people who may not ask at all."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if "transfer-encoding" in headers:
                return await PlainTextResponse("length required", 411)(scope, receive, send)
            if int(headers.get("content-length", "0")) > BODY:
                return await PlainTextResponse("too long", 413)(scope, receive, send)
        await self._app(scope, receive, send)


class Meter:
    """Counts and times every request but those for /health and /.well-known, which
    would hide the users' requests among the watchers' own, and counts WebSockets."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http" and not scope["path"].startswith(("/health", "/.well-known")):
            await self._request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.monotonic(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            self._metrics.request(status, milliseconds)
            path = scope["raw_path"].decode("latin-1")  # as it was sent: no line break can be in it
            log.info("%s %s %d %.1f ms", scope["method"], path, status, milliseconds)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted = False

        async def noting(message: Message) -> None:
            nonlocal accepted
            await send(message)
            if message["type"] == "websocket.accept" and not accepted:
                accepted = True
                self._metrics.websockets += 1

        try:
            await self._app(scope, receive, noting)
        finally:
            if accepted:
                self._metrics.websockets -= 1
