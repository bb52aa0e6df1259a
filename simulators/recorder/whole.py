"""Files that take their name only when they are whole and on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file that then takes the place of `path`; whatever happens, the old or the new one is there.

    Its name begins with a dot until then: Parquet's readers leave such files out.

    Examples
    --------
    >>> import tempfile
    >>> note = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with whole(note) as made:
    ...     _ = made.write_text("all of it")
    >>> note.read_text(), made.exists()
    ('all of it', False)
    """
    made = path.with_name(f".{path.name}.part")
    try:
        yield made
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(made, path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
