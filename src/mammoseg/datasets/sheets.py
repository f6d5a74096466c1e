"""Tables that come with a release or from a user: format, separator, encoding and spelling of the headers vary."""

import csv
import io
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from mammoseg.datasets.walk import inside
from mammoseg.runtime.errors import UserError

SEPARATORS = ",;\t"
EXCEL = (".xls", ".xlsx")
MAX_LINES = 2_000_000


def read_sheet(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a table with a header line: a CSV (separator comma, semicolon or tab, UTF-8 with or without mark, or Latin-1), or
    the first sheet of an Excel file (xls, xlsx), whose whole numbers lose their ".0".

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
        lines = _excel(path) if path.suffix.lower() in EXCEL else _csv(path)
    except OSError as error:
        raise UserError(f"the table {path} cannot be read ({error.strerror}); check its rights") from None
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    if not lines:
        raise UserError(f"the table {path} is empty; it needs a header line")
    places = [(snake_case(header), i) for i, header in enumerate(lines[0]) if snake_case(header)]
    columns = [name for name, _ in places]
    numbers: dict[str, int] = {}
    for name, i in places:
        if (first := numbers.setdefault(name, i)) != i:
            # A header is not quoted anywhere: it may be a row of data, or a name.
            raise UserError(f"columns {first + 1} and {i + 1} of the table {path} have the same name; rename one")
    return columns, [{name: line[i].strip() if i < len(line) else "" for name, i in places} for line in lines[1:]]


def read_table_of(root: Path, path: str) -> tuple[list[str], list[dict[str, str]]]:
    """As `read_sheet`, of the table at `path` of a release; a link that leads out of it is refused, as for its images."""
    if not inside(root, path):
        raise UserError(f"the table {root / path} is a link that leaves the data root; put the table itself there")
    return read_sheet(root / path)


def _csv(path: Path) -> list[list[str]]:
    text = _decoded(path.read_bytes())
    separator = max(SEPARATORS, key=text.partition("\n")[0].count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise UserError(f"the table {path} is not a well-formed CSV ({error}); save it as CSV again") from None


def _excel(path: Path) -> list[list[str]]:
    import openpyxl  # only where there is such a file: they are not quick to import
    import xlrd

    try:
        if path.suffix.lower() == ".xls":
            sheet = xlrd.open_workbook(path, on_demand=True).sheet_by_index(0)
            values: Iterable = (sheet.row_values(i) for i in range(sheet.nrows))
        else:
            values = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0].values
        return [[_cell(v) for v in row] for row in islice(values, MAX_LINES)]
    except OSError:
        raise
    except Exception:  # both libraries raise almost anything on what is no workbook
        raise UserError(f"the table {path} is not an Excel file that can be read; save it as CSV") from None


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def snake_case(header: str) -> str:
    """A header as a name: lower case, everything but letters and digits joined to single underscores."""
    return "_".join("".join(c if c.isalnum() else " " for c in header.lower()).split())


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
