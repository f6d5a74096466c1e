"""How far a job has come: a bar on a terminal, and a line in the log every now and then."""

import logging
import time

from tqdm import tqdm

log = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two lines in the log."""


class Progress:
    """Counts pieces of work.

    Parameters
    ----------
    what : str
        What is counted, in the plural: ``"images"``.
    total : int
        How many there are.
    """

    def __init__(self, what: str, total: int):
        self.what, self.total, self.done = what, total, 0
        self.started = self.logged = time.monotonic()
        self.bar = tqdm(total=total, unit=f" {what}", disable=None, leave=False)  # None: only on a terminal

    def step(self, number: int = 1) -> None:
        """`number` more are done."""
        self.done += number
        self.bar.update(number)
        if time.monotonic() - self.logged >= EVERY:
            self.logged = time.monotonic()
            log.debug(str(self))

    def close(self) -> None:
        """All is done, or was given up."""
        self.bar.close()
        if self.done:
            log.debug(str(self))

    def __str__(self) -> str:
        seconds = time.monotonic() - self.started
        rate = self.done / max(seconds, 1e-3)
        left = f", about {duration((self.total - self.done) / rate)} left" if 0 < self.done < self.total else ""
        return f"{self.done} of {self.total} {self.what}, {rate:.1f} a second{left}"


def duration(seconds: float) -> str:
    """Seconds in words: ``"40 s"``, ``"12 min"``, ``"3 h 20 min"``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
