"""First import of every script: puts this checkout's library in front, and gives the frame that every job runs in."""

import errno
import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKFLOW = Path(__file__).resolve().parents[1]
SRC = WORKFLOW.parent / "src"
if SRC.is_dir() and str(SRC) not in sys.path:
    sys.path.insert(0, str(SRC))


@contextmanager
def job(snakemake) -> Iterator:
    """Give the study; log into the job's log file, and what a person wants to see on the terminal too; leave a record.

    A user's mistake ends the job with its one sentence. Anything else is a bug: its name goes onto the terminal, its
    traceback into a log below private/, for either may name a path of the archive, and other logs may be shown around.
    """
    import yaml

    from mammoseg import __version__
    from mammoseg.runtime.errors import UserError
    from mammoseg.rebuild.job_records import Record
    from mammoseg.study import Study

    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(path, mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = logging.StreamHandler()
    to_terminal.setFormatter(logging.Formatter("mammoseg: %(message)s"))
    to_terminal.setLevel(logging.INFO)
    log = logging.getLogger("mammoseg")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers = [to_file, to_terminal]
    study = None
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").handlers = [logging.NullHandler()]  # pydicom's name the file: not for a log
    try:
        schema = yaml.safe_load((WORKFLOW / "schemas/config.schema.yaml").read_text())
        study = Study(snakemake.config, schema)
        recipe = json.loads(snakemake.params.recipe) if snakemake.params.get("recipe") else None
        record = Record(study.results, path)
        record.remove()
        yield study
        if recipe is not None:
            recipe["code"] = code(snakemake, study).name  # of the code that ran, whatever it is accepted as
            wildcards = dict(snakemake.wildcards)
            record.write(
                stage_of(snakemake, study), snakemake.rule, wildcards, recipe, snakemake.input, snakemake.output
            )
        log.debug("finished, mammoseg %s", __version__)
    except UserError as mistake:
        print(f"mammoseg: {mistake}", file=sys.stderr)
        log.removeHandler(to_terminal)
        roots = [str(d.root) for d in study.datasets.values()] if study else []
        if any(root in str(mistake) for root in roots):
            log.error("ended by a mistake; the sentence stands in %s", _keep_private(study, path, str(mistake)))
        else:
            log.error("%s", mistake)
        sys.exit(1)
    except Exception as bug:
        if isinstance(bug, OSError) and bug.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            sentence = (
                f"rule {snakemake.rule}: the disk of results_dir is full ({bug.strerror}): make room and run the same command "
                "again; what is finished is kept, and nothing half-written is left"
            )
            print(f"mammoseg: {sentence}", file=sys.stderr)
            log.removeHandler(to_terminal)
            log.error("%s", sentence)
            sys.exit(1)
        place, kind = _keep_private(study, path, traceback.format_exc()), type(bug).__name__
        print(f"mammoseg: rule {snakemake.rule} failed ({kind}); the traceback is in {place}", file=sys.stderr)
        log.removeHandler(to_terminal)
        log.error("failed (%s); the traceback is in %s", kind, place)
        sys.exit(1)


def stage_of(snakemake, study) -> str:
    """Name of the stage that this job belongs to."""
    from mammoseg.rebuild import code_versions

    return code_versions.stage_of(snakemake.rule, _importer(snakemake, study))


def code(snakemake, study):
    """The code that this job runs, with what counts as equal, or nothing where all is made anew."""
    from mammoseg.datasets.registry import importer_file
    from mammoseg.rebuild.code_digests import of_stage
    from mammoseg.rebuild.code_versions import CodeVersions

    importer = _importer(snakemake, study)
    digest = of_stage(WORKFLOW / "scripts" / f"{snakemake.rule}.py", importer_file(importer) if importer else None)
    return CodeVersions(study.results).code(stage_of(snakemake, study), digest, study.rebuild)


def _importer(snakemake, study) -> str | None:
    from mammoseg.rebuild.code_versions import READ_RELEASES

    return study.datasets[snakemake.wildcards.dataset].importer if snakemake.rule in READ_RELEASES else None


def _keep_private(study, log: Path, text: str) -> Path:
    """Write `text` below private/, at the place that `log` has among the logs."""
    if study is None:
        return log
    place = study.private / "logs" / log.relative_to(study.results / "logs")
    place.parent.mkdir(parents=True, exist_ok=True)
    study.private.chmod(0o700)
    place.write_text(text, encoding="utf-8", errors="backslashreplace")  # a path may hold what is no UTF-8
    return place
