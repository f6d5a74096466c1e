"""Two thousand damaged DICOM files through index, injection and rendering: what becomes of them.

    python benchmarks/corrupted.py [--files 2000] [--seed 0] --folder FOLDER

Each stands beside its intact twin. FOLDER must not exist, or be empty.
"""

import argparse
import resource
import time
from collections import Counter
from pathlib import Path

from _bench import new_folder
from corrupted_files import damaged_files, outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    folder = new_folder(given.folder)
    files = list(damaged_files(given.files, given.seed))
    start = time.perf_counter()
    found = outcomes(files, folder)
    seconds = time.perf_counter() - start
    for way, became in found.items():
        words = ", ".join(f"{n} {word}" for word, n in Counter(became).most_common())
        print(f"{way:10s} {len(became):4d}: {words}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"{len(files)} files and their twins in {seconds:.0f} s, peak memory of a process {peak:.2f} GB")
    bad = sum(word in ("WRONG", "LOST") for became in found.values() for word in became)
    print(f"pictures that differ although the structure is damaged, and files lost: {bad}")


if __name__ == "__main__":
    main()
