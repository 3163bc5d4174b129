"""How long something still takes, from how fast it went."""

from __future__ import annotations

_FIRST_MOMENTS_S = 3.0
_MEMORY_S = 30.0  # how long ago counts
_PATIENCE = 0.15  # how far off a shown time may be, as a part of it, before it is corrected


class RemainingTime:
    """Counts down to a moment that is corrected only when it is clearly wrong, so that it does not jump about.

    Times are passed in, in seconds of one clock. The first unit is not counted: it pays for warming up.
    """

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None  # when, how much was done
        self._last: tuple[float, float] | None = None
        self._pace: float | None = None  # seconds for a unit
        self._end: float | None = None

    def sample(self, now: float, done: float, total: float) -> None:
        """`done` of `total` are ready at `now`; done may be a fraction of a unit."""
        if self._last is None:
            if done > 0:
                self._began = self._last = (now, done)
            return
        then, before = self._last
        if done <= before:
            return
        self._last = (now, done)
        elapsed = now - then
        pace = elapsed / (done - before)
        share = 1.0 if self._pace is None else 1 - 0.5 ** (elapsed / _MEMORY_S)
        assert self._began
        mean = (now - self._began[0]) / (done - self._began[1])
        self._pace = mean if self._pace is None else self._pace + max(share, 0.02) * (pace - self._pace)
        if now - self._began[0] >= _FIRST_MOMENTS_S:
            self._aim(now, max(0.0, total - done) * self._pace)

    def remaining(self, now: float) -> float | None:
        """Seconds, None in the first moments."""
        return None if self._end is None else max(0.0, self._end - now)

    def _aim(self, now: float, seconds: float) -> None:
        shown = self.remaining(now)
        if shown is None or abs(seconds - shown) > max(2.0, _PATIENCE * shown):
            self._end = now + seconds
