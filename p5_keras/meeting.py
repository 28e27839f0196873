"""Where the workers of a run decide together."""

import time

import tensorflow as tf

from p5_keras.strategy import is_chief, shard, total


class Meeting:
    """The steps at which all workers look up from their work, once in a while.

    A decision that each took by its own clock would leave one in a step that the
    others do not take. The chief's speed says after how many steps they meet again.

    Args:
        strategy: The strategy; with one worker there is no one to meet.
        seconds: How often.
    """

    def __init__(self, strategy: tf.distribute.Strategy, seconds: float) -> None:
        self.strategy, self.seconds = strategy, seconds
        self.alone = shard(strategy)[1] == 1
        self._time, self._step = time.monotonic(), 0
        self._next = 0

    def due(self, step: int) -> bool:
        """Whether it is time; the same for all workers at a step."""
        if self.alone:
            return time.monotonic() - self._time >= self.seconds
        return step >= self._next

    def agree(self, step: int, *wishes: bool) -> list[bool]:
        """Returns which of several things any worker wishes.

        Args:
            step: The number of steps done.
            *wishes: This worker's wishes.
        """
        now = time.monotonic()
        speed = max(step - self._step, 1) / max(now - self._time, 1e-3)
        self._time, self._step = now, step
        if self.alone:
            return list(wishes)
        pause = min(max(int(self.seconds * speed), 1), 1000) * is_chief(self.strategy)
        *sums, pause = total(self.strategy, [*wishes, pause])
        self._next = step + int(pause)
        return [bool(count) for count in sums]
