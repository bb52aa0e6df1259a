"""In which order nodes are eliminated, and what fills in: found once for a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix
from scipy.sparse.linalg import splu

from simulators.grid.flow.newton import FIXED, PV, Indices, System


def system_of(
    admittance: Any, fixed: NDArray[np.int64], pv: NDArray[np.int64]
) -> tuple[System, NDArray[np.int64]]:
    """The equations of a network, its nodes in an order of elimination that fills in little (minimum degree).

    Parameters
    ----------
    admittance
        Sparse matrix of the nodes, p.u.
    fixed, pv
        Nodes whose voltage is known, and whose active power and magnitude are.

    Returns
    -------
    system, place
        The equations, and where each node of the matrix stands in them; shape (nodes,).

    Examples
    --------
    >>> star = csr_matrix(np.array([[3.0, -1, -1, -1], [-1, 1, 0, 0], [-1, 0, 1, 0], [-1, 0, 0, 1]]))
    >>> system, place = system_of(star, np.array([1]), np.array([], dtype=int))
    >>> len(system.upper), int(system.kind[place[1]]) == FIXED  # leaves first: nothing fills in
    (3, True)
    """
    place = _order(admittance)
    inside = csr_matrix(admittance).tocoo()
    matrix = csr_matrix((inside.data, (place[inside.row], place[inside.col])), shape=inside.shape)
    matrix.sum_duplicates()
    matrix.sort_indices()
    kind = np.zeros(len(place), dtype=np.int8)
    kind[place[pv]] = PV
    kind[place[fixed]] = FIXED
    upper = _filled(matrix)
    lower: list[list[int]] = [[] for _ in upper]
    for row, columns in enumerate(upper):
        for column in columns:
            lower[column].append(row)
    return System(
        matrix.indptr.astype(np.int32),
        matrix.indices.astype(np.int32),
        matrix.data.astype(np.complex128),
        kind,
        *_by_rows(upper),
        *_by_rows(lower),
    ), place


def _order(admittance: Any) -> NDArray[np.int64]:
    """Place of every node in the order of elimination: SuperLU's minimum degree on the matrix's structure."""
    pattern = csc_matrix(abs(admittance) + abs(admittance).T)
    pattern.data[:] = -1.0
    pattern = pattern.tolil()
    pattern.setdiag(1.0 + np.asarray((pattern != 0).sum(axis=1)).ravel())
    factor = splu(
        csc_matrix(pattern),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    found: NDArray[np.int64] = factor.perm_c.astype(np.int64)
    return found


def _filled(matrix: Any) -> list[list[int]]:
    """Columns above the diagonal of each row after elimination, ascending.

    What a row holds, the first row it points to inherits (elimination tree).
    """
    rows: list[set[int]] = [set() for _ in range(matrix.shape[0])]
    entries = matrix.tocoo()
    for i, j in zip(entries.row.tolist(), entries.col.tolist(), strict=True):
        if i != j:
            rows[min(i, j)].add(max(i, j))
    for columns in rows:
        if columns:
            first = min(columns)
            rows[first] |= columns - {first}
    return [sorted(columns) for columns in rows]


def _by_rows(rows: Sequence[Sequence[int]]) -> tuple[Indices, Indices]:
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int32)
    return start, np.array([entry for row in rows for entry in row], dtype=np.int32)
