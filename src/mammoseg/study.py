"""The study: the checked config as one frozen object. Nothing else knows the config's shape.

Light on purpose: the Snakefile reads it again in every job.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema

from mammoseg.rebuild import digests
from mammoseg.runtime.errors import UserError

RESERVED = {
    "benchmarks", "figures", "fold", "leakage", "logs", "models", "pack", "phantoms", "private", "records", "tables",
    "tensorboard", "weights",
}  # fmt: skip
"""Names in results/ that a data set must not have."""


BESIDE = ("workers", "overlays_every")
"""Settings of the training that decide no value."""

READ_BY = {
    "sigmoid": ("center", "width", "entries"),
    "window": ("center", "width"),
    "mode": ("mode",),
    "percentiles": ("percentiles",),
    "file": (),
    "none": (),
}
"""Keys of image.voi_lut that each of its kinds reads, besides the explanation."""

ASKED = ("extend_cohort", "rebuild", "artefact", "patients")
"""Keys that ask something of one run, on its command line."""


@dataclass(frozen=True)
class DataSet:
    """One release: name, importer, root folder, role (train, external, predict), site, and how it is watched."""

    name: str
    importer: str
    root: Path
    role: str
    site: str
    listing: bool
    phantom: Mapping | None
    carry: tuple[str, ...] = ()
    max_excluded: float = 0.2
    where: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder that is watched for changes; `root` may name a manifest inside it."""
        return self.root.parent if self.root.suffix.lower() == ".csv" else self.root


@dataclass(frozen=True)
class Model:
    """One arm of the study.

    `training` is the config's section with this model's own values merged in, `seed` its own or the study's.
    """

    name: str
    encoder: str
    decoder: str
    weights: str
    stem: str
    training: Mapping
    seed: int

    @property
    def spec(self) -> dict:
        """What defines the network, as a plain mapping."""
        return {k: getattr(self, k) for k in ("name", "encoder", "decoder", "weights", "stem")}

    @property
    def weights_name(self) -> str | None:
        """Name of the weights file the encoder starts from; None for random values."""
        return None if self.weights == "random" else f"{self.weights}-{self.encoder}"


class Study:
    """The whole experiment of one config.

    Parameters
    ----------
    config : mapping
        The merged config, as Snakemake or YAML reads it. It is not changed.
    schema : mapping
        The closed JSON schema, workflow/schemas/config.schema.yaml.

    Raises
    ------
    UserError
        For the first mistake found: key, value and what to do.
    """

    def __init__(self, config: Mapping, schema: Mapping):
        config = _as_asked(config)
        check_schema(config, schema)
        self.config = config
        self.results = Path(config["results_dir"]).expanduser()
        self.seed: int = config["seed"]
        self.splits: Mapping = config["splits"]
        self.image: Mapping = config["image"]
        self.leakage: Mapping = config["leakage"]
        self.weights: Mapping = config["weights"]
        self.augmentation: Mapping = config["augmentation"]
        self.normalisation: Mapping = config["normalisation"]
        self.ensemble: Mapping = config["ensemble"]
        self.detection: Mapping = config["detection"]
        # What one run is asked to do, given on its command line; no part of the study.
        self.extend_cohort: bool = config["extend_cohort"]
        self.rebuild: bool = config["rebuild"]
        self.artefact: str = config.get("artefact", "")
        self.patients: list[str] = [p for p in config.get("patients", "").split(",") if p]
        self.datasets = {d["name"]: _dataset(d, config) for d in config["datasets"]}
        self.models = {m["name"]: _model(m, config["training"], self.seed) for m in config["models"]}
        self._check_values()
        self._check_datasets()
        self._check_models()

    @property
    def private(self) -> Path:
        """Folder of all that may identify someone, mode 0700."""
        return self.results / "private"

    def shard_rows(self, dataset: str, shard: str) -> Path:
        """Where the plan leaves what the jobs of one shard need of the index."""
        return self.private / dataset / "shards" / f"{shard}.csv"

    @property
    def folds(self) -> range:
        return range(self.splits["folds"])

    @property
    def only_phantoms(self) -> bool:
        """True where no real patient is in the study: the key of the pseudonyms is then fixed."""
        return all(d.phantom for d in self.datasets.values())

    def with_role(self, role: str) -> list[str]:
        """Names of the data sets of one role."""
        return [d.name for d in self.datasets.values() if d.role == role]

    @property
    def weights_names(self) -> list[str]:
        """Names of all weights files that the study's models start from."""
        return sorted({m.weights_name for m in self.models.values() if m.weights_name})

    def dataset_facts(self, names: Iterable[str]) -> dict[str, dict]:
        """What the tables say of some data sets: importer, role, and whether they are phantoms."""
        chosen = (self.datasets[name] for name in names)
        return {d.name: {"importer": d.importer, "role": d.role, "phantom": d.phantom is not None} for d in chosen}

    def shown_config(self) -> dict:
        """What the report shows of the config; it is no reason to write it again that the results or the data have moved."""
        moved = {"results_dir", "data_root", *ASKED}
        shown = {k: v for k, v in self.config.items() if k not in moved}
        shown["datasets"] = [{k: v for k, v in d.items() if k != "root"} for d in shown["datasets"]]
        shown["weights"] = {
            k: {a: b for a, b in v.items() if a != "file"} if isinstance(v, Mapping) else v
            for k, v in shown["weights"].items()
        }
        return shown

    # What each stage reads of the config: these recipes are triggers, so nothing else may be in them.

    def cohort_recipe(self) -> dict:
        """What the locked cohort was drawn with."""
        return {"seed": self.seed, "folds": self.splits["folds"], "holdout": self.splits["holdout"]}

    def plan_recipe(self) -> dict:
        return {
            **self.cohort_recipe(),
            "extend": self.extend_cohort,
            "require_mass": self.splits["require_mass"],
            "patients_per_shard": self.splits["patients_per_shard"],
            "roles": {d.name: d.role for d in self.datasets.values()},
        }

    def injection_recipe(self) -> dict:
        """What is injected where windowing is missing; a file it is read from counts by its bytes."""
        voi = self.image["voi_lut"]
        recipe = {"kind": voi["kind"], "explanation": voi["explanation"]} | {k: voi[k] for k in READ_BY[voi["kind"]]}
        if voi["kind"] == "file":
            file = self.injection_file
            recipe["file"] = digests.sha256(file) if file and file.is_file() else "missing"
            recipe["choice"] = dict(self.image["windowing"])
        return recipe

    @property
    def injection_file(self) -> Path | None:
        """Where a windowing to be injected is read from."""
        voi = self.image["voi_lut"]
        return Path(voi["file"]).expanduser() if voi["kind"] == "file" and voi["file"] else None

    def render_recipe(self) -> dict:
        recipe = {k: self.image[k] for k in ("side", "mask_share", "orient", "windowing")}
        return recipe if self.image["keep_injected"] else {**recipe, "voi_lut": self.injection_recipe()}

    def weights_recipe(self, weights: str) -> dict:
        """`weights` is imagenet or gmic. A local file counts by its bytes, so that an exchanged file is noticed."""
        recipe = {"missing": self.weights["missing"], **self.weights[weights]}
        if file := recipe.pop("file"):
            path = Path(file).expanduser()
            recipe["file_sha256"] = digests.sha256(path) if path.is_file() else "missing"
        return recipe

    def training_recipe(self, model: str) -> dict:
        """All that decides the trained values: not how many processes draw, nor what is shown meanwhile."""
        m = self.models[model]
        return {
            "model": m.spec,
            "training": {k: v for k, v in m.training.items() if k not in BESIDE},
            "augmentation": dict(self.augmentation),
            "normalisation": dict(self.normalisation),
            "seed": m.seed,
        }

    def statistics_recipe(self) -> dict:
        return {**self.config["statistics"], "seed": self.seed}

    def _check_values(self) -> None:
        """What a schema cannot say."""
        for step, value in self.augmentation.items():
            for key, pair in value.items() if isinstance(value, Mapping) else [("", value)]:
                if isinstance(pair, list) and key != "kernels" and pair[0] > pair[1]:
                    name = f"augmentation.{step}{f'.{key}' if key else ''}"
                    raise UserError(f"config key {name} is {pair}; the lower value comes first: write {pair[::-1]}")
        sizes = self.config["statistics"]["sizes_mm"]
        if sizes != sorted(set(sizes)):
            raise UserError(
                f"config key statistics.sizes_mm is {sizes}; limits must ascend: write {sorted(set(sizes))}"
            )
        voi = self.image["voi_lut"]
        if voi["kind"] == "sigmoid" and abs(voi["center"] - 2048) > 4 * voi["width"] + 2048:
            raise UserError(
                f"config key image.voi_lut: center {voi['center']} and width {voi['width']} show nothing of stored values "
                "0 to 4095; move the center between them or widen it"
            )
        low, high = voi["percentiles"]
        if low >= high:
            raise UserError(f"config key image.voi_lut.percentiles is {[low, high]}; the lower one comes first")
        if voi["kind"] == "file" and not voi["file"]:
            raise UserError(
                "config key image.voi_lut.file is null; kind file needs the path of a DICOM whose windowing is copied, or "
                "of a text file with one output value in each line"
            )
        if any(c in str(self.results) for c in "{}"):
            raise UserError(f"config key results_dir is {str(self.results)!r}; it must not hold braces")

    def _check_datasets(self) -> None:
        _refuse_repeated("datasets", [d["name"] for d in self.config["datasets"]])
        for i, d in enumerate(self.datasets.values()):
            if d.name in RESERVED:
                raise UserError(
                    f"config key datasets[{i}].name is {d.name!r}, which is a folder of ours: choose another name"
                )
            phantoms = (self.results / "phantoms").resolve()
            if d.phantom and phantoms not in d.root.resolve().parents:
                raise UserError(
                    f"config key datasets[{i}].root is {str(d.root)!r}; a phantom is made anew there, so it must lie below "
                    f"{self.results / 'phantoms'}"
                )
        if not self.with_role("train"):
            raise UserError("config key datasets: no data set has the role train; give one of them `role: train`")

    def _check_models(self) -> None:
        _refuse_repeated("models", [m["name"] for m in self.config["models"]])
        for i, m in enumerate(self.models.values()):
            key, gmic = f"config key models[{i}] ({m.name})", m.encoder == "resnet22_gmic"
            if m.stem == "gmic" and not gmic:
                raise UserError(
                    f"{key}: stem gmic goes with encoder resnet22_gmic only, not {m.encoder}; leave the stem out"
                )
            if m.stem == "gmic" and m.decoder.startswith("smp."):
                raise UserError(
                    f"{key}: decoder {m.decoder} cannot work on the grid of stem gmic; use stem dense, unet or fpn"
                )
            if m.stem == "gmic" and self.image["side"] < 96:
                raise UserError(f"{key}: stem gmic needs image.side of 96 or more; it is {self.image['side']}")
            if (m.weights == "gmic") != gmic and m.weights != "random":
                right = "gmic or random" if gmic else "imagenet or random"
                raise UserError(f"{key}: encoder {m.encoder} has no weights {m.weights!r}; use {right}")
            schedule = m.training["schedule"]
            if not schedule["combined_epochs"] + schedule["focal_tversky_epochs"]:
                raise UserError(
                    f"{key}: the schedule has no epoch; set combined_epochs or focal_tversky_epochs above 0"
                )


def _as_asked(config: Mapping) -> dict:
    """A copy in which the keys of the command line have their kind: Snakemake leaves ``true`` a text, digits a number."""
    asked = {"extend_cohort": False, "rebuild": False, **{k: config[k] for k in ASKED if k in config}}
    for key in ("extend_cohort", "rebuild"):
        if isinstance(asked[key], str):
            asked[key] = {"true": True, "false": False}.get(asked[key].lower(), asked[key])
    patients = asked.get("patients")
    if isinstance(patients, float):
        raise UserError("config key patients: Snakemake took the pseudonym for a number; write a comma behind it")
    if isinstance(patients, int):
        asked["patients"] = f"{patients:012d}"
    return {**config, **asked}


def _dataset(entry: Mapping, config: Mapping) -> DataSet:
    try:
        root = Path(entry["root"].format(data_root=config["data_root"]))
    except (KeyError, IndexError, ValueError, AttributeError):
        raise UserError(
            f"config key datasets ({entry['name']}): root is {entry['root']!r}; the only placeholder is {{data_root}}"
        ) from None
    return DataSet(
        name=entry["name"],
        importer=entry["importer"],
        root=root.expanduser(),
        role=entry["role"],
        site=entry.get("site", entry["name"]),
        listing=entry.get("listing", True),
        phantom=entry.get("phantom"),
        carry=tuple(entry.get("carry", ())),
        max_excluded=entry.get("max_excluded", DataSet.max_excluded),
        where=entry.get("where", {}),
    )


def _model(entry: Mapping, training: Mapping, seed: int) -> Model:
    own = entry.get("training", {})
    merged = {k: {**v, **own.get(k, {})} if isinstance(v, Mapping) else own.get(k, v) for k, v in training.items()}
    return Model(
        **{k: entry[k] for k in ("name", "encoder", "decoder", "weights")},
        stem=entry.get("stem", "dense"),
        training=merged,
        seed=entry.get("seed", seed),
    )


def _refuse_repeated(key: str, names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise UserError(f"config key {key}: the name {name!r} stands there {count} times; names must differ")


def check_schema(config: Mapping, schema: Mapping) -> None:
    """Raise UserError with one sentence for the first mistake in `config` by `schema`."""
    errors = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(config), key=lambda e: (len(e.absolute_path), str(e.path))
    )
    if errors:
        raise UserError(_sentence(errors[0]))


def _sentence(error: jsonschema.ValidationError) -> str:
    """One clear sentence for a schema error: which key, which value, what to do."""
    key = _key(error.absolute_path)
    if error.validator == "additionalProperties":
        allowed = list(error.schema["properties"])
        unknown = next(k for k in error.instance if k not in allowed)
        full = f"{key}.{unknown}" if key else str(unknown)
        near = difflib.get_close_matches(str(unknown), allowed, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(allowed)}"
        return f"config key {full} is unknown; {hint}"
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"config key {f'{key}.' if key else ''}{missing} is missing"
    value = error.instance
    if error.validator == "type" and isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):
        mantissa, exponent = re.split("[eE]", value)
        return f"config key {key} is the text {value!r}; YAML wants a decimal point in a number: write {mantissa}.0e{exponent}"
    return f"config key {key} is {value!r}; {_wanted(error)}"


def _wanted(error: jsonschema.ValidationError) -> str:
    limit = error.validator_value
    words = {
        "type": lambda: f"it must be of type {' or '.join([limit] if isinstance(limit, str) else limit)}",
        "enum": lambda: f"it must be one of {', '.join(map(str, limit))}",
        "minimum": lambda: f"it must be at least {limit}",
        "maximum": lambda: f"it must be at most {limit}",
        "exclusiveMinimum": lambda: f"it must be above {limit}",
        "exclusiveMaximum": lambda: f"it must be below {limit}",
        "multipleOf": lambda: f"it must be a multiple of {limit}",
        "minItems": lambda: f"it needs at least {limit} entries",
        "maxItems": lambda: f"it takes at most {limit} entries",
        "not": lambda: "it must be odd",
        "anyOf": lambda: "it must be auto or a whole number",
        "pattern": lambda: (
            f"it must be {error.schema['says']}" if "says" in error.schema else f"it must look like {limit}"
        ),
    }
    return words.get(error.validator, lambda: error.message)()


def _key(path: Iterator) -> str:
    """`training.schedule.milestones[2]` from the path of a schema error."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
