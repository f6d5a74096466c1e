"""Indexing a release of INbreast's true count and size: time and memory.

    python benchmarks/importing.py --folder FOLDER

410 files of 4084 x 3328 and 3328 x 2560 pixels, sparse: an index reads headers and outlines alone. FOLDER must not exist,
or be empty.
"""

import argparse
import plistlib
import subprocess
import sys
from pathlib import Path

import numpy as np
from _bench import ROOT, new_folder
from dicom_files import make_dicom

FILES, WITH_MASS, PATIENTS = 410, 107, 108
SIZES = ((4084, 3328), (3328, 2560))


def make_release(root: Path) -> None:
    for folder in ("AllDICOMs", "AllXML"):
        (root / folder).mkdir(parents=True)
    angle = np.linspace(0, 2 * np.pi, 200)
    rows = ["Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"]
    for k in range(FILES):
        number, patient, side, view = 20000000 + k, f"{k % PATIENTS:016x}", "LR"[k % 2], ("CC", "ML")[k // 2 % 2]
        size = SIZES[k % PATIENTS % 2]
        ds = make_dicom(np.zeros((2, 2), np.uint16), 16, Modality="OT", Rows=size[0], Columns=size[1])
        del ds.PixelData
        path = root / "AllDICOMs" / f"{number}_{patient}_MG_{side}_{view}_ANON.dcm"
        ds.save_as(path, enforce_file_format=True)
        length = 2 * size[0] * size[1]
        with path.open("ab") as f:
            f.write(b"\xe0\x7f\x10\x00OW\x00\x00" + length.to_bytes(4, "little"))
            f.truncate(f.tell() + length)
        rows.append(f"removed;removed;{side};{view};201001;{number};2;4a")
        if k < WITH_MASS:
            points = [f"({1500 + 200 * np.cos(a):.6f}, {1800 + 150 * np.sin(a):.6f})" for a in angle]
            regions = [{"Name": "Mass", "NumberOfPoints": len(points), "Point_px": points}]
            xml = plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": 1, "ROIs": regions}]})
            (root / "AllXML" / f"{number}.xml").write_bytes(xml)
    (root / "INbreast.csv").write_text("\r\n".join(rows) + "\r\n")


SCRIPT = """
import resource, sys, time
sys.path.insert(0, {src!r})
start = time.perf_counter()
from pathlib import Path
from mammoseg.rebuild.code_versions import Code
from mammoseg.datasets.registry import importer_for
from mammoseg.index.index_files import load_seen, write_index
from mammoseg.index.build_index import counts, index_release
root, out = Path({root!r}), Path({out!r})
for what in ("first", "again"):
    begin = time.perf_counter()
    index = index_release(importer_for("inbreast", root), dataset="d", site="s", key=b"k" * 32, code=Code("x", frozenset("x")),
                          seen=load_seen(out / "seen.jsonl"), rendered_sha256={{}}.get, workers=2)
    write_index(index, out, out)
    print(what, f"{{time.perf_counter() - begin:.2f}} s,", index.opened, "files opened,", counts(index))
peak = max(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e3
print(f"with imports {{time.perf_counter() - start:.2f}} s, peak memory of a process {{peak:.0f}} MB")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    folder = new_folder(parser.parse_args().folder)
    make_release(folder / "INbreast Release 1.0")
    (folder / "out").mkdir()
    script = SCRIPT.format(src=str(ROOT / "src"), root=str(folder / "INbreast Release 1.0"), out=str(folder / "out"))
    subprocess.run([sys.executable, "-c", script], check=True)


if __name__ == "__main__":
    main()
