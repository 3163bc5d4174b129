"""How long something still takes, from how fast it went."""

from __future__ import annotations

_FIRST_MOMENTS_S = 3.0
_FIRST_SAMPLES = 2
_HALF_LIFE_S = 30.0  # what is as long ago counts half
_PATIENCE = 0.12  # how far off a shown time may be, as a part of it, before it is corrected


class RemainingTime:
    """Counts down to a moment that is corrected only when it is clearly wrong, so that it does not jump about.

    Times are passed in, in seconds of one clock. The first unit is not counted: it pays for warming up.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None  # when, how much was done
        self._seconds = 0.0  # that the units took which count
        self._units = 0.0
        self._watched = 0.0
        self._samples = 0
        self._end: float | None = None

    def sample(self, now: float, done: float, total: float) -> None:
        """`done` of `total` are ready at `now`; done may be a fraction of a unit."""
        if self._last is None:
            if done > 0:
                self._last = (now, done)
            return
        elapsed, units = now - self._last[0], done - self._last[1]
        if units <= 0:
            return
        self._last = (now, done)
        fading = 0.5 ** (elapsed / _HALF_LIFE_S)
        self._seconds = self._seconds * fading + elapsed
        self._units = self._units * fading + units
        self._watched += elapsed
        self._samples += 1
        if self._watched >= _FIRST_MOMENTS_S and self._samples >= _FIRST_SAMPLES:
            self._aim(now, max(0.0, total - done) * self._seconds / self._units)

    def remaining(self, now: float) -> float | None:
        """Seconds, None in the first moments."""
        return None if self._end is None else max(0.0, self._end - now)

    def _aim(self, now: float, seconds: float) -> None:
        shown = self.remaining(now)
        if shown is None:
            self._end = now + seconds
        elif abs(seconds - shown) > max(2.0, _PATIENCE * shown):
            self._end = now + (seconds + shown) / 2
