"""Digests of data and recipes: what decides whether something is made again.

A digest is 24 hex digits of BLAKE2b, so that it can stand in a table and in a file name.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from importlib import metadata


def digest(value) -> str:
    """Digest of any JSON-like value; mappings are compared without regard to the order of their keys."""
    text = value if isinstance(value, str) else canonical(value)
    # A file name that is no UTF-8 is text with escaped bytes.
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=12).hexdigest()


def canonical(value) -> str:
    """`value` as JSON with sorted keys: Snakemake compares params by text, so their order must not matter."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def of_parts(parts: Iterable[str]) -> str:
    """Digest of a set of strings, whatever their order."""
    return digest("\n".join(sorted(parts)))


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


CODECS = (
    "highdicom", "imagecodecs", "opencv-python-headless", "pillow", "pydicom", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle",
    "pyjpegls", "python-gdcm",
)  # fmt: skip
"""Libraries that turn stored bytes into pixels and resize them: another version may give other pixels."""


def codecs() -> dict[str, str]:
    """Installed versions of `CODECS`."""
    return {name: d.version for name in CODECS for d in metadata.Distribution.discover(name=name)}
