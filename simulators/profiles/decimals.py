"""Numbers as files write them: one convention for a whole column, found from its cells or stated, never guessed.

``1,015`` is a thousand in one country and about one in another. A column is read with a decimal comma only if one of
its cells can mean nothing else, with thousands commas only if one of its cells can mean nothing else; a column in which
both occur, or which could be either, is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Decimal = Literal["point", "comma"]

MISSING = ("", "nan", "na", "n/a", "#n/a", "#nv", "<na>", "null", "none", "-", "--", "n/e", "missing")
"""Cells that hold no value, in lower case; ENTSO-E writes n/e, SMARD a dash, spreadsheets #N/A."""

LEAST = 1e-300
"""Least size of a number that is not 0: what is smaller is no measurement, and its inverse no number."""

_SPACED = r"^([+-]?\d{1,3})((?:[ \u00a0\u202f\u2009'\u2019]\d{3})+)(?![\d ])"
"""Thousands apart by a space or an apostrophe, as in France, Scandinavia and Switzerland."""

_SIGN = r"^[+-]?"
# cells that can only be read one way
_COMMA = (
    _SIGN
    + r"(?:\d+,(?:\d{1,2}|\d{4,})|0\d*,\d+|\d{4,},\d+|,\d+|\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,})$"
)
_POINT = (
    _SIGN
    + r"(?:\d+\.(?:\d{1,2}|\d{4,})|0\d*\.\d+|\d{4,}\.\d+|\.\d+|\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,})$"
)
# what a cell must look like once the convention is known
_GROUPED = {
    "comma": _SIGN + r"(?:\d+|\d{1,3}(?:\.\d{3})+)?(?:,\d*)?(?:[eE][+-]?\d+)?$",
    "point": _SIGN + r"(?:\d+|\d{1,3}(?:,\d{3})+)?(?:\.\d*)?(?:[eE][+-]?\d+)?$",
}


class Ambiguous(ValueError):
    """Cells that could be read in two ways, or in two ways at once; `row` is the first of them."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row


def parsed(cells: pd.Series[str], said: Decimal | None) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Numbers of text cells, and the rows that are none; an empty cell is NaN.

    Raises
    ------
    Ambiguous
        If the cells do not tell where their decimals begin, and nobody said.

    Examples
    --------
    >>> import pandas as pd
    >>> parsed(pd.Series(["1.234,5", "7"], dtype="string"), None)[0].tolist()
    [1234.5, 7.0]
    >>> parsed(pd.Series(["1,015", "2,030"], dtype="string"), "point")[0].tolist()
    [1015.0, 2030.0]
    """
    text = cells.astype("string").str.strip().fillna("")
    empty = text.str.lower().isin(MISSING)
    if said != "comma":  # most columns are plain numbers: no need to look at their cells one by one
        values, bad = _plain(text, empty)
        if not len(bad):
            return values, bad
    text = text.str.replace("\u2212", "-", regex=False)
    spaced = text.str.match(_SPACED)
    text = text.mask(spaced, text.str.replace(r"[ \u00a0\u202f\u2009'\u2019]", "", regex=True))
    commas = text.str.contains(",", regex=False)
    decimal = said or (_convention(text, commas) if bool(commas.any()) else "point")
    odd = np.zeros(len(text), dtype=bool)
    if decimal == "comma" or bool(commas.any()):
        odd = ~text.str.match(_GROUPED[decimal]).to_numpy(dtype=bool) & ~empty.to_numpy(dtype=bool)
        group, point = (".", ",") if decimal == "comma" else (",", ".")
        text = text.str.replace(group, "", regex=False).str.replace(point, ".", regex=False)
    values, bad = _plain(text, empty)
    return values, np.union1d(bad, np.flatnonzero(odd)).astype(np.intp)


def _plain(text: pd.Series[str], empty: pd.Series[bool]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Numbers with a decimal point, and the rows that are none."""
    import pandas as pd

    numbers = pd.to_numeric(text.mask(empty, ""), errors="coerce")
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.isnan(values) & ~empty.to_numpy(dtype=bool)
    bad |= (values != 0) & (np.abs(values) < LEAST)
    return values, np.flatnonzero(bad)


def _convention(text: pd.Series[str], commas: pd.Series[bool]) -> Decimal:
    """What the cells of a column with commas can only mean."""
    as_comma = text.str.match(_COMMA).to_numpy(dtype=bool)
    as_point = text.str.match(_POINT).to_numpy(dtype=bool)
    first = int(np.flatnonzero(commas.to_numpy(dtype=bool))[0])
    if as_comma.any() and as_point.any():
        row = int(np.flatnonzero(as_point)[0])
        other = text.iloc[int(np.flatnonzero(as_comma)[0])]
        raise Ambiguous(row, f"'{text.iloc[row]}' has a decimal point, '{other}' a decimal comma")
    if not as_comma.any() and not as_point.any():
        cell = text.iloc[first]
        raise Ambiguous(first, f"'{cell}' may be {cell.replace(',', '')} or {cell.replace(',', '.')}")
    return "comma" if as_comma.any() else "point"
