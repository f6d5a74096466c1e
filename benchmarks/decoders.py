"""Which decoder reads which transfer syntax, and how fast: the reason for the order in src/mammoseg/dicom/decode.py.

    python benchmarks/decoders.py

One 3328 x 2560, 12-bit phantom with noise; the quickest of three, one core, one thread. Decoders that are no dependencies
of ours (pylibjpeg-libjpeg) are measured where they are installed.
"""

import os
import tempfile
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1"}

import numpy as np
import pydicom
from pydicom.pixels import get_decoder
from rendering import SYNTAXES, phantom, write

from mammoseg.dicom.decode import ORDER


def main() -> None:
    os.sched_setaffinity(0, {0})
    pixels = phantom()
    for name, syntax in SYNTAXES.items():
        if not syntax.is_encapsulated:
            continue
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "a.dcm", pixels, syntax)
            ds = pydicom.dcmread(Path(folder) / "a.dcm")
        decoder = get_decoder(syntax)
        for plugin in (p for p in ORDER if p in decoder.available_plugins):
            best = float("inf")
            try:
                for _ in range(3):
                    start = time.perf_counter()
                    array, _ = decoder.as_array(ds, index=0, raw=True, decoding_plugin=plugin)
                    best = min(best, time.perf_counter() - start)
            except Exception:  # each library raises its own
                print(f"{name:20s} {plugin:12s}  refuses")
                continue
            off = np.abs(array.astype(int) - pixels).max()
            print(f"{name:20s} {plugin:12s} {1000 * best:6.0f} ms   greatest difference {off}")


if __name__ == "__main__":
    main()
