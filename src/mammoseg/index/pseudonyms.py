"""Pseudonyms: what stands in results in place of a patient's, study's or image's own identifier."""

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import write_text

KEY_BYTES = 32
KNOWN_KEY = b"phantoms are nobody's patients.."
"""The key of studies of phantoms alone, so that the demo's pseudonyms are the same everywhere.

It also makes the *draw ids* of every study: the pseudonyms that folds, the order of the images and all random draws follow from.
They depend on the original ids alone, not on the study's own key, so the same data, config and seed give the same study anywhere.
Whoever knows an original id can compute its draw id: draw ids belong into ``private/`` only.
"""


def pseudonym(key: bytes, kind: str, site: str, value: str) -> str:
    """Keyed pseudonym of one identifier: 12 hex digits of HMAC-SHA256.

    Without the key it cannot be traced back, not even by trying out all identifiers; with it, the same identifier always
    gets the same pseudonym. 48 bits: among 100,000 patients two share one with a probability of 2 in 100,000.

    Parameters
    ----------
    key : bytes
        The study's key (`load_or_create_key`).
    kind : str
        ``"patient"``, ``"study"`` or ``"image"``: the same text as patient and as study gives unrelated pseudonyms.
    site : str
        Patient "1" of two sites are two people.
    value : str
        The identifier as in the release.
    """
    # JSON, so that no two triples give one message, whatever characters an identifier holds.
    message = json.dumps([kind, site, value])
    return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()[:12]


def load_or_create_key(path: str | os.PathLike) -> bytes:
    """Read the study's key; where there is none, create it once, readable by its owner only.

    Several jobs may call this at the same time: all get the one key that was first.

    Parameters
    ----------
    path : path
        The key file, mode 0600, in a folder of its own, mode 0700.

    Raises
    ------
    UserError
        Where the file does not hold a key, or may not be read or written.
    """
    path = Path(path)
    check = path.with_name("key.check")
    try:
        if not path.exists():
            if check.exists():
                raise UserError(
                    f"the key of the pseudonyms, {path}, is missing: put your copy of it back; with a new key everyone would "
                    "be a new patient (to begin anew on purpose, remove the whole results folder)"
                )
            _create(path)
        key = path.read_bytes()
        if path.stat().st_mode & 0o077:  # copied from elsewhere, or unpacked
            path.chmod(0o600)
    except OSError as error:
        raise UserError(
            f"the key of the pseudonyms, {path}, cannot be read or made ({error.strerror}); check its rights"
        ) from error
    if len(key) != KEY_BYTES:
        raise UserError(
            f"{path} is not a key of this program ({len(key)} bytes instead of {KEY_BYTES}); put the right file back: "
            "with another key all patients get other pseudonyms and no longer fit the results made so far"
        )
    mark = pseudonym(key, "check", "", "")
    if check.exists() and check.read_text() != mark:
        raise UserError(f"{path} is not the key that this study was begun with; put the right file back")
    return key


def _create(path: Path) -> None:
    """Write a new key under a temporary name and link it to `path`, which fails where another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
            f.write(secrets.token_bytes(KEY_BYTES))
        os.link(part, path)
        write_text(path.with_name("key.check"), pseudonym(path.read_bytes(), "check", "", ""))  # only whoever was first
    except FileExistsError:
        pass
    finally:
        part.unlink(missing_ok=True)
