"""What a benchmark starts from: this checkout's library and the tests' file writers to import, and an empty folder to fill."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]


def new_folder(path: Path) -> Path:
    """Make a scratch folder; one that holds anything is refused, for a benchmark must not clear away what it did not make."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        sys.exit(f"{path} is there already, and not empty: name a folder that is not")
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()
