"""Sessions in Redis, named by a signed cookie.

All sessions belong to an epoch, a random word in Redis. A new epoch ends them all
in one step, also those that are being made at that moment."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from typing import Any, Awaitable

import redis.asyncio
from redis.exceptions import RedisError

LIFETIME = 8 * 3600  # seconds
COOKIE = "qa_session"
EPOCH = "sessions:epoch"
SECONDS = 1.2  # for a command, connecting included


class Unavailable(Exception):
    """Redis did not answer."""


class Store:
    """Redis with short timeouts. A command once sent is never cancelled, only
    left behind: its answer must not be read as that of the next command."""

    def __init__(self, url: str):
        self.redis = redis.asyncio.from_url(
            url, socket_connect_timeout=0.7, socket_timeout=0.7, decode_responses=True
        )

    async def close(self) -> None:
        try:
            await self.redis.close()
        except (RedisError, OSError):
            pass

    async def do(self, command: Awaitable[Any]) -> Any:
        task = asyncio.ensure_future(command)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.shield(task)
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable from error

    async def check(self) -> bool:
        try:
            return bool(await self.do(self.redis.ping()))
        except Unavailable:
            return False


class Sessions:
    """SECRET_KEY signs, SECRET_KEY_PREVIOUS is still believed: so a rotation can
    overlap, and removing the previous key ends the sessions that it signed."""

    def __init__(self, store: Store, key: str, previous: str):
        self._store = store
        self._keys = [k.encode() for k in (key, previous) if k]

    async def create(self, user: str) -> str:
        """Starts a session and returns the value of its cookie."""
        epoch, redis = await self._epoch(), self._store.redis
        identity, now = secrets.token_urlsafe(24), time.time()
        pipe = redis.pipeline(transaction=True)
        pipe.set(f"session:{epoch}:{identity}", json.dumps({"user": user, "created": now}), ex=LIFETIME)
        pipe.zadd(self._index(epoch, self._keys[0]), {identity: now + LIFETIME})
        pipe.expire(self._index(epoch, self._keys[0]), LIFETIME)
        await self._store.do(pipe.execute())
        return f"{identity}.{_sign(self._keys[0], identity)}"

    async def user(self, cookie: str | None) -> str | None:
        """The user of a cookie, or None where it is not that of a living session."""
        identity = self._verified(cookie)
        if identity is None:
            return None
        found = await self._store.do(self._store.redis.get(f"session:{await self._epoch()}:{identity}"))
        return json.loads(found)["user"] if found else None

    async def end(self, cookie: str | None) -> None:
        identity = self._verified(cookie)
        if identity is None:
            return
        epoch = await self._epoch()
        pipe = self._store.redis.pipeline(transaction=True)
        pipe.delete(f"session:{epoch}:{identity}")
        for key in self._keys:
            pipe.zrem(self._index(epoch, key), identity)
        await self._store.do(pipe.execute())

    async def end_all(self) -> int:
        """Ends every session of every replica and returns how many there were."""
        ended = await self.active()
        await self._store.do(self._store.redis.set(EPOCH, secrets.token_urlsafe(12)))
        return ended  # the old sessions' data can no longer be reached and expires

    async def active(self) -> int:
        """How many sessions a cookie of today's keys still opens."""
        epoch, now = await self._epoch(), time.time()
        pipe = self._store.redis.pipeline(transaction=True)
        for key in self._keys:
            pipe.zremrangebyscore(self._index(epoch, key), "-inf", now)
            pipe.zcard(self._index(epoch, key))
        return sum((await self._store.do(pipe.execute()))[1::2])

    async def _epoch(self) -> str:
        redis = self._store.redis
        epoch = await self._store.do(redis.get(EPOCH))
        if epoch is None:  # the first start, or a Redis that lost its data
            await self._store.do(redis.set(EPOCH, secrets.token_urlsafe(12), nx=True))
            epoch = await self._store.do(redis.get(EPOCH))
        return epoch

    def _verified(self, cookie: str | None) -> str | None:
        identity, dot, signature = (cookie or "").partition(".")
        given = signature.encode()
        good = [hmac.compare_digest(given, _sign(key, identity).encode()) for key in self._keys]
        return identity if dot and any(good) else None

    @staticmethod
    def _index(epoch: str, key: bytes) -> str:
        return f"sessions:{epoch}:{_sign(key, 'index')[:12]}"


def _sign(key: bytes, text: str) -> str:
    return hmac.new(key, b"session:" + text.encode(), hashlib.sha256).hexdigest()
