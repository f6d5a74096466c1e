"""Scores and statistics of a large study: time and memory, one core and two.

    python benchmarks/scoring.py --folder FOLDER [--scored 2000] [--cases 10000] [--models 8]

Cases have true sizes (3328 x 2560, square of 512): a hundred distinct ones, under names of their own by hard links. One model is
scored on one core, then two models on two; the statistics run on tables of all models and cases, made from these scores by
repetition and noise.
FOLDER must not exist, or be empty.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from _bench import new_folder

from mammoseg.evaluation.score_dataset import COLUMNS, score_cases, write_outputs
from mammoseg.images.letterbox import Letterbox
from mammoseg.images.png import write_png
from mammoseg.prediction.predict_dataset import COLUMNS as PREDICTED
from mammoseg.rebuild.code_versions import Code
from mammoseg.rebuild.digests import sha256
from mammoseg.render.shards import RENDERED
from mammoseg.runtime.files import read_csv, write_csv
from mammoseg.tables import breakdowns, comparisons, detection, questions, trust

ROWS, COLUMNS_, SIDE, FOLDS, DISTINCT = 3328, 2560, 512, 5, 100
RECIPE = {"threshold": 0.5, "min_iou": 0.2, "centre_inside": True}
STATISTICS = {"margin": 0.05, "alpha": 0.05, "resamples": 9999, "sizes_mm": [10, 20, 30], "seed": 1}
CODE = Code("1", frozenset({"1"}))
DATASETS = {"site": {"importer": "manifest", "role": "external", "phantom": False}}


def make_case(folder: Path, k: int) -> dict:
    """One of the distinct cases: three of four hold a mass of 5 to 35 mm, met more or less; one alarm in two is false."""
    draw = np.random.default_rng(k)
    box = Letterbox(ROWS, COLUMNS_, SIDE, True)
    mask = np.zeros((ROWS, COLUMNS_), np.uint8)
    probability = np.zeros((SIDE, SIDE), np.float32)
    if k % 4:
        centre, radius = draw.integers((400, 600), (1600, 2700)), draw.uniform(36, 250)
        cv2.circle(mask, centre.tolist(), round(radius), 1, -1)
        found = (centre * SIDE / ROWS + draw.normal(0, radius / 60, 2)).round().astype(int)
        cv2.circle(probability, found.tolist(), max(1, round(radius * SIDE / ROWS * draw.uniform(0.6, 1.3))), 1, -1)
    if draw.random() < 0.5:
        cv2.circle(probability, draw.integers(50, 350, 2).tolist(), int(draw.integers(3, 20)), 0.8, -1)
    probability = cv2.GaussianBlur(probability, (0, 0), 4)
    votes = sum((probability >= t).astype(np.uint8) << f for f, t in enumerate(draw.uniform(0.3, 0.7, FOLDS)))
    files = {
        "mask": box.mask(mask > 0) * np.uint8(255), "reference": mask > 0, "map": np.rint(65535 * probability).astype(np.uint16),
        "votes": votes,
    }  # fmt: skip
    for name, array in files.items():
        write_png(folder / f"{k}_{name}.png", array)
    size = 2 * radius * 0.07 if k % 4 else 0
    return {"size": f"{size:.2f}" if size else ""} | {n: sha256(folder / f"{k}_{n}.png") for n in files}


def make_study(folder: Path, cases: int) -> None:
    """Two models' predictions, and the shards."""
    distinct = [make_case(folder / "distinct", k) for k in range(DISTINCT)]
    shard, predicted = [], []
    for name in ("png", "a", "b"):
        (folder / name).mkdir()
    for i in range(cases):
        k, image_id = i % DISTINCT, f"{i:012x}"
        masses = "1" if k % 4 else "0"
        facts = {"image_id": image_id, "patient_id": f"p{i // 4}", "part": "external"}
        links = {f"png/{image_id}_mask.png": "mask"} | ({f"png/{image_id}_reference.png": "reference"} if k % 4 else {})
        links |= {f"{m}/{image_id}{e}.png": f for m in "ab" for e, f in (("", "map"), ("_votes", "votes"))}
        for target, name in links.items():
            os.link(folder / f"distinct/{k}_{name}.png", folder / target)
        shard.append(facts | {
            "laterality": "LR"[i % 2], "view": ("CC", "MLO")[i // 2 % 2], "pixel_spacing_mm": "0.07", "n_masses": masses,
            "status": "ok", "rows": ROWS, "columns": COLUMNS_, "side": SIDE, "pad_right": 1, "mirrored": 0,
            "mask_sha256": distinct[k]["mask"], "reference_sha256": distinct[k]["reference"] if k % 4 else "",
            "largest_mass_mm": distinct[k]["size"],
        })  # fmt: skip
        predicted.append(facts | {"png_sha256": distinct[k]["map"], "votes_sha256": distinct[k]["votes"]})
    write_csv(folder / "png/manifest.csv", RENDERED, shard)
    for m in "ab":
        write_csv(folder / m / "manifest.csv", PREDICTED, predicted)


def score(folder: Path, model: str) -> tuple[int, int]:
    memory = folder / f".{model}.csv"
    _, scored = score_cases(
        folder / model / "manifest.csv", [folder / "png/manifest.csv"], RECIPE, 4, FOLDS, CODE, memory
    )
    write_outputs(memory, *(folder / f"{model}{end}" for end in (".csv", ".lesions.csv", ".trust.json")))
    return scored, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def timed(what: str, function: Callable, *arguments) -> object:
    start = time.perf_counter()
    made = function(*arguments)
    print(f"{what:58} {time.perf_counter() - start:8.1f} s", flush=True)
    return made


def repeated(rows: list[dict], times: int) -> list[dict]:
    """Rows of as many studies, each with images and patients of its own."""
    return [{**r, **{k: f"{t}-{r[k]}" for k in ("image_id", "patient_id")}} for t in range(times) for r in rows]


def statistics(folder: Path, times: int, models: int) -> None:
    """All tables of evidence, of `models` models that differ from the one that was scored by noise."""
    rows, lesions = (repeated(read_csv(folder / name), times) for name in ("a.csv", "a.lesions.csv"))
    print(f"{len(rows)} cases, {models} models")
    counted = json.loads((folder / "a.trust.json").read_text())
    draw = np.random.default_rng(0)
    specs = {
        f"m{k}": [{"model": {"encoder": f"e{k // 2 % 2}", "decoder": f"d{k % 2}", "weights": f"w{k // 4}", "stem": "dense"},
                   "weights_used": f"w{k // 4}", "recipe": {"training": {}, "seed": 1}}]
        for k in range(models)
    }  # fmt: skip
    scores = {}
    for m in specs:
        noise = draw.normal(0, 0.05, len(rows))
        scores["site", m] = [
            {**r, "dice": str(min(1.0, max(0.0, float(r["dice"]) + e)))} if r["dice"] else r
            for r, e in zip(rows, noise, strict=True)
        ]
    given = scores, specs, DATASETS, STATISTICS
    timed("intervals", comparisons.interval_rows, scores, specs, DATASETS, True, STATISTICS)
    timed("comparisons of every pair", comparisons.comparison_rows, *given)
    timed("answers", questions.answer_rows, *given)
    timed("ensembles", questions.ensemble_rows, *given)
    timed("components of variance", questions.variance_rows, *given[:-1])
    extras = {"site": {r["image_id"]: {"pathology": ("benign", "malignant")[len(r["patient_id"]) % 2]} for r in rows}}
    timed("breakdowns", breakdowns.breakdown_rows, scores, specs, DATASETS, extras, {}, {**STATISTICS, "side": 512})
    of_models = dict.fromkeys(scores, lesions)
    timed("detection", detection.detection_rows, scores, of_models, specs, DATASETS, STATISTICS)
    timed("trust", trust.trust_rows, scores, dict.fromkeys(scores, counted), specs, DATASETS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--scored", type=int, default=2_000)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=8)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    folder = new_folder(given.folder)
    print(f"{given.scored} cases, {len(COLUMNS)} columns of scores")
    timed("(making the files)", make_study, folder, given.scored)
    start = time.perf_counter()
    with ProcessPoolExecutor(1) as pool:
        scored, memory = pool.submit(score, folder, "a").result()
    one = time.perf_counter() - start
    print(f"one model, one core {one:49.1f} s, {1000 * one / scored:.1f} ms a case, {memory} MB")
    with ProcessPoolExecutor(1) as pool:
        scored, memory = timed("again, all kept", lambda: pool.submit(score, folder, "a").result())
    assert scored == 0
    for m in "ab":
        (folder / f".{m}.csv").unlink(missing_ok=True)
    start = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(score, [folder] * 2, "ab"))
    two = time.perf_counter() - start
    print(f"two models, two cores {two:47.1f} s, {2 * one / two:.2f} x one core")
    statistics(folder, given.cases // given.scored, given.models)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
