"""Tells a pickle by its bytes, whatever it is called and however it is packed. Nothing is ever loaded.

Called by `directory`. It is a rule for people who mean well, kept by default: a pickle is code that nobody can read,
where code from git can be reviewed. It is no wall, because a model that MLflow loads may be code anyway.
"""

import bz2
import gzip
import io
import lzma
import pickletools
import re
import zipfile
import zlib
from typing import Final

_NAMES: Final = re.compile(r"\.(pkl|pickle|joblib|dill|cloudpickle|pt|pth|ckpt)(\.(gz|z|bz2|xz|lz4))?$", re.IGNORECASE)
"""What the libraries that pickle call their files; torch's are pickles unless they are safetensors."""
_CALLS: Final = frozenset({"REDUCE", "GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"})
_HEAD: Final = 64
_TEXT: Final = 1 << 20
"""Bytes up to which a file is tried as a pickle of the old text protocols."""


def is_pickle(name: str, content: bytes) -> bool:
    """Return whether a file is a pickle, a compressed one, or an archive or array with one in it.

    Args:
        name: of the file.
        content: its bytes.
    """
    if _NAMES.search(name):
        return True
    if content.startswith(b"PK\x03\x04"):
        return _archive(content)
    return any(_pickled(head) for head in (content, *_unpacked(content)))


def _pickled(content: bytes) -> bool:
    if len(content) > 2 and content[0] == 0x80 and content[1] in range(2, 6):
        return True
    if content.startswith(b"\x93NUMPY"):
        # An array of Python objects: its header says so, and a pickle follows.
        return b"'descr': '|O'" in content[:10_000] or b"'|O'" in content[: 10 + 256]
    return len(content) <= _TEXT and content.endswith(b".") and _old_pickle(content)


def _old_pickle(content: bytes) -> bool:
    """Protocols 0 and 1 have no mark: they are what reads as one to the last byte, and calls something."""
    stream = io.BytesIO(content)
    try:
        names = {operation.name for operation, _, _ in pickletools.genops(stream)}
    except (ValueError, IndexError, OverflowError, MemoryError):
        return False
    return stream.tell() == len(content) and bool(names & _CALLS)


def _archive(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if _NAMES.search(entry.filename):
                    return True
                with archive.open(entry) as file:
                    if _pickled(file.read(_HEAD * 8)):
                        return True
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, OSError):
        # What cannot be looked into, such as an archive with a password, cannot be said to hold none.
        return True
    return False


def _unpacked(content: bytes) -> tuple[bytes, ...]:
    """Return the beginning of what was compressed by the ways that joblib knows."""
    try:
        if content[:2] == b"\x1f\x8b":
            return (gzip.GzipFile(fileobj=io.BytesIO(content)).read(_HEAD),)
        if content[:3] == b"BZh":
            return (bz2.BZ2Decompressor().decompress(content, _HEAD),)
        if content[:6] == b"\xfd7zXZ\x00" or content[:3] == b"\x5d\x00\x00":
            return (lzma.LZMADecompressor().decompress(content, _HEAD),)
        if content[:1] == b"\x78":
            return (zlib.decompressobj().decompress(content, _HEAD),)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        pass
    return ()
