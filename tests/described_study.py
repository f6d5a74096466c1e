"""A small study as the methods text sees it, in which everything happens that may."""

import re

from mammoseg.methods.recipe import methods_recipe
from mammoseg.methods.text import MethodsStudy, count_study, methods_text
from mammoseg.study import Study

RAW = "it is raw detector data (FOR PROCESSING), not meant to be shown"


def image(name, masses="1", view="CC", spacing="0.1", windowing="voi_lut", **rendered):
    """Row of an index and of a manifest of image `name`, whose first letter is its patient."""
    row = {
        "image_id": f"id-{name}",
        "n_masses": masses,
        "view": view,
        "pixel_spacing_mm": spacing,
        "patient_id": f"patient-{name[0]}",
    }
    return row, {
        "image_id": row["image_id"],
        "status": "ok",
        "explanation": "",
        "windowing": windowing,
        "mirrored": "0",
    } | rendered


def ours():
    """A training archive in which everything happens that may."""
    broken = {"status": "undecodable", "explanation": "no installed decoder can read its pixels"}
    return [
        image("a1", "2"), image("a2", "0", "MLO"), image("b1", view="MLO", windowing="window"), image("b2", **broken),
        image("c1", spacing="0.07"), image("c2"), image("d1", windowing="injected", mirrored="1"), image("d2", "0", windowing="injected"),
        image("e1", spacing=""), image("f1", ""), image("w1"), image("w2"),
    ]  # fmt: skip


def theirs():
    return [
        image("x1", view="", spacing="", windowing="injected"),
        image("y1", view="", spacing="", windowing="injected"),
    ]


PLACES = {
    "a": ("train", "0"), "b": ("train", "1"), "c": ("train", "1"), "d": ("holdout", ""), "e": ("new", ""), "f": ("train", "0"),
    "x": ("external", ""), "y": ("external", ""),
}  # fmt: skip
EXCLUDED = [
    {"reason": "for_processing", "explanation": RAW},
    {"reason": "mask_size", "explanation": "a mask has 5 x 6 pixels"},
    {"reason": "mask_size", "explanation": "a mask has 4 x 6 pixels"},
]


class Small:
    """A small study: what its files hold, and the text that is made of them.

    Attributes
    ----------
    config : dict
        config/config.yaml with two data sets of our own.
    rows, excluded : dict of data set to rows
    places : dict of patient's letter to (role, fold)
    waiting : set of image ids
    missing : bool
        Whether the weights that the config asks for could not be had.
    cost, hardware, commit, versions, best : what model.json says; `best` by fold
    """

    def __init__(self, config, schema):
        self.config, self.schema = config, schema
        config["datasets"] = [
            {"name": "ours", "importer": "manifest", "root": "/secret/ours", "role": "train"},
            {"name": "theirs", "importer": "inbreast", "root": "/secret/theirs", "role": "external"},
        ]
        config["splits"]["folds"] = 2
        config["training"]["workers"] = 0
        config["weights"]["gmic"]["file"] = "/secret/weights.p"
        self.rows = {"ours": ours(), "theirs": theirs()}
        self.excluded = {"ours": EXCLUDED, "theirs": []}
        self.places = dict(PLACES)
        self.waiting = {"id-c2", "id-e1"}
        self.missing = False
        self.cost = {"seconds": 3000.0, "peak_memory_mb": 1480.0, "device": "cpu", "resumed": 0}
        self.hardware = [
            {"system": "Linux x86_64", "processor": "Some CPU", "cores": 4, "threads": 2, "precision": "32-true"}
        ]
        self.commit = "0123456789abcdef0123"
        self.versions = {"python": "3.11.7", "mammoseg": "0.1.0", "torch": "2.1.0", "solt": "0.2.1"}
        self.best = [7, 9]
        self.shuffle = lambda rows: list(rows)

    def models(self, study):
        people = {"a": ["patient-a"], "b": ["patient-b", "patient-c"]}
        found = {}
        for name, m in study.models.items():
            recipe = study.training_recipe(name)
            found[name] = [
                {
                    "model": m.spec,
                    "weights_used": "random" if self.missing else m.weights,
                    "recipe": recipe,
                    "normalisation": {"mean": 0.25 + fold / 100, "sd": 0.2},
                    "best_epoch": self.best[fold],
                    "parameters": {"encoder": 1_000_000, "decoder": 234_567, "total": 1_234_567},
                    "cost": self.cost,
                    "hardware": self.hardware,
                    "patients": {
                        "training": people["b" if fold == 0 else "a"],
                        "validation": people["a" if fold == 0 else "b"],
                    },
                    "versions": self.versions,
                    "commit": self.commit[str(fold)] if isinstance(self.commit, dict) else self.commit,
                }
                for fold in (0, 1)
            ]
        return found

    def text(self):
        study = Study(self.config, self.schema)
        counts = count_study(
            {d: self.shuffle(i for i, _ in rows) for d, rows in self.rows.items()},
            {d: self.shuffle(rows) for d, rows in self.excluded.items()},
            {d: self.shuffle(r for _, r in rows) for d, rows in self.rows.items()},
            self.shuffle(
                {"dataset": d, "patient_id": p, "role": self.places[p[-1]][0], "fold": self.places[p[-1]][1]}
                for d, rows in self.rows.items()
                for p in sorted({i["patient_id"] for i, _ in rows})
                if p[-1] in self.places
            ),
            self.waiting,
        )
        found = {"status": "random" if self.missing else "found", "source_sha256": "ab" * 32}
        weights = [
            {"weights": w, "encoder": e, "source": s} | found
            for w, e, s in (("gmic", "resnet22_gmic", "weights.p"), ("imagenet", "resnet34", "https://hub/r34"))
        ]
        recipe = methods_recipe(study)
        return methods_text(
            MethodsStudy(
                recipe["datasets"],
                recipe,
                counts,
                self.models(study),
                weights,
                8,
                {"pydicom": "3.0", "mammoseg": "0.1.0"},
            )
        )


def section(text, title):
    """The paragraphs of one section."""
    return re.search(rf"^## {title}\n\n(.*?)(?=\n## |\Z)", text, re.M | re.S)[1].strip().split("\n\n")


def is_sound(text):
    """No trace of a value that is missing, of a wrong plural, or of a sentence that was put together badly."""
    assert not re.search(r"\bNone\b|\bnan\b|\binf\b|\bTrue\b|\bFalse\b|[{}]|  | [.,;:]|\.\.|,,|\(\)|\( | \)", text)
    nouns = "image|patient|file|mass|epoch|network|core|pair|training|fold"
    assert not re.search(rf"(?<![\d,.])1 ({nouns.replace('mass', 'masse')})s\b", text)
    assert not re.search(rf"(?<![\d,.])(?!1 )\d[\d,]* ({nouns})\b(?!-)", text)
    for block in text.split("\n\n")[2:]:
        assert block.startswith(("## ", "- ")) or (block[0].isupper() and block[-1] == "."), block
