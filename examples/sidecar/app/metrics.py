"""Counters of this process. Another replica has its own: a watcher adds them."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from typing import Iterable

RECENT = 300.0  # seconds that "recent" and the quantiles look back
HOUR = 3600.0
KEPT = 10_000  # samples kept at most, so that a flood cannot eat the memory


class Samples:
    """Numbers with the time they were taken, the newest KEPT of them."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def add(self, value: float = 1.0) -> None:
        self._samples.append((time.monotonic(), value))

    def since(self, seconds: float) -> list[float]:
        start = time.monotonic() - seconds
        return [value for at, value in self._samples if at >= start]


class Metrics:
    """What happened since this process started."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self.totals: Counter[str] = Counter()
        self._recent: dict[str, Samples] = {}
        self.response_times = Samples()  # milliseconds
        self.task_durations = Samples()  # seconds
        self.websockets = 0

    def count(self, name: str) -> None:
        self.totals[name] += 1
        self._recent.setdefault(name, Samples()).add()

    def recent(self, name: str, seconds: float = RECENT) -> int:
        samples = self._recent.get(name)
        return len(samples.since(seconds)) if samples else 0

    def request(self, status: int, milliseconds: float) -> None:
        self.count("requests")
        if status >= 500:
            self.count("errors")
        self.response_times.add(milliseconds)

    @property
    def uptime_seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)


def quantiles(samples: Iterable[float]) -> dict[str, float]:
    """p50, p95 and p99 by nearest rank; zeros where there are no samples."""
    ordered = sorted(samples)
    if not ordered:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    return {f"p{p}": round(ordered[-(-len(ordered) * p // 100) - 1], 3) for p in (50, 95, 99)}


def memory_usage_mb() -> float:
    """Resident memory of this process, in MiB."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        pages = int(statm.read().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
