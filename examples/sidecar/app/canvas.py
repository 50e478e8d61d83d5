"""Canvas: its health, its pages, and our own limit on how often we ask."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import quote

from .fetch import HTTPError, Response, get
from .metrics import Metrics, Samples
from .settings import Canvas

HEALTH_SECONDS = 1.2
CALL_SECONDS = 10.0
ATTEMPTS = 4


class PageError(Exception):
    """The page could not be read; the text says why, without its content."""


class RateLimiter:
    """Lets `per_minute` calls pass a minute, evenly spaced, first come first served.

    This paces the calls before they are sent, so that Canvas need not refuse them;
    pause holds all of them back when it does."""

    def __init__(self, per_minute: int):
        self.per_minute = per_minute
        self.waiting = 0
        self._interval = 60 / per_minute
        self._next = 0.0
        self._paused_until = 0.0
        self._passed = Samples()

    async def wait(self) -> None:
        slot = max(self._next, time.monotonic())
        self._next = slot + self._interval
        self.waiting += 1
        try:
            while (delay := max(slot, self._paused_until) - time.monotonic()) > 0:
                await asyncio.sleep(delay)
        finally:
            self.waiting -= 1
        self._passed.add()

    def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    @property
    def paused_seconds(self) -> float:
        return round(max(0.0, self._paused_until - time.monotonic()), 3)

    @property
    def used_last_minute(self) -> int:
        return len(self._passed.since(60))


class Client:
    """One Canvas instance, or the absence of one where no URL is configured."""

    def __init__(self, canvas: Canvas, per_minute: int, metrics: Metrics):
        self.canvas = canvas
        self.limiter = RateLimiter(per_minute)
        self._metrics = metrics
        self._remaining: float | None = None
        self._throttled = Samples()
        self._errors = Samples()

    async def page(self, course_id: int, page: str) -> str:
        """The HTML of a wiki page. Reads only, so what fails in passing is tried again."""
        url = f"{self.canvas.url}/api/v1/courses/{course_id}/pages/{quote(page, safe='')}"
        headers = {"Authorization": f"Bearer {self.canvas.token}"} if self.canvas.token else {}
        why = ""
        for attempt in range(ATTEMPTS):
            await self.limiter.wait()
            try:
                response = await get(url, headers, CALL_SECONDS)
            except HTTPError as error:
                why = str(error)
            else:
                why = self._judge(response, attempt)
                if not why:
                    return _html(response.body)
                if why == "no such page":
                    break
            self._errors.add()
            self._metrics.count("canvas_errors")
            if why == "refused":
                break
            if why != "throttled":  # the limiter's pause is the wait for those
                await asyncio.sleep(0.25 * 2**attempt)
        raise PageError(why)

    def _judge(self, response: Response, attempt: int) -> str:
        try:
            self._remaining = float(response.headers["x-rate-limit-remaining"])
        except (KeyError, ValueError):
            pass
        if throttled(response):
            self._throttled.add()
            self._metrics.count("canvas_throttled")
            self.limiter.pause(2.0**attempt)
            return "throttled"
        if response.status >= 500:
            return f"status {response.status}"
        if response.status == 404:
            return "no such page"
        return "" if response.status == 200 else "refused"

    async def health(self) -> tuple[str, dict[str, Any]]:
        """A status, and details that tell no secrets. It counts against no limit."""
        details: dict[str, Any] = {"instance": self.canvas.name, "configured": bool(self.canvas.url)}
        if not self.canvas.url:
            return "unknown", details
        started = time.monotonic()
        try:
            response = await get(f"{self.canvas.url}/health_check", {}, HEALTH_SECONDS)
        except HTTPError as error:
            details["error"] = str(error)
            return "unhealthy", details
        details["http_status"] = response.status
        details["response_time_ms"] = round((time.monotonic() - started) * 1000, 1)
        if throttled(response):
            return "degraded", details
        if response.status == 503:  # what hosted Canvas answers while it is maintained
            return "maintenance", details
        return ("healthy" if response.status == 200 else "unhealthy"), details

    def rate_limits(self) -> dict[str, Any]:
        return {
            "configured": bool(self.canvas.url),
            "limit_per_minute": self.limiter.per_minute,
            "used_last_minute": self.limiter.used_last_minute,
            "waiting": self.limiter.waiting,
            "paused_seconds": self.limiter.paused_seconds,
            "canvas_remaining": self._remaining,  # as Canvas last said; null before
            "throttled_last_minute": len(self._throttled.since(60)),
            "errors_last_minute": len(self._errors.since(60)),
        }


def throttled(response: Response) -> bool:
    """Canvas says 429, and older ones 403 with these words in the body."""
    return response.status == 429 or (response.status == 403 and b"Rate Limit Exceeded" in response.body)


def _html(body: bytes) -> str:
    try:
        html = json.loads(body)["body"]
    except (ValueError, KeyError, TypeError):
        raise PageError("not a page in JSON") from None
    return html if isinstance(html, str) else ""
