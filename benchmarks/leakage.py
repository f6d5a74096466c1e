"""How well copies are found: hits, false alarms, time and memory of `mammoseg.images.similarity` and `mammoseg.plan.leakage`.

    PYTHONPATH=src python benchmarks/leakage.py [--million] [folder ...]

Looks at phantoms of 60 patients, and at the mammograms of each folder: those of its manifest.csv (columns image, patient; see
the README), or, where there is none, all its pictures, whose names then start with the patient and an underscore. Folders
share patients of the same name. `--million` also searches a million random signatures.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from mammoseg.datasets.pictures import is_picture, read_picture
from mammoseg.dicom.render_file import render_file
from mammoseg.images.breast import chest_wall_on_left
from mammoseg.images.letterbox import Letterbox
from mammoseg.images.similarity import BITS, correlation, signature
from mammoseg.phantom import Site
from mammoseg.plan import leakage
from mammoseg.runtime.files import read_csv

SIDE = 512
PATIENTS = 60
PLANTED = 20 * (leakage.ALIKE + 1)  # twenty at each distance
SAMPLE = 3000  # pairs whose correlation is looked at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--million", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.million:
        search_a_million()  # first, while the peak of memory is its own
    report("phantoms", list(phantoms()))
    if arguments.folders:
        report("folders", [named for folder in arguments.folders for named in mammograms(folder)])


def search_a_million(n: int = 1_000_000) -> None:
    """Search random signatures of different patients in five places, with copies planted at known distances."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**64, (n, BITS // 64), dtype=np.uint64)
    for k in range(PLANTED):
        flips = np.zeros(BITS, bool)
        flips[rng.permutation(BITS)[: k % (leakage.ALIKE + 1)]] = True
        codes[n - 1 - k] = codes[k] ^ np.packbits(flips).view(np.uint64)
    digests = rng.bytes(32 * n).hex()
    records = [
        leakage.Rendered(
            f"{i:024x}", f"{n + i:024x}", f"fold {i % 5 if i < n // 2 else (n - 1 - i) % 5 + 1}",
            digests[64 * i : 64 * i + 64], codes[i].tobytes().hex(), Path(f"results/site/shards/{i % 1000:04d}/{i:024x}.png"),
        )
        for i in range(n)
    ]  # fmt: skip
    del codes, digests
    image = next(phantoms())[1]
    start = time.perf_counter()
    copies = leakage.find_copies(records, lambda _: image)
    seconds = time.perf_counter() - start
    planted = {(f"{k:024x}", f"{n - 1 - k:024x}") for k in range(PLANTED)}
    found = {(c.image_a, c.image_b) for c in copies}
    missed = sorted(int(a, 16) % (leakage.ALIKE + 1) for a, _ in planted - found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{n} random records: {seconds:.0f} s, peak {peak:.2f} GiB; of {PLANTED} planted copies {len(missed)} missed")
    print(f"  (of those at these distances: {missed}); {len(found - planted)} others found\n", flush=True)


def phantoms() -> Iterator[tuple[str, np.ndarray]]:
    """(patient, image) of both synthetic sites, four images a patient."""
    for layout, seed in (("oulu", 3), ("inbreast", 4)):
        site = Site(layout, seed, 640, 512)
        for number in range(1, PATIENTS // 2 + 1):
            for _, image in zip(range(4), site.images(site.patient(number)), strict=False):
                yield f"{layout} {number}", letterboxed(image.stored(65535))


def mammograms(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(patient, image) of all mammograms of a folder."""
    if (folder / "manifest.csv").exists():
        named = [(row["patient"], folder / row["image"]) for row in read_csv(folder / "manifest.csv")]
    else:
        named = [(path.name.split("_")[0], path) for path in sorted(folder.iterdir()) if is_picture(path)]
    for patient, path in named:
        yield patient, letterboxed(read_picture(path) if is_picture(path) else render_file(path)[0])


def letterboxed(pixels: np.ndarray) -> np.ndarray:
    """As the workflow renders it."""
    return Letterbox(*pixels.shape, SIDE, pad_right=chest_wall_on_left(pixels)).image(pixels)


def report(name: str, named: list[tuple[str, np.ndarray]]) -> None:
    """Print false alarms among the images as they are, and the hits for each change of each image."""
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    signatures = [signature(image) for _, image in named]
    print(f"{name}: {len(named)} images, {1000 * (time.perf_counter() - start) / len(named):.1f} ms a signature")

    others = [(i, j) for i, j in combinations(range(len(named)), 2) if named[i][0] != named[j][0]]
    bits = np.array([distance(signatures[i], signatures[j]) for i, j in others])
    sample = np.concatenate([np.argsort(bits)[:SAMPLE], rng.permutation(len(others))[:SAMPLE]])
    closest, any_ = np.split(np.array([correlation(*(named[i][1] for i in others[k])) for k in sample]), 2)
    copies = leakage.find_copies(records_of(named, signatures), lambda path: named[int(path.name)][1])
    candidates = (bits <= leakage.ALIKE).sum()
    print(f"  {len(others)} pairs of different patients: {candidates} candidates, {len(copies)} false alarms")
    print(f"  bits {bits.mean():.0f} ± {bits.std():.0f}, least {bits.min()}; ", end="")
    print(f"correlation of {SAMPLE} pairs {any_.mean():.2f} ± {any_.std():.2f}, most {any_.max():.2f}, ", end="")
    print(f"of those with the closest signatures {closest.max():.2f}")

    for change, function in CHANGES.items():
        changed = [(f"copy of {patient}", function(image)) for patient, image in named]
        both = named + changed
        texts = signatures + [signature(image) for _, image in changed]
        copies = leakage.find_copies(records_of(both, texts), lambda path, both=both: both[int(path.name)][1])
        pairs = {(int(c.image_a), int(c.image_b) - len(named)) for c in copies if c.place_b.startswith("copy")}
        wrong = sum(named[i][0] != named[j][0] for i, j in pairs)
        bits = np.array([distance(a, b) for a, b in zip(signatures, texts[len(named) :], strict=True)])
        same = np.array([correlation(a, b) for (_, a), (_, b) in zip(named, changed, strict=True)])
        hit = np.array([(i, i) in pairs for i in range(len(named))])
        lost = ((bits <= leakage.ALIKE) & (same >= leakage.SAME) & ~hit).sum()
        print(f"  {change:34} {hit.sum():4} found, {(~hit).sum():3} missed ({lost} by the search), ", end="")
        print(f"{wrong} wrong; bits: median {np.median(bits):2.0f}, 95 % {np.quantile(bits, 0.95):3.0f}, ", end="")
        print(f"most {bits.max():3};", end="")
        print(f" correlation: 5 % {np.quantile(same, 0.05):.2f}", flush=True)
    print()


def records_of(named: list[tuple[str, np.ndarray]], signatures: list[str]) -> Iterator[leakage.Rendered]:
    """Every patient in a place of her own; no digest, so that all is found by likeness."""
    for i, ((patient, _), text) in enumerate(zip(named, signatures, strict=True)):
        yield leakage.Rendered(f"{i:06d}", patient, patient, "", text, Path(str(i)))


def distance(a: str, b: str) -> int:
    """Bits in which two signatures differ; half of them where one is empty."""
    return (int(a, 16) ^ int(b, 16)).bit_count() if a and b else BITS // 2


def toned(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A change of grey values; `function` maps shares 0..1 to shares."""
    table = np.rint(65535 * np.clip(function(np.linspace(0, 1, 65536)), 0, 1)).astype(np.uint16)
    return lambda image: table[image]


def sigmoid(share: np.ndarray) -> np.ndarray:
    s = 1 / (1 + np.exp(-8 * (share - 0.4)))
    return (s - s.min()) / (s.max() - s.min())


def jpeg(image: np.ndarray, quality: int = 80) -> np.ndarray:
    encoded = cv2.imencode(".jpg", np.rint(image / 257).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) * np.uint16(257)


def mirrored(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1])


def smaller(image: np.ndarray, share: float = 0.9) -> np.ndarray:
    """The picture at a share of its size, at the chest wall's side of a black square."""
    small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    gap = len(image) - len(small)
    left = 0 if chest_wall_on_left(image) else gap
    return cv2.copyMakeBorder(small, 0, gap, left, gap - left, cv2.BORDER_CONSTANT, value=0)


def coarser(image: np.ndarray) -> np.ndarray:
    """Through a picture of half the side."""
    return cv2.resize(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), image.shape)


def bordered(image: np.ndarray) -> np.ndarray:
    """A black border of another width on each side, then resized to the old side."""
    return cv2.resize(
        cv2.copyMakeBorder(image, 20, 50, 40, 30, cv2.BORDER_CONSTANT, value=0),
        image.shape,
        interpolation=cv2.INTER_AREA,
    )


def shifted(image: np.ndarray, columns: int, rows: int = 3) -> np.ndarray:
    """Moved away from the chest wall by `columns`; where that is negative, tissue there is cut off."""
    columns = columns if chest_wall_on_left(image) else -columns
    return cv2.warpAffine(image, np.float32([[1, 0, columns], [0, 1, rows]]), image.shape)


CHANGES = {
    "gamma 0.5": toned(lambda share: share**0.5),
    "gamma 2": toned(lambda share: share**2),
    "sigmoid": toned(sigmoid),
    "window of 5..70 %": toned(lambda share: (share - 0.05) / 0.65),
    "window of 15..80 %": toned(lambda share: (share - 0.15) / 0.65),
    "8 bit": lambda image: np.rint(image / 257).astype(np.uint8),
    "JPEG 80": jpeg,
    "JPEG 50": lambda image: jpeg(image, 50),
    "mirrored": mirrored,
    "resized to 90 %": smaller,
    "through half the side": coarser,
    "black border": bordered,
    "shifted by 5 pixels": lambda image: shifted(image, 5),
    "cut by 5 pixels at the chest wall": lambda image: shifted(image, -5),
    "cut by 10 pixels at the chest wall": lambda image: shifted(image, -10),
    "gamma 1.5, mirrored, 93 %, JPEG 70": lambda image: jpeg(
        smaller(mirrored(toned(lambda share: share**1.5)(image)), 0.93), 70
    ),
}

if __name__ == "__main__":
    main()
