"""Makes a rule fail, for tests: put first on PYTHONPATH, it ends the script of any rule named by a file fail_<rule>."""

import sys
from pathlib import Path

for _flag in Path.cwd().glob("fail_*"):
    if sys.argv[0].endswith(f".{_flag.name.removeprefix('fail_')}.py"):
        sys.stderr.write("made to fail\n")
        sys.exit(1)
