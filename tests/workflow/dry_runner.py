"""Runs Snakemake in forks of a process that has imported it already: one dry run in half the time.

As a program: reads one JSON list of [folder, arguments] per line, answers with a line of [status, output].
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path


class DryRunner:
    """A process that answers `run` with what a dry run printed."""

    def __enter__(self):
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self.process = subprocess.Popen(
            [sys.executable, __file__], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def run(self, folder: Path, *arguments) -> tuple[int, str]:
        """Exit status and output of ``snakemake ARGUMENTS``, run in `folder`."""
        self.process.stdin.write(json.dumps([str(folder), [str(a) for a in arguments]]) + "\n")
        self.process.stdin.flush()
        return tuple(json.loads(self.process.stdout.readline()))


def planned_jobs(output: str) -> Counter:
    """The table of jobs that a dry run prints, without its sum and the target itself."""
    import re

    rows = re.findall(r"^(\w+) +(\d+)$", output, re.M)
    return Counter({name: int(n) for name, n in rows if name not in ("total", "all")})


def _serve() -> None:
    import tempfile

    from snakemake.cli import main

    for line in sys.stdin:
        folder, arguments = json.loads(line)
        with tempfile.TemporaryFile("w+") as out:
            pid = os.fork()
            if pid == 0:
                os.chdir(folder)
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                try:
                    main(arguments)
                    status = 0
                except SystemExit as end:
                    if isinstance(end.code, str):
                        print(end.code)
                    status = int(bool(end.code))
                sys.stdout.flush()
                os._exit(status)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            out.seek(0)
            print(json.dumps([status, out.read()]), flush=True)


if __name__ == "__main__":
    _serve()
