"""PostgreSQL: a pool for the work, and one connection of its own for the health
check, so that a busy pool is not taken for a dead database."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import AsyncIterator

import asyncpg

log = logging.getLogger("app.database")

POOL_SIZE = 10
FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

# Each migration runs once, in order, all in one transaction.
MIGRATIONS = (
    """
    CREATE TABLE qa_tasks (
        id          uuid PRIMARY KEY,
        owner       text NOT NULL,
        instance    text NOT NULL CHECK (instance IN ('test', 'beta', 'prod')),
        course_id   bigint NOT NULL,
        items       jsonb NOT NULL,
        total       integer NOT NULL,
        done        integer NOT NULL DEFAULT 0,
        failed      integer NOT NULL DEFAULT 0,
        findings    integer NOT NULL DEFAULT 0,
        batches     integer NOT NULL DEFAULT 0,
        status      text NOT NULL DEFAULT 'queued'
                    CHECK (status IN ('queued', 'running', 'completed', 'failed')),
        claimed_by  uuid,
        lease_until timestamptz,
        created_at  timestamptz NOT NULL DEFAULT now(),
        started_at  timestamptz,
        finished_at timestamptz,
        CHECK (done BETWEEN 0 AND total AND failed BETWEEN 0 AND done)
    )
    """,
    "CREATE INDEX qa_tasks_open ON qa_tasks (created_at) WHERE status IN ('queued', 'running')",
)
MIGRATION_LOCK = 0x71615F7461736B73  # "qa_tasks": replicas that start together migrate one after another


class Unavailable(Exception):
    """The database did not answer in time, or not at all."""


class Database:
    def __init__(self, url: str):
        self._url = url
        self._pool: asyncpg.Pool | None = None
        self._probe: asyncpg.Connection | None = None
        self.migrated = asyncio.Event()

    async def open(self) -> None:
        """Makes the pool, which connects only when it is used."""
        self._pool = await asyncpg.create_pool(
            self._url, min_size=0, max_size=POOL_SIZE, timeout=5, command_timeout=6,
            server_settings={"application_name": "qa-automation", "statement_timeout": "5000"},
        )

    async def close(self) -> None:
        if self._probe:
            self._probe.terminate()
        try:
            async with asyncio.timeout(3):
                await self._pool.close()
        except FAILURES:
            self._pool.terminate()

    @property
    def connections_in_use(self) -> int:
        return self._pool.get_size() - self._pool.get_idle_size()

    @asynccontextmanager
    async def connection(self, seconds: float = 5) -> AsyncIterator[asyncpg.Connection]:
        """A connection for `seconds` at most; raises Unavailable.

        A connection on which something went wrong is closed, not returned: giving
        back one whose server hangs would wait for that server."""
        if not self.migrated.is_set():
            raise Unavailable
        async with self._acquired(seconds) as connection:
            yield connection

    @asynccontextmanager
    async def _acquired(self, seconds: float) -> AsyncIterator[asyncpg.Connection]:
        connection = None
        try:
            async with asyncio.timeout(seconds):
                connection = await self._pool.acquire()
                yield connection
        except BaseException as error:
            if connection is not None:
                with suppress(asyncpg.InterfaceError):  # it is closed already
                    connection.terminate()
            if isinstance(error, FAILURES):
                raise Unavailable from error
            raise
        finally:
            if connection is not None:
                with suppress(*FAILURES):  # then asyncpg has closed it
                    await self._pool.release(connection, timeout=2)

    async def migrate(self) -> None:
        """Brings the schema up to date, waiting for the database as long as it takes."""
        while True:
            try:
                async with self._acquired(60) as connection, connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
                    await connection.execute(
                        "CREATE TABLE IF NOT EXISTS schema_migrations"
                        " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
                    )
                    last = await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_migrations")
                    for version, statement in enumerate(MIGRATIONS[last:], start=last + 1):
                        await connection.execute(statement)
                        await connection.execute("INSERT INTO schema_migrations (version) VALUES ($1)", version)
            except Unavailable as error:
                log.warning("the schema cannot be migrated yet: %s", type(error.__cause__).__name__)
                await asyncio.sleep(1)
            else:
                self.migrated.set()
                return

    async def check(self, seconds: float) -> str:
        """The part that does not work: "connection", "queries", "schema" (while it is
        not up to date), or "" where all works.

        The server itself gives up on the query, so that checks of a locked table
        do not pile up there as waiting sessions."""
        part = "connection"
        try:
            async with asyncio.timeout(seconds):
                if self._probe is None or self._probe.is_closed():
                    self._probe = await asyncpg.connect(
                        self._url,
                        server_settings={
                            "application_name": "qa-automation-health",
                            "statement_timeout": str(int(seconds * 600)),
                        },
                    )
                await self._probe.execute("SELECT 1")
                part = "queries"
                if self.migrated.is_set():
                    await self._probe.execute("SELECT 1 FROM qa_tasks LIMIT 1")
        except BaseException as error:
            if self._probe is not None:
                self._probe.terminate()
                self._probe = None
            if isinstance(error, FAILURES):
                return part
            raise
        return "" if self.migrated.is_set() else "schema"
