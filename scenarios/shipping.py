"""A study as what travels: plain values, with the files it names by their SHA-256; and how it is opened elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from scenarios.build import files_elsewhere
from scenarios.study import Study
from scenarios.workers import Job
from simulators.errors import InputError
from simulators.paths import DATA, ROOT
from simulators.profiles.site import FILES, load_site
from simulators.recorder.summary import sha256, sha256_as_it_is, versions

CACHE = "WATTLOOP_CACHE"
"""Environment variable: folder in which workers keep files that came to them."""

FOLDERS = ("iteration_time", "model", "gpu")
"""Options that may name a folder of files."""


class Shipment(NamedTuple):
    """A job's plain values and its files, and with which code they were made."""

    argument: Any
    files: tuple[tuple[str, str], ...]
    code: str


@cache
def fingerprint() -> str:
    """Version, and the hash of the code and the data that come with it.

    Examples
    --------
    >>> fingerprint() == fingerprint()
    True
    """
    found = hashlib.sha256()
    files = [path for folder in ("simulators", "scenarios") for path in (ROOT / folder).rglob("*.py")]
    files += [path for path in DATA.rglob("*") if path.is_file() and path.suffix != ".md"]
    for path in sorted(files):
        if "__pycache__" not in path.parts:
            found.update(path.read_bytes())
    return f"{metadata.version('wattloop')}-{found.hexdigest()[:16]}"


def files_of(study: Study) -> list[Path]:
    """The files of its user's that a study is read from, as it names them; those that come with the project are not.

    Raises
    ------
    InputError
        If one that it names by a specification (a site, a network, a policy) does not exist.

    Examples
    --------
    >>> files_of(Study())
    []
    """
    named = [value for value, _ in _leaves(study.model_dump()) if isinstance(value, Path)]
    for site in study.sites:
        named += [path for _, path in files_elsewhere(site)]
        place = load_site(site.place.site_name)
        named += [
            Path(site.place.site_name),
            *(ref.path for name in FILES if (ref := getattr(place, name)) is not None),
        ]
    if study.network is not None:
        named += [path for _, path in study.network.files()]
    if study.geo is not None:
        named += [path for _, path in study.geo.files()]
    return [path for path in dict.fromkeys(named) if path.is_file() and not _bundled(path)]


def job_of(study: Study, **beside: Any) -> Job:
    """A job whose argument holds the study under ``study``, and other plain values beside it."""
    return travelling({"study": study.model_dump(mode="json"), **beside}, files_of(study))


def travelling(argument: Mapping[str, Any], files: Sequence[Path]) -> Job:
    """A job of plain values, with the files that they name; in it they are named by absolute paths.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "mine.py"
    >>> _ = file.write_text("class Mine: ...")
    >>> job = travelling({"policy": f"{file}:Mine"}, [file])
    >>> job.argument["policy"] == f"{job.files[0][0]}:Mine", job.files[0][1] == sha256(file)
    (True, True)
    """
    whole = {str(path): os.path.abspath(path) for path in files}
    folders = {str(folder): os.path.abspath(folder) for path in files for folder in path.parents}

    def absolute(text: str, key: str) -> str:
        return _renamed(text, folders | whole if key in FOLDERS else whole)

    hashed = {os.path.abspath(path): sha256_as_it_is(path) for path in files}
    return Job(_mapped(argument, absolute), tuple(sorted(hashed.items())))


def opened(argument: Mapping[str, Any]) -> Study:
    """The study of a job."""
    return Study.model_validate(argument["study"])


def digest(job: Job) -> str:
    """The hash of a job: of what it is given, of its files, and of the code, data and packages it is run with.

    Examples
    --------
    >>> digest(Job({"a": 1})) == digest(Job({"a": 1})) != digest(Job({"a": 2}))
    True
    """
    argument = job.argument
    for path, sha in job.files:  # a file that moved is the same one
        argument = _mapped(argument, partial(_named_by, {path: sha}))
    text = json.dumps(
        [argument, sorted(sha for _, sha in job.files), fingerprint(), versions()], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def received(shipment: Shipment, contents: Mapping[str, bytes]) -> Any:
    """The argument of a job with its files where they are here: where they were there, if they are the same, else below
    a cache, at the paths they had there.

    Raises
    ------
    InputError
        If code and data here are others than where the job comes from.
    """
    if shipment.code != fingerprint():
        raise InputError(
            f"--scheduler: a worker runs wattloop {fingerprint()}, expected {shipment.code} as here "
            "(version, hash of code and data)"
        )
    if all(Path(path).is_file() and sha256_as_it_is(path) == sha for path, sha in shipment.files):
        return shipment.argument
    bundle = hashlib.sha256(repr(shipment.files).encode()).hexdigest()[:16]
    root = _cache() / bundle
    for path, sha in shipment.files:
        _put(root / path.lstrip("/"), sha, contents[sha])
    paths = {path: str(root / path.lstrip("/")) for path, _ in shipment.files}
    folders = {
        str(folder): str(root / str(folder).lstrip("/"))
        for path, _ in shipment.files
        for folder in Path(path).parents[:-1]
    }
    return _mapped(
        shipment.argument, lambda text, key: _renamed(text, folders | paths if key in FOLDERS else paths)
    )


def _cache() -> Path:
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(os.environ.get(CACHE) or Path(tempfile.gettempdir()) / f"wattloop-files-{owner}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != owner:
        raise InputError(f"{folder}: belongs to another user, expected a folder of one's own ({CACHE})")
    return folder


def _put(path: Path, sha: str, content: bytes) -> None:
    if path.is_file() and sha256(path) == sha:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)  # another worker may be about the same


def _bundled(path: Path) -> bool:
    """Whether it comes with the project or with a package that this one needs."""
    whole = path.resolve()
    return whole.is_relative_to(DATA) or "site-packages" in whole.parts


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Text with paths in it replaced where they stand alone, as in ``mine.py:MyPolicy``."""
    for name in sorted(names, key=len, reverse=True):
        if name in text and name not in (".", "/"):
            found = re.sub(rf"(?<![\w./-]){re.escape(name)}(?![\w/.-])", lambda _, to=names[name]: to, text)  # type: ignore[misc]
            if found != text:
                return found
    return text


def _named_by(names: Mapping[str, str], text: str, key: str) -> str:
    return _renamed(text, names)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[Any, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item, key)
    else:
        yield value, key


def _mapped(value: Any, change: Callable[[str, str], str], key: str = "") -> Any:
    """A tree of plain values with every text in it changed; `change` is given the text and the name it stands at."""
    if isinstance(value, Mapping):
        return {name: _mapped(item, change, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, change, key) for item in value]
    return change(value, key) if isinstance(value, str) else value
