"""Work shared out to processes that may die: bounded in threads, memory and time, so that a bad file costs itself alone."""

import ctypes
import gc
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import cv2
from threadpoolctl import threadpool_limits

PR_SET_PDEATHSIG = 1  # prctl(2): the signal this process gets when the thread that began it ends
MEMORY = 1_500_000_000
"""Bytes that a process may take besides what it is born with: below 2 GB in all. The largest image that is let in fits."""
SECONDS = 300
"""Time for one piece of work; a decoder that takes longer is taken to hang."""


def in_processes(
    work: Callable[..., object],
    todo: Sequence[tuple],
    workers: int,
    lost: Callable[..., object],
    done: Callable[[object], object] = lambda made: None,
) -> list:
    """Do pieces of work in processes of their own.

    A decoder may crash on a damaged file, ask for more memory than there is, or never come back. Then its process dies,
    and the piece of work alone is lost.

    Parameters
    ----------
    work : function
        What is done; a function of a module, or `functools.partial` of one.
    todo : sequence of tuple
        Arguments of `work`, one tuple for each piece.
    workers : int
        Processes.
    lost : function
        Called with the arguments of a piece in place of `work` where its process died twice.
    done : function, optional
        Called with what was made of each piece, as soon as it is.

    Returns
    -------
    list
        What `work`, or `lost`, gave, in the order of `todo`.
    """
    cv2.setNumThreads(1)  # before the fork: a child cannot end its parent's threads, it would wait for ever
    with threadpool_limits(1):
        made: dict[int, object] = {}
        left = dict(enumerate(todo))
        while left:
            made |= _pooled(work, left, workers, done)
            left = {k: arguments for k, arguments in left.items() if k not in made}
            # A process that died took the pool with it. One of those that were handed out then is the cause.
            for k in list(left)[: 2 * workers + 1]:
                arguments = left.pop(k)
                alone = _pooled(work, {k: arguments}, 1, done)
                if not alone:
                    alone = {k: lost(*arguments)}
                    done(alone[k])
                made |= alone
    return [made[k] for k in range(len(todo))]


def _pooled(work, todo: Mapping[int, tuple], workers: int, done) -> dict[int, object]:
    """What was made until all was, or until a process died."""
    made: dict[int, object] = {}
    if todo:
        gc.freeze()  # a child that looked for garbage among what its parent holds would copy it all
        fork = get_context("fork")
        pool = ProcessPoolExecutor(min(workers, len(todo)), fork, _begin, (work,))
        with pool, suppress(BrokenProcessPool):
            futures = {pool.submit(_bounded, arguments): k for k, arguments in todo.items()}
            try:
                for future in as_completed(list(futures)):
                    k = futures.pop(future)
                    made[k] = future.result()
                    done(made[k])
            except BaseException:  # Ctrl-C too: what has not begun is not begun
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                gc.unfreeze()
    return made


_work: Callable[..., object]
"""What a process does: inherited by the fork, where it would be pickled with every piece of work otherwise."""


def _begin(work: Callable[..., object]) -> None:
    global _work
    _work = work
    # Who is killed takes these processes along: else they would write on, beside those of the next run.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data() + MEMORY
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process, whatever library it is in


def _data() -> int:
    """Bytes of data of this process, as RLIMIT_DATA counts them: an index of a million files is born with gigabytes."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()


def _bounded(arguments: tuple):
    signal.alarm(SECONDS)
    try:
        return _work(*arguments)
    except MemoryError:
        signal.raise_signal(signal.SIGKILL)  # as the system itself would end it
    finally:
        signal.alarm(0)
