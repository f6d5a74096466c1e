"""Tables that come with a release or from a user: separator, encoding and spelling of the headers vary."""

import csv
import io
from pathlib import Path

from mammoseg.errors import UserError

SEPARATORS = ",;\t"


def read_sheet(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a CSV with a header line; separator comma, semicolon or tab, UTF-8 (with or without mark) or Latin-1.

    Returns
    -------
    columns : list of str
        Headers, stripped, in lower case, words joined by one underscore: ``"Bi-Rads "`` → ``"bi_rads"``.
    rows : list of dict
        Stripped text by column; missing cells are empty, blank lines and columns without a header are left out.

    Raises
    ------
    UserError
        Where it is not such a table.
    """
    try:
        text = _decoded(path.read_bytes())
        separator = max(SEPARATORS, key=text.partition("\n")[0].count)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except OSError as error:
        raise UserError(f"the table {path} cannot be read ({error.strerror}); check its rights") from None
    except csv.Error as error:
        raise UserError(f"the table {path} is not a well-formed CSV ({error}); save it as CSV again") from None
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    if not lines:
        raise UserError(f"the table {path} is empty; it needs a header line")
    places = [(snake_case(header), i) for i, header in enumerate(lines[0]) if snake_case(header)]
    columns = [name for name, _ in places]
    if repeated := sorted({c for c in columns if columns.count(c) > 1}):
        raise UserError(f"the table {path} has two columns named {repeated[0]!r}; rename one")
    return columns, [{name: line[i].strip() if i < len(line) else "" for name, i in places} for line in lines[1:]]


def snake_case(header: str) -> str:
    """A header as a name: lower case, everything but letters and digits joined to single underscores."""
    return "_".join("".join(c if c.isalnum() else " " for c in header.lower()).split())


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
