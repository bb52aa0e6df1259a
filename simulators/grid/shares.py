"""The buses that a site is at, from what a user says: one, or several with the share of its power at each."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from simulators.errors import InputError

_PART = re.compile(r"\s*(?P<bus>.+):(?P<share>[^:]+)")


class At(NamedTuple):
    """A bus, by index or name, and the share of a site's power that is drawn there."""

    bus: str
    share: float = 1.0


def buses_of(text: str) -> list[At]:
    """The buses of a site.

    Raises
    ------
    InputError
        If shares are not above 0 or their sum is not 1.

    Examples
    --------
    >>> buses_of("100"), buses_of("100:0.6, 80:0.4")
    ([At(bus='100', share=1.0)], [At(bus='100', share=0.6), At(bus='80', share=0.4)])
    """
    found = [_PART.fullmatch(part) for part in text.split(",")]
    if len(found) == 1 or not all(found):
        return [At(text.strip())]
    try:
        at = [At(part["bus"].strip(), float(part["share"])) for part in found if part]
    except ValueError:
        return [At(text.strip())]
    if not all(one.share > 0.0 for one in at) or not math.isclose(
        sum(one.share for one in at), 1.0, abs_tol=1e-9
    ):
        raise InputError(
            f"--bus: {text!r} given, expected shares above 0 whose sum is 1, e.g. 100:0.6,80:0.4"
        )
    return at
