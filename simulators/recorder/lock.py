"""One writer per results folder: a lock file beside it that names the process."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simulators.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Lock:
    """Holds ``.<name>.lock`` beside a results folder, as a context manager.

    The file names the process and its host. Where the system has `flock`, it ends with the process, so that the
    lock of a process that was killed is found to be stale even if its number is in use again; elsewhere a lock
    is stale if no process of its number runs on this host. The lock of another host is never broken.

    Raises
    ------
    InputError
        On entering, if somebody else writes there.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.lock")
        self._file = -1

    def __enter__(self) -> Self:
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._take(file)
                if self._stands(file):
                    break
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # its owner removed it while we waited to look: start over with a new one
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file < 0:
            return
        if fcntl is None:  # Windows removes no open file
            os.close(self._file)
            self._path.unlink(missing_ok=True)
        else:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
        self._file = -1

    def _take(self, file: int) -> None:
        ended = self._flock(file)
        owner = _owner(os.read(file, 4096))
        if owner:
            here = owner.get("host") == socket.gethostname()
            if not here or not (ended or not _runs(owner.get("pid"))):
                raise self._refusal(owner)
        os.lseek(file, 0, os.SEEK_SET)
        os.truncate(file, 0)
        os.write(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())

    def _flock(self, file: int) -> bool:
        """Whether nobody holds the file; False if the system cannot tell."""
        if fcntl is None:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(_owner(os.read(file, 4096))) from None
        except OSError:
            return False
        return True

    def _stands(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _refusal(self, owner: dict[str, Any]) -> InputError:
        who = f"process {owner.get('pid', '?')} on {owner.get('host', 'an unknown host')}"
        return InputError(
            f"{self._target}: {who} is writing there, expected another --out; "
            f"if it no longer runs, delete {self._path}"
        )


def _owner(text: bytes) -> dict[str, Any]:
    try:
        owner = json.loads(text)
    except ValueError:
        return {}  # empty: just made, or its owner was killed before it wrote its name
    return owner if isinstance(owner, dict) else {}


def _runs(pid: object) -> bool:
    """Whether a process of this number runs here; True where that cannot be asked."""
    if not isinstance(pid, int) or os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
