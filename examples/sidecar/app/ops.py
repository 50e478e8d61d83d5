"""The Go tool beside us: what we ask of it, and what we tell it (../PYTHON.md).

Nothing of ours depends on it. A call of Ops raises Away or Refused, and Pulse
goes on without it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any, Awaitable, Callable
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from .access import require_operator
from .fetch import HTTPError, get, post
from .metrics import Metrics
from .settings import Settings

log = logging.getLogger("app.ops")
router = APIRouter()

CALL_SECONDS = 1.0
SLOW_SECONDS = 20.0  # of a diagnosis, and of a question that Canvas has to answer
STUCK_SECONDS = 120.0  # a worker that has finished nothing for so long does not work
EXPLAIN_SECONDS = 60.0  # between two launches that are explained


class Away(Exception):
    """The tool gave no answer; the text is one word for why. What was posted may have arrived."""


class Refused(Exception):
    """The tool said no: its status, and the text of its error."""

    def __init__(self, status: int, error: str):
        super().__init__(f"status {status}: {error}")
        self.status, self.error = status, error


class Ops:
    """The calls of the tool, each of one attempt."""

    def __init__(self, url: str, token: str):
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._explain_after = 0.0
        self._explaining: asyncio.Task[None] | None = None

    async def health(self) -> dict[str, Any]:
        """What the tool found, with causes; also where it is bad."""
        return await self._call("/ops/health")

    async def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fire."""
        return (await self._call("/ops/alerts")).get("alerts", [])

    async def canvas_budget(self, instance: str) -> dict[str, Any]:
        """What is left of our token's limit, and `wait_seconds` before the next call."""
        return await self._call(f"/ops/canvas/budget?instance={quote(instance, safe='')}", seconds=SLOW_SECONDS)

    async def diagnose(self, instance: str) -> dict[str, Any]:
        """What may be wrong with how we are configured for launches."""
        return await self._call(f"/ops/lti?instance={quote(instance, safe='')}", seconds=SLOW_SECONDS)

    async def diagnose_token(self, instance: str, token: str) -> dict[str, Any]:
        """Why an id_token is refused."""
        return await self._call("/ops/lti/token", {"instance": instance, "token": token}, SLOW_SECONDS)

    async def beat(self, worker: str, failed: bool = False, detail: str = "") -> None:
        """Tells that a worker works, or that it lives and does not."""
        await self.push("worker", worker, {"failed": True, "detail": detail} if failed else {})

    async def push(self, name: str, entity: str, sample: dict[str, Any]) -> None:
        """Tells a number: a gauge's {"value": 3}, a counter's {"good": 2, "bad": 1}."""
        await self._call(f"/ops/push/{quote(name, safe='')}/{quote(entity, safe='')}", sample)

    def explain(self, instance: str, token: str) -> None:
        """Has the token of a launch that failed explained in our log, one in a
        minute at most. It does not wait, and raises nothing."""
        if self.url and token and time.monotonic() >= self._explain_after:
            self._explain_after = time.monotonic() + EXPLAIN_SECONDS
            self._explaining = asyncio.create_task(self._explain(instance, token))

    async def _explain(self, instance: str, token: str) -> None:
        try:
            for found in (await self.diagnose_token(instance, token)).get("findings", []):
                log.warning("launch failed: %s (%s, %s)", found["title"], found["likelihood"], found["id"])
        except (Away, Refused) as why:
            log.info("a launch that failed was not explained: %s", why)

    async def _call(self, path: str, body: dict[str, Any] | None = None, seconds: float = CALL_SECONDS) -> dict[str, Any]:
        if not self.url:
            raise Away("not configured")
        try:
            if body is None:
                answer = await get(self.url + path, self._headers, seconds)
            else:
                headers = {"Content-Type": "application/json", **self._headers}
                answer = await post(self.url + path, headers, json.dumps(body).encode(), seconds)
            content = json.loads(answer.body) if answer.body else {}
        except HTTPError as why:
            raise Away(str(why)) from None
        except ValueError:
            raise Away("no JSON") from None
        if not isinstance(content, dict):
            raise Away("not the tool")
        is_health = answer.headers.get("content-type", "").startswith("application/health+json")
        if answer.status >= 300 and not is_health:  # health comes with 503 where it is bad
            raise Refused(answer.status, str(content.get("error", "")))
        return content


class Pulse:
    """Tells the tool, every OPS_INTERVAL seconds, which workers work, how many
    tasks wait, and how many ended well and badly. A round takes a second at most."""

    def __init__(self, ops: Ops, settings: Settings, metrics: Metrics, queued: Callable[[], Awaitable[int]]):
        self._ops = ops
        self._name = settings.ops_name
        self._interval = settings.ops_interval
        self._metrics = metrics
        self._queued = queued
        self._since: list[float | None] = [None] * settings.async_workers  # None: waits for work
        # An item waits for its turn at Canvas behind those of all workers, four times at most.
        items = settings.async_workers * settings.parallel_processing_limit
        self._stuck = STUCK_SECONDS + 4 * items * 60 / settings.canvas_rate_limit_per_minute
        self._told = {"good": 0, "bad": 0}
        self._away = ""

    def waits(self, worker: int) -> None:
        self._since[worker] = None

    def works(self, worker: int) -> None:
        """Tells that the worker began a batch, or finished an item."""
        self._since[worker] = time.monotonic()

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        if not self._ops.url:
            return
        while True:
            await self.tell()
            await asyncio.sleep(self._interval)

    async def tell(self) -> None:
        """One round. It raises nothing: a tool that is away is logged when it goes and comes."""
        parts = [self._beat(worker) for worker in range(len(self._since))] + [self._queue(), self._tasks()]
        try:
            async with asyncio.timeout(CALL_SECONDS):
                results = await asyncio.gather(*parts, return_exceptions=True)
        except TimeoutError:
            results = [Away("timeout")]
        why = next((f"{type(r).__name__}: {r}" for r in results if isinstance(r, Exception)), "")
        if why and not self._away:
            log.warning("the tool was not told everything: %s", why)
        elif self._away and not why:
            log.info("the tool is told everything again")
        self._away = why

    async def _beat(self, worker: int) -> None:
        since = self._since[worker]
        still = 0.0 if since is None else time.monotonic() - since
        await self._ops.beat(
            f"{self._name}-{worker + 1}", still > self._stuck, f"has finished nothing for {still:.0f} s"
        )

    async def _queue(self) -> None:
        await self._ops.push("queue_length", self._name, {"value": await self._queued()})

    async def _tasks(self) -> None:
        """What an answer was lost for may be counted twice, and is never left out."""
        totals = self._metrics.totals
        now = {"good": totals["tasks_completed"], "bad": totals["tasks_failed"]}
        new = {kind: now[kind] - self._told[kind] for kind in now}
        if any(new.values()):
            await self._ops.push("tasks", self._name, new)
            self._told = now


@router.get("/health/tool", dependencies=[Depends(require_operator)])
async def tool(request: Request) -> JSONResponse:
    """What the tool beside us found, and which alerts fire."""
    ops, headers = request.app.state.ops, {"Cache-Control": "no-store"}
    if not ops.url:
        return JSONResponse({"detail": "OPS_URL is not set"}, 404, headers)
    try:
        found, firing = await asyncio.gather(ops.health(), ops.alerts())
    except Away as why:
        return JSONResponse({"detail": f"the tool does not answer: {why}"}, 503, headers)
    except Refused as why:
        return JSONResponse({"detail": f"the tool refuses: {why}"}, 502, headers)
    return JSONResponse({"health": found, "alerts": firing}, headers=headers)
