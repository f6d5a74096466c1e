"""Damaged DICOM files by the hundred: every way a disk, a network or a bad writer can break one."""

import io
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from dicom_files import LOSSLESS, LOSSY, SIGMOID_RECIPE, make_dicom
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate

from mammoseg.datasets.registry import importer_for
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.index.build_index import index_release
from mammoseg.index.index_files import write_index
from mammoseg.plan.shard_images import images_of_shard, write_shards
from mammoseg.rebuild.code_versions import Code
from mammoseg.render.shards import inject_shard, render_shard
from mammoseg.runtime.files import read_csv, write_csv

NATIVE = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
SYNTAXES = (*NATIVE, uid.RLELossless, *LOSSLESS, *LOSSY)
WAYS = ("truncated", "bits", "length", "size", "nested", "bomb", "zeros")
"""How a file is damaged; `bits` alone may hit what nobody can see: a pixel, or the value of an attribute."""


@dataclass(frozen=True)
class Damaged:
    """A damaged file, the intact one, and whether the damage is one of structure: then it must not pass for another picture."""

    data: bytes
    intact: bytes
    way: str
    structural: bool


def intact_file(syntax: uid.UID, number: int, windowed: bool) -> bytes:
    """A small mammogram with an own SOP instance UID, encoded in `syntax`."""
    rng = np.random.default_rng(number)
    rows, columns = 96 + number % 7, 80 + number % 5
    y, x = np.mgrid[:rows, :columns]
    breast = ((x / 60) ** 2 + ((y - rows / 2) / 40) ** 2 < 1) * (800 + 2 * x + 3 * y)
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    pixels = np.where(breast > 0, np.clip(breast + rng.normal(0, 20, breast.shape), 0, 4095), 0).astype(np.uint16)
    if bits == 8:
        pixels = (pixels >> 4).astype(np.uint8)
    window = {"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits} if windowed else {}
    ds = make_dicom(pixels, bits, syntax if syntax in NATIVE else uid.ExplicitVRLittleEndian, **window)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.{number}"
    ds.PatientName, ds.StudyDate, ds.ImageLaterality = "Some^Body", "20200101", "L"
    if syntax == uid.RLELossless:
        ds.compress(syntax)
    elif syntax not in NATIVE:
        frame = LOSSLESS[syntax](pixels, bits) if syntax in LOSSLESS else LOSSY[syntax](pixels)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([frame])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def damaged_files(number: int, seed: int = 0) -> Iterator[Damaged]:
    """`number` damaged files, over all syntaxes and ways in turn."""
    rng = np.random.default_rng(seed)
    for k in range(number):
        syntax, way = SYNTAXES[k % len(SYNTAXES)], WAYS[k // len(SYNTAXES) % len(WAYS)]
        intact = intact_file(syntax, k, windowed=bool(rng.random() < 0.6))
        data, structural = globals()[f"_{way}"](bytearray(intact), rng)
        yield Damaged(bytes(data), intact, way, structural)


def _values(data: bytes) -> list[tuple[int, int]]:
    """Where the values of top-level attributes stand, the pixels included: (start, stop)."""
    ds = pydicom.dcmread(io.BytesIO(bytes(data)))
    if ds.file_meta.TransferSyntaxUID == uid.DeflatedExplicitVRLittleEndian:
        return [
            (144 + int.from_bytes(data[140:144], "little"), len(data))
        ]  # deflate has no checksum: all of it may be pixels
    found = []
    for tag in ds.keys():  # noqa: SIM118 - a dataset iterates over its elements, and would convert them
        raw = ds.get_item(tag)
        if not isinstance(raw, RawDataElement):  # a sequence or what pydicom has looked at itself: counts as structure
            continue
        start, length = raw.value_tell, raw.length
        if length == 0xFFFFFFFF:  # encapsulated: an empty offset table, then one frame, then the end
            start, length = start + 16, len(data) - start - 24
        found.append((start, start + length))
    return found


def _truncated(data, rng):
    return data[: rng.integers(0, len(data))], True


def _bits(data, rng):
    values = _values(data)
    at = rng.integers(0, len(data), rng.integers(1, 8))
    if rng.random() < 0.5:
        at %= min(len(data), 1200)  # the header is small beside the pixels
    for a in at:
        data[a] ^= 1 << rng.integers(0, 8)
    return data, not any(start <= a < stop for a in at for start, stop in values) and all(a >= 132 for a in at)


def _length(data, rng):
    """The length of one attribute is wrong, by a little or absurdly."""
    values = [v for v in _values(data) if 200 < v[0] < len(data)]
    if not values:
        return _truncated(data, rng)
    start, _ = values[rng.integers(len(values))]
    wide = data[start - 4 : start - 2] not in (b"UI", b"CS", b"US", b"DS", b"PN", b"DA", b"LO", b"IS", b"SH")
    wrong = int(rng.choice([0, 1, 2, 7, 64, 65534, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF]))
    if wide:
        data[start - 4 : start] = struct.pack("<I", wrong)
    else:
        data[start - 2 : start] = struct.pack("<H", wrong & 0xFFFF)
    return data, True


def _size(data, rng):
    """Rows or Columns are absurd."""
    tag, value = (b"\x28\x00\x10\x00", b"\x28\x00\x11\x00")[rng.integers(2)], rng.choice([0, 1, 30000, 65535])
    at = data.find(tag)
    if at < 0:
        return _truncated(data, rng)
    data[at + 8 : at + 10] = struct.pack("<H", value)
    return data, True


def _nested(data, rng):
    """Sequences in sequences, thousands deep and never closed, somewhere before the pixels."""
    sequence = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    meta = 144 + int.from_bytes(data[140:144], "little")
    pixels = max(start for start, _ in _values(data)) - 12
    at = meta if rng.random() < 0.5 else rng.integers(meta, max(pixels, meta + 1))
    return data[:at] + sequence * int(rng.integers(1, 20_000)), True


@lru_cache
def _packed_zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(megabytes)) + packer.flush()


def _bomb(data, rng):
    """A deflated file that unpacks to more than the memory may hold."""
    ds = make_dicom(np.zeros((8, 8), np.uint16), 12, uid.DeflatedExplicitVRLittleEndian)
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    head = file.getvalue()
    zeros = _packed_zeros(int(rng.choice([50, 500, 3000])))
    return head[: 144 + int.from_bytes(head[140:144], "little")] + zeros, True


def _zeros(data, rng):
    """A lost cluster: a stretch of zeros."""
    start = int(rng.integers(0, len(data)))
    stop = min(len(data), start + int(rng.choice([16, 512, 4096])))
    values = _values(data)
    data[start:stop] = bytes(stop - start)
    return data, not any(a < stop and start < b for a, b in values) and start >= 132


def outcomes(files: list[Damaged], folder: Path, workers: int = 2) -> dict[str, list[str]]:
    """What became of each file, through index, injection and rendering, beside its intact twin: a word or a reason, by way.

    ``same`` and ``other``: rendered like the intact twin, or otherwise; ``WRONG``: otherwise although its structure is
    damaged; ``LOST``: in no table.
    """
    code = Code("corrupted", frozenset({"corrupted"}))
    recipe = {"side": 64, "mask_share": 0.5, "orient": "as_is", "windowing": {"prefer": "lut", "item": 1}}
    rendered = {}
    for kind in ("intact", "data"):
        place = folder / kind
        place.mkdir(parents=True)
        for k, file in enumerate(files):
            (place / f"{k:04d}.dcm").write_bytes(getattr(file, kind))
        rows = [{"image": f"{k:04d}.dcm", "patient": str(k)} for k in range(len(files))]
        write_csv(place / "manifest.csv", ("image", "patient"), rows)
        importer = importer_for("manifest", place)
        index = index_release(
            importer, dataset="d", site="s", key=b"k" * 32, code=code, seen=[], rendered_sha256={}.get, workers=workers
        )
        write_index(index, place, place)
        shard = {r["image_id"]: "predict-0" for r in index.rows}
        write_shards(place / "index.csv", place / "sources.csv", shard, place / "shards")
        images = images_of_shard(place / "shards/predict-0.csv")
        inject_shard(images, importer, place / "injected", MissingWindowing(SIGMOID_RECIPE), code, workers)
        render_shard(images, importer, place / "injected", place / "png", recipe, code, workers)
        names = {s["image_id"]: int(s["path"][:4]) for s in index.sources}
        rendered[kind] = {int(x.path[:4]): x.reason for x in index.excluded if x.path[:4].isdigit()}
        rendered[kind] |= {names[r["image_id"]]: r for r in read_csv(place / "png/manifest.csv")}
    found = defaultdict(list)
    for k, file in enumerate(files):
        intact, now = rendered["intact"][k], rendered["data"].get(k, "LOST")
        assert intact["status"] == "ok", (k, intact)
        if not isinstance(now, str):
            same = now["png_sha256"] == intact["png_sha256"]
            now = (
                now["status"] if now["status"] != "ok" else "same" if same else "WRONG" if file.structural else "other"
            )
        found[file.way].append(now)
    return dict(found)
