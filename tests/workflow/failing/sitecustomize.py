"""Makes a rule fail, or kills its run, for tests: put first on PYTHONPATH, it acts in the script of a rule that a file names.

fail_<rule>: the script ends with an error. kill_<rule>: after as many seconds as the file says, the whole run is killed.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path


def _kill(flag: Path) -> None:
    time.sleep(float(flag.read_text()))
    flag.unlink()
    os.killpg(0, signal.SIGKILL)


for _flag in [*Path.cwd().glob("fail_*"), *Path.cwd().glob("kill_*")]:
    if sys.argv[0].endswith(f".{_flag.name[5:]}.py"):
        if _flag.name.startswith("fail"):
            sys.stderr.write(f"{_flag.name[5:]} is made to fail\n")
            sys.exit(1)
        threading.Thread(target=_kill, args=(_flag,), daemon=True).start()
