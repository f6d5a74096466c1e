"""One file from the network: resumed where it broke off, checked, and whole or absent."""

import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from mammoseg.rebuild.digests import sha256 as file_sha256
from mammoseg.runtime.errors import UserError

logger = logging.getLogger(__name__)

CHUNK = 1 << 20  # bytes


class _Broken(Exception):
    """The connection failed in a way that may pass: try again, from where it broke off."""


def download(
    url: str, target: Path, sha256: str | None = None, timeout: float = 30.0, attempts: int = 4, pause: float = 1.0
) -> Path:
    """Fetch `url` into `target`, unless it is there already with the right digest. Proxies are urllib's: the usual.

    Parameters
    ----------
    url : str
        http or https.
    target : Path
        Where the file goes. Until it is complete it is called ``<target>.part``, and the server's tag for this version
        of the file ``<target>.tag``: a later call goes on from there, or starts again where the version has changed.
    sha256 : str, optional
        64 hex digits that the file must have.
    timeout : float
        Seconds without a byte after which the connection counts as broken.
    attempts : int
        Connections in a row that may end without a new byte.
    pause : float
        Seconds before the second of these; doubled before each further one.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    UserError
        Names the URL and what went wrong.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"The address {url!r} is not one that begins with http:// or https://.")
    wanted = sha256.lower() if sha256 else None
    if target.is_file() and (wanted is None or file_sha256(target) == wanted):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part, tag = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.tag")
    logger.info("downloading %s", url)
    resumed = part.is_file()
    failures, farthest = 0, _size(part)
    while True:
        try:
            _receive(url, part, tag, timeout)
        except _Broken as error:
            failures = 0 if _size(part) > farthest else failures + 1
            farthest = max(farthest, _size(part))
            if failures >= attempts:
                raise UserError(f"{url} cannot be downloaded: {error}.") from error
            logger.warning("%s: %s, trying again", url, error)
            time.sleep(pause * 2 ** max(failures - 1, 0))
            continue
        found = file_sha256(part)
        if wanted is None or found == wanted:
            part.replace(target)
            tag.unlink(missing_ok=True)
            logger.info("downloaded %s: %d bytes, sha256 %s", url, target.stat().st_size, found)
            return target
        part.unlink()
        tag.unlink(missing_ok=True)
        if not resumed:
            raise UserError(f"{url} serves a file with sha256 {found} instead of {wanted}.")
        resumed, farthest = (
            False,
            0,
        )  # what was left from an earlier call may have been the fault: once more, from the start


def _receive(url: str, part: Path, tag: Path, timeout: float) -> None:
    """Append to `part` what is missing. Returns when it is complete; raises _Broken or UserError."""
    have = _size(part)
    version = tag.read_text(encoding="utf-8") if tag.is_file() else None
    headers = {"User-Agent": "mammoseg", "Accept-Encoding": "identity"}
    if have and version:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing is left after what we have, so it is of another version: start again
            part.unlink(missing_ok=True)
            raise _Broken("the part that was there does not belong to the file") from error
        if error.code < 500 and error.code not in (408, 429):
            raise UserError(f"{url} cannot be downloaded: the server answers {error.code} {error.reason}.") from error
        raise _Broken(f"the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(_reason(error)) from error
    with response:
        start, total = _extent(response)
        if start not in (0, have):
            part.unlink(missing_ok=True)
            raise _Broken("the server sent another piece than the one asked for")
        version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        with part.open("r+b" if start else "wb") as f:
            # A weak tag does not promise the same bytes, so nothing is resumed under it.
            tag.write_text("" if version.startswith("W/") else version, encoding="utf-8")
            f.seek(start)
            size = _copy(response, f, total)
    if total is not None and size < total:
        raise _Broken(f"the connection ended after {size} of {total} bytes")


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """First byte that the answer holds, and the length of the whole file where it is told."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is None:
            return -1, None
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _copy(response: http.client.HTTPResponse, f: BinaryIO, total: int | None) -> int:
    """Write what comes, at most up to `total` bytes of the whole file; returns how far it came.

    What came before a break is kept. Trouble in writing is not the network's, and goes on up.
    """
    while total is None or f.tell() < total:
        try:
            chunk = response.read1(CHUNK if total is None else min(CHUNK, total - f.tell()))
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(_reason(error)) from error
        if not chunk:
            break
        f.write(chunk)
    return f.tell()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__
