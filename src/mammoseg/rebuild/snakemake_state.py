"""Whether Snakemake's own records of a study are there.

Snakemake compares with what it wrote down below .snakemake/. Where that is gone (results copied to another folder or machine,
.snakemake deleted, a Snakemake whose records have another format) it finds nothing to do, whatever has changed. So a token
stands in both places.
"""

import secrets
from pathlib import Path

from mammoseg.rebuild import digests
from mammoseg.runtime.files import write_text

SIGNS = ("work.csv", "records", "splits.csv")
"""Any of these in the results means that something was made there."""


class Bookkeeping:
    """The tokens of one study.

    Parameters
    ----------
    results : Path
        The study's folder.
    snakemake : Path
        Snakemake's own folder, .snakemake below the working directory.
    record_format : int
        Version of Snakemake's records.
    """

    def __init__(self, results: Path, snakemake: Path, record_format: int):
        self.results = Path(results)
        self.here = self.results / ".bookkeeping"
        self.there = Path(snakemake) / "mammoseg" / digests.digest(str(self.results.resolve()))
        self.format = str(record_format)

    @property
    def lost(self) -> bool:
        """True where something was made and Snakemake's records of it are not here."""
        if not any((self.results / sign).exists() for sign in SIGNS):
            return False
        try:
            here, there = self.here.read_text(), self.there.read_text()
        except FileNotFoundError:
            return True
        return here != there or here.split()[1:] != [self.format]

    def start(self) -> None:
        """A run begins: of a new study the tokens are written now; lost ones only once everything is on record again."""
        if not self.lost and not (self.here.exists() and self.there.exists()):
            self.found()

    def found(self) -> None:
        """Everything is on record: write both tokens."""
        token = f"{secrets.token_hex(8)} {self.format}\n"
        write_text(self.there, token)
        write_text(self.here, token)
