"""Decoding pixels: which decoder reads which transfer syntax, and in what order they are tried.

Those of imagecodecs come first, for they were the fastest of all in benchmarks/decoders.py and it alone reads 12-bit JPEG;
where one refuses a file, pydicom's own plugins (GDCM, OpenJPEG, Pillow) are tried.
"""

import struct

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner

from mammoseg.runtime.errors import Unusable

IMAGECODECS = {
    **dict.fromkeys(uid.JPEGTransferSyntaxes, imagecodecs.jpeg8_decode),  # libjpeg-turbo: 8 and 12 bit, and lossless
    **dict.fromkeys(uid.JPEGLSTransferSyntaxes, imagecodecs.jpegls_decode),
    **dict.fromkeys((uid.JPEG2000Lossless, uid.JPEG2000), imagecodecs.jpeg2k_decode),
    **dict.fromkeys((uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K), imagecodecs.htj2k_decode),
}
LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K)
J2K_START = b"\xff\x4f\xff\x51"
ORDER = ("imagecodecs", "pyjpegls", "pylibjpeg", "gdcm", "pillow", "pydicom")
DECODER_DEPENDENCIES = dict.fromkeys(IMAGECODECS, ("numpy", "imagecodecs"))
"""Asked for by pydicom, of whose plugins this module is one."""


class _OtherSize(BaseException):
    """The codestream is a picture of another size than the header says. No Exception, for pydicom would ask the next decoder,
    which lets it pass if only the number of pixels is right."""


def is_available(syntax: str) -> bool:
    """Whether `decode_frame` reads a transfer syntax; asked by pydicom."""
    return syntax in IMAGECODECS


def decode_frame(encoded: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame with imagecodecs; called by pydicom, which then mends signs that codestream and header disagree on."""
    if encoded.startswith(J2K_START):
        # OpenJPH works for minutes on a picture that a flipped bit made gigantic. Of marker SIZ (ISO/IEC 15444-1, A.5.1).
        right, bottom, left, top = struct.unpack(">4I", encoded[8:24])
        if (bottom - top, right - left) != (runner.rows, runner.columns):
            raise _OtherSize
    frame = IMAGECODECS[runner.transfer_syntax](encoded)
    if frame.shape != (runner.rows, runner.columns):
        raise _OtherSize
    runner.set_option("bits_allocated", 8 * frame.itemsize)
    return frame.data


for _syntax in IMAGECODECS:
    get_decoder(_syntax).add_plugin("imagecodecs", (__name__, "decode_frame"))


def decode(dataset: FileDataset) -> np.ndarray:
    """Decode the pixels by the decoders of their transfer syntax in turn.

    Parameters
    ----------
    dataset : FileDataset
        Of `read_encoded`.

    Returns
    -------
    (rows, columns) array of uint8 or uint16
        The words as they are stored: signed values as two's complement, bits above BitsStored possibly not cleared.

    Raises
    ------
    Unusable
        ``undecodable``.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
        plugins = [p for p in ORDER if p in decoder.available_plugins] if syntax.is_encapsulated else [""]
    except NotImplementedError:
        raise _undecodable(syntax) from None
    for plugin in plugins:
        try:
            array, _ = decoder.as_array(
                dataset, index=0, raw=True, decoding_plugin=plugin, correct_unused_bits=False, view_only=True
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except _OtherSize:
            break
        except BaseException:  # a panic of a Rust library is no Exception; the texts may quote the file
            continue
        if array.shape == (dataset.Rows, dataset.Columns) and array.itemsize * 8 == dataset.BitsAllocated:
            native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
            words = np.ascontiguousarray(native).view(f"u{native.itemsize}")
            if syntax in LOSSY and dataset.PixelRepresentation == 0:
                # A lossy answer may overshoot BitsStored; whoever looks at the low bits alone would see white turn black.
                words = np.minimum(words, words.dtype.type((1 << dataset.BitsStored) - 1))
            return words
    raise _undecodable(syntax)


def refuse_constant(words: np.ndarray, bits_stored: int) -> None:
    """Refuse an image all of whose values are equal: a failed decoding somewhere upstream must not pass for a mammogram.

    Raises
    ------
    Unusable
        ``constant_image``.
    """
    if is_constant(words, words.dtype.type((1 << bits_stored) - 1)):
        raise Unusable("constant_image", "all its pixels have the same value")


def is_constant(words: np.ndarray, bits: np.integer | None = None) -> bool:
    """Whether all pixels are equal, in all their bits or in those that are set in `bits`."""
    for seen in (words[::64, ::64], words):  # a glimpse nearly always suffices, which spares a pass over all pixels
        values = seen if bits is None else seen & bits
        if values.min() != values.max():
            return False
    return True


def _undecodable(syntax: uid.UID) -> Unusable:
    name = syntax.name if syntax in uid.AllTransferSyntaxes else "none that is known"
    return Unusable("undecodable", f"no installed decoder can read its pixels; transfer syntax: {name}")
