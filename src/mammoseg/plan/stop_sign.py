"""What a leakage check has found, told to the trainings of the same plan."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from mammoseg.rebuild import digests
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import write_text


class StopSign:
    """What a comparison has found, left in `folder` for the trainings of the same plan: there is no use in beginning one.

    `work` are the rows of work.csv, `allow` the pairs that are allowed: once either has changed, the sign means nothing.
    """

    def __init__(self, folder: Path, work: Iterable[Mapping[str, str]], allow: Collection[Sequence[str]]):
        self.path = folder / ".found.json"
        self.plan = digests.digest([sorted(list(row.values()) for row in work), sorted(map(list, allow))])

    def put_up(self, sentence: str) -> None:
        write_text(self.path, json.dumps([self.plan, sentence]))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def obey(self) -> None:
        """Raise the UserError of the comparison, where it stands."""
        try:
            plan, sentence = json.loads(self.path.read_text())
        except FileNotFoundError:
            return
        if plan == self.plan:
            raise UserError(sentence)
