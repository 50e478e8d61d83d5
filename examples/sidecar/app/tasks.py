"""QA tasks: a table of them, and the workers of this process that do them.

MAX_CONCURRENT_TASKS tasks are in progress at a time. Each is cut into batches of
BATCH_SIZE items, one batch at a time; the batches of all tasks share ASYNC_WORKERS
workers, and a worker examines PARALLEL_PROCESSING_LIMIT items of its batch at a
time. What a batch found is written before the next begins, so a task that loses
its process goes on with the batch that was not written."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import asdict, dataclass
from uuid import UUID, uuid4

from .canvas import Client, PageError
from .checks import findings
from .database import Database, Unavailable
from .metrics import Metrics
from .ops import Ops, Pulse
from .settings import Settings

log = logging.getLogger("app.tasks")

LEASE = 30  # seconds until another process takes over a task that is not renewed
COLUMNS = "id, owner, instance, course_id, total, done, failed, findings, batches, status"


class Lost(Exception):
    """Another process has taken the task over."""


@dataclass
class Task:
    id: UUID
    owner: str
    instance: str
    course_id: int
    total: int
    done: int
    failed: int
    findings: int
    batches: int
    status: str

    def view(self) -> dict[str, object]:
        view = asdict(self)
        del view["owner"]
        return view | {"id": str(self.id)}


class Tasks:
    """The table."""

    def __init__(self, database: Database):
        self._database = database
        self._me = uuid4()

    async def add(self, owner: str, instance: str, course_id: int, items: list[dict[str, str]]) -> Task:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "INSERT INTO qa_tasks (id, owner, instance, course_id, items, total)"
                f" VALUES ($1, $2, $3, $4, $5, $6) RETURNING {COLUMNS}",
                uuid4(), owner, instance, course_id, json.dumps(items), len(items),
            )
        return Task(**row)

    async def get(self, id: UUID, owner: str) -> Task | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {COLUMNS} FROM qa_tasks WHERE id = $1 AND owner = $2", id, owner
            )
        return Task(**row) if row else None

    async def queued(self) -> int:
        async with self._database.connection(1.2) as connection:
            return await connection.fetchval("SELECT count(*) FROM qa_tasks WHERE status = 'queued'")

    async def claim(self) -> tuple[Task, list[dict[str, str]]] | None:
        """The oldest task that waits, or whose process has stopped renewing it."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"""UPDATE qa_tasks SET status = 'running', claimed_by = $1,
                           lease_until = now() + $2 * interval '1 second', started_at = coalesce(started_at, now())
                     WHERE id = (SELECT id FROM qa_tasks
                                  WHERE status = 'queued' OR (status = 'running' AND lease_until < now())
                                  ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
                 RETURNING {COLUMNS}, items""",
                self._me, LEASE,
            )
        if row is None:
            return None
        fields = dict(row)
        items = json.loads(fields.pop("items"))
        return Task(**fields), items

    async def save(self, task: Task) -> None:
        """Writes the task's progress and renews its lease; raises Lost."""
        async with self._database.connection() as connection:
            tag = await connection.execute(
                """UPDATE qa_tasks SET done = $3, failed = $4, findings = $5, batches = $6, status = $7,
                          lease_until = now() + $8 * interval '1 second',
                          finished_at = CASE WHEN $7 = 'running' THEN NULL ELSE now() END
                    WHERE id = $1 AND claimed_by = $2 AND status = 'running'""",
                task.id, self._me, task.done, task.failed, task.findings, task.batches, task.status, LEASE,
            )
        if tag == "UPDATE 0":
            raise Lost

    async def renew(self, ids: list[UUID]) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE qa_tasks SET lease_until = now() + $3 * interval '1 second'"
                " WHERE id = ANY($1) AND claimed_by = $2 AND status = 'running'",
                ids, self._me, LEASE,
            )

    async def give_back(self) -> None:
        """Queues this process's unfinished tasks again, for whoever runs next."""
        async with self._database.connection(2) as connection:
            await connection.execute(
                "UPDATE qa_tasks SET status = 'queued', claimed_by = NULL, lease_until = NULL"
                " WHERE claimed_by = $1 AND status = 'running'",
                self._me,
            )


@dataclass
class Batch:
    task: Task
    items: list[dict[str, str]]
    examined: asyncio.Future[None]
    done: int = 0
    failed: int = 0
    findings: int = 0


class Runner:
    """Does the tasks until it is cancelled."""

    def __init__(self, settings: Settings, tasks: Tasks, canvas: dict[str, Client], metrics: Metrics, ops: Ops):
        self._settings = settings
        self._pulse = Pulse(ops, settings, metrics, tasks.queued)
        self._tasks = tasks
        self._canvas = canvas
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._batches: asyncio.Queue[Batch] = asyncio.Queue()
        self._running: dict[UUID, Task] = {}
        self._current: dict[UUID, Batch] = {}
        self._watched: dict[UUID, set[asyncio.Event]] = {}

    @property
    def active(self) -> int:
        return len(self._running)

    def wake(self) -> None:
        """Tells that a task may have been added."""
        self._wake.set()

    def live(self, id: UUID) -> Task | None:
        """The progress of a task that runs here, item by item."""
        task, batch = self._running.get(id), self._current.get(id)
        if task is None or batch is None:
            return None
        return Task(**asdict(task) | {
            "done": task.done + batch.done,
            "failed": task.failed + batch.failed,
            "findings": task.findings + batch.findings,
        })

    async def wait_finished(self, id: UUID, seconds: float) -> None:
        """Waits until the task has ended here, or for the time given."""
        event = asyncio.Event()
        self._watched.setdefault(id, set()).add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._watched[id].discard(event)
            if not self._watched[id]:
                del self._watched[id]

    async def run(self) -> None:
        if self._settings.canvas_maintenance_mode:
            log.warning("Canvas maintenance mode: tasks wait in the queue")
            return await self._pulse.run()
        async with asyncio.TaskGroup() as group:
            for worker in range(self._settings.async_workers):
                group.create_task(self._work(worker))
            group.create_task(self._renew())
            group.create_task(self._pulse.run())
            await self._dispatch(group)

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            try:
                while self.active < self._settings.max_concurrent_tasks and (claimed := await self._tasks.claim()):
                    task, items = claimed
                    self._running[task.id] = task
                    group.create_task(self._do(task, items))
            except Unavailable:
                pass  # /health tells; the next round asks again
            try:
                async with asyncio.timeout(1):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _do(self, task: Task, items: list[dict[str, str]]) -> None:
        started = time.monotonic()
        size = self._settings.batch_size
        try:
            while task.done < task.total:
                batch = Batch(task, items[task.done : task.done + size], asyncio.get_running_loop().create_future())
                self._current[task.id] = batch
                self._batches.put_nowait(batch)
                await batch.examined
                task.done += batch.done
                task.failed += batch.failed
                task.findings += batch.findings
                task.batches += 1
                del self._current[task.id]
                if task.done == task.total:
                    task.status = "failed" if task.failed == task.total else "completed"
                await self._save(task)
            self._metrics.count("tasks_" + task.status)
            self._metrics.task_durations.add(time.monotonic() - started)
            if task.failed:
                log.warning("task %s: %d of %d items failed", task.id, task.failed, task.total)
        except Lost:
            log.warning("task %s was taken over by another process", task.id)
        finally:
            del self._running[task.id]
            self._current.pop(task.id, None)
            for event in self._watched.get(task.id, ()):
                event.set()
            self.wake()

    async def _save(self, task: Task) -> None:
        """Saves however long the database is away: work that is done is kept."""
        while True:
            try:
                return await self._tasks.save(task)
            except Unavailable:
                await asyncio.sleep(0.5)

    async def _work(self, worker: int) -> None:
        while True:
            self._pulse.waits(worker)
            batch = await self._batches.get()
            self._pulse.works(worker)
            limit = asyncio.Semaphore(self._settings.parallel_processing_limit)
            await asyncio.gather(*(self._examine(batch, item, limit, worker) for item in batch.items))
            batch.examined.set_result(None)

    async def _examine(self, batch: Batch, item: dict[str, str], limit: asyncio.Semaphore, worker: int) -> None:
        async with limit:
            try:
                html = item.get("draft")
                if html is None:
                    html = await self._canvas[batch.task.instance].page(batch.task.course_id, item["page"])
                batch.findings += findings(html)
            except PageError as error:
                batch.failed += 1
                log.info("task %s: an item failed: %s", batch.task.id, error)
            except Exception:  # one bad page must not end the worker
                batch.failed += 1
                log.exception("task %s: an item failed", batch.task.id)
            batch.done += 1
            self._pulse.works(worker)
            await asyncio.sleep(0)  # lets requests pass between two drafts

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            try:
                if self._running:
                    await self._tasks.renew(list(self._running))
            except Unavailable:
                pass
