"""First import of every script: puts this checkout's library in front, and gives the frame that every job runs in."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKFLOW = Path(__file__).resolve().parents[1]
SRC = WORKFLOW.parent / "src"
if SRC.is_dir() and str(SRC) not in sys.path:
    sys.path.insert(0, str(SRC))


@contextmanager
def job(snakemake) -> Iterator:
    """Give the study; log into the job's log file, and what a person wants to see on the terminal too.

    A user's mistake ends the job with its one sentence. Anything else is a bug: its traceback goes into the log, its
    name and the log's place onto the terminal.
    """
    import yaml

    from mammoseg import __version__
    from mammoseg.errors import UserError
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
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(to_file)
    try:
        schema = yaml.safe_load((WORKFLOW / "schemas/config.schema.yaml").read_text())
        yield Study(snakemake.config, schema)
        log.debug("finished, mammoseg %s", __version__)
    except UserError as mistake:
        log.error("%s", mistake)
        sys.exit(1)
    except Exception as bug:
        to_file.setLevel(logging.DEBUG)
        log.removeHandler(to_terminal)
        log.exception("the job failed")
        print(
            f"mammoseg: rule {snakemake.rule} failed ({type(bug).__name__}); the traceback is in {snakemake.log[0]}",
            file=sys.stderr,
        )
        sys.exit(1)
