"""Conversations: shared system prompts, and turns that each begin with all that was said before.

A session comes with its first turn, on a system prompt that it shares with others. Each further turn follows the one
before after a gap, whatever the service does meanwhile; its prompt is the system prompt, what was asked and answered so
far, and the new text. The number of turns is geometric. Where a turn no longer fits into the model's context, the user
begins a new conversation within the session.

What is in a prompt is said by hashes, one for every so many tokens (`RequestBlock.hash_ids`): those within the system
prompt are of all its sessions, the others of the conversation alone, answers included, as the next turn repeats them.
Where the system prompt ends within a block, that block is the conversation's.

Sessions come as a law of arrivals says, at the rate of requests over the mean number of turns, and some are under way
when the run begins: of a Poisson process in its steady state, so that the rate of requests holds from the start
(Cox and Isham, *Point Processes*, 1980, section 3.4: cluster processes). Under a rate that changes, requests follow it
by the time that turns take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.quantities.factor import Factor
from simulators.quantities.requests import RequestBlock, ragged
from simulators.traffic.arrivals import Modelled
from simulators.traffic.gaps import gap_law
from simulators.traffic.lengths import MAX_TOKENS, Lengths, LogNormal, cumulative_of, pick
from simulators.traffic.stream import Stream, child_seeds, with_deferral

TURNS = Factor(
    3.5,
    2.0,
    4.6,
    "turns per session",
    "mean of ShareGPT 3.51, LMSYS-Chat-1M 2.0 (arXiv 2309.11998), WildChat 2.5 (arXiv 2405.01470), ShareChat 4.6 "
    "(arXiv 2512.17843)",
)
GAP_S = Factor(
    100.0,
    30.0,
    600.0,
    "s",
    "order of the time between turns in a production service, with a long tail (ServeGen, arXiv 2505.09999); the range "
    "is a judgement",
)
PROMPT_TOKENS = Factor(
    1024.0,
    512.0,
    16_000.0,
    "tokens",
    "a judgement: all 12,031 requests of Mooncake's conversation trace share their first 512 tokens (arXiv "
    "2407.00079); published system prompts of assistants with tools have some ten thousand",
)

AT_ONCE = 512
"""Sessions drawn in one go."""
BLOCK = 4096
"""Requests handed out in one go."""
FIRST_HASH = 2**20
"""Hashes of conversations begin here; those of system prompts are below."""
LONGEST_CONTEXT = 2**24
"""More tokens than any model has room for."""

_CHILD = 3
"""The child of the seed that sessions draw from; the first three are those of other requests."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sessions:
    """What sessions are like.

    Attributes
    ----------
    turns
        Mean number of turns, >= 1.
    gap_s, gap_cv
        Time from one turn to the next: mean, s, and coefficient of variation (1: exponential, above: a longer tail).
    prompts, prompt_zipf
        System prompts; the k-th is chosen with a weight of k to the power of minus `prompt_zipf`.
    prompt_tokens, prompt_cv
        Their lengths, log-normal: mean, tokens (0: there is none), and coefficient of variation.
    context_tokens
        Longest prompt and answer together; a turn that is longer by itself is left as it is.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    turns: float = TURNS.value
    gap_s: float = GAP_S.value
    gap_cv: float = 1.0
    prompts: int = 16
    prompt_zipf: float = 1.0
    prompt_tokens: float = PROMPT_TOKENS.value
    prompt_cv: float = 1.0
    context_tokens: int = 8192

    def __post_init__(self) -> None:
        for what, value, least, most in (
            ("turns of a session", self.turns, 1, 1000),
            ("gap between turns", self.gap_s, 1e-3, 1e7),
            ("variation of the gaps", self.gap_cv, 1e-2, 100),
            ("number of system prompts", self.prompts, 1, FIRST_HASH // 16),
            ("exponent of the system prompts", self.prompt_zipf, 0, 100),
            ("length of the system prompts", self.prompt_tokens, 0, LONGEST_CONTEXT),
            ("variation of the system prompts' lengths", self.prompt_cv, 0, 100),
            ("context", self.context_tokens, 1, LONGEST_CONTEXT),
        ):
            if not least <= value <= most:
                raise InputError(f"sessions: the {what} is {value:g}, expected {least:g} to {most:g}")

    def system_prompts(self, rng: np.random.Generator) -> Ints:
        """Lengths of the system prompts, tokens, each at most half of the context; shape (prompts,)."""
        if self.prompt_tokens < 1:
            return np.zeros(self.prompts, np.int64)
        law = LogNormal(self.prompt_tokens, self.prompt_cv, 1.0, 0.0)
        tokens: Ints = np.minimum(law.draw(rng, self.prompts)[0], self.context_tokens // 2)
        return tokens


def session_requests(
    sessions: Sessions,
    arrivals: Modelled,
    lengths: Lengths,
    seed: np.random.SeedSequence,
    hash_tokens: int | None,
    tenant: int = 0,
) -> Iterator[RequestBlock]:
    """Turns of sessions in order of arrival, block by block; only what sessions under way will still ask is kept.

    Parameters
    ----------
    sessions
        What they are like.
    arrivals
        When they come.
    lengths
        New text and answer of a turn.
    seed
        Arrivals, lengths and the rest draw from children of it.
    hash_tokens
        Tokens that a hash stands for; None: none are made.
    tenant
        Index written into every request.

    Examples
    --------
    >>> from simulators.traffic.arrivals import Poisson
    >>> from simulators.traffic.lengths import Fixed
    >>> law = Sessions(turns=2.0, prompts=1, prompt_tokens=1024.0, prompt_cv=0.0)
    >>> seed = np.random.SeedSequence(1)
    >>> block = next(session_requests(law, Poisson(1.0), Fixed(100, 60), seed, hash_tokens=512))
    >>> sorted(set(block.prefill_tokens.tolist()))[:3]  # one turn, two, three
    [1124, 1284, 1444]
    """
    if hash_tokens is not None and hash_tokens < 1:
        raise InputError(f"sessions: a hash of {hash_tokens} tokens, expected at least 1")
    arrival_seed, length_seed, own_seed = seed.spawn(3)
    rng = np.random.default_rng(own_seed)
    maker = _Maker(sessions, lengths, np.random.default_rng(length_seed), rng, hash_tokens, tenant)
    turns = maker.under_way(arrivals.rate_at_start_per_s)
    for starts in arrivals.chunks(np.random.default_rng(arrival_seed)):
        for first in range(0, len(starts), AT_ONCE):
            some = starts[first : first + AT_ONCE]
            turns = _by_time(np.concatenate((turns, maker.starting(some))))
            ready = int(np.searchsorted(turns["at"], some[-1]))  # who comes later has no turn before
            yield from maker.blocks(turns[:ready])
            turns = turns[ready:]
    yield from maker.blocks(_by_time(turns))


def session_workload(
    sessions: Sessions,
    arrivals: Modelled,
    lengths: Lengths,
    seed: int,
    hash_tokens: int | None,
    num_requests: int | None = None,
    horizon_s: float | None = None,
    deferrable_share: float = 0.0,
    defer_window_s: float | tuple[float, float] = 3600.0,
    tenant: int = 0,
) -> Stream:
    """A workload of `session_requests`; the other parameters as those of `SyntheticWorkload`."""
    *_, defer_seed = child_seeds(seed)
    own_seed = np.random.SeedSequence(seed, spawn_key=(_CHILD,))
    blocks = session_requests(sessions, arrivals, lengths, own_seed, hash_tokens, tenant)
    return Stream(
        with_deferral(blocks, deferrable_share, defer_window_s, defer_seed),
        max_requests=num_requests,
        horizon_s=horizon_s,
        bounded=arrivals.bounded,
    )


_TURN = np.dtype(
    [
        ("at", np.float64),  # s
        ("session", np.int64),
        ("prompt", np.int64),  # tokens, all of them
        ("answer", np.int64),
        ("shared_from", np.int64),  # first hash of the system prompt
        ("shared", np.int64),  # how many
        ("own_from", np.int64),  # first hash of the conversation
    ]
)
Turns = NDArray[np.void]


def _by_time(turns: Turns) -> Turns:
    ordered: Turns = turns[np.argsort(turns["at"], kind="stable")]
    return ordered


class _Maker:
    """Draws sessions and makes requests of their turns."""

    def __init__(
        self,
        sessions: Sessions,
        lengths: Lengths,
        length_rng: np.random.Generator,
        rng: np.random.Generator,
        hash_tokens: int | None,
        tenant: int,
    ) -> None:
        self._law, self._lengths = sessions, lengths
        self._length_rng, self._rng = length_rng, rng
        # without hashes one would stand for all
        self._hash_tokens, self._tenant = hash_tokens or 2 * LONGEST_CONTEXT, tenant
        self._hashed = hash_tokens is not None
        self._gaps = gap_law(sessions.gap_cv)
        self._prompts = sessions.system_prompts(rng)
        hashes = self._prompts // self._hash_tokens
        if hashes.sum() > FIRST_HASH:
            raise InputError(
                f"sessions: {hashes.sum()} hashes of system prompts, expected at most {FIRST_HASH}: fewer, shorter "
                "ones or more tokens a hash"
            )
        self._prompt_hashes = np.cumsum(hashes) - hashes
        self._weights = cumulative_of(np.arange(1.0, sessions.prompts + 1) ** -sessions.prompt_zipf)
        self._next_hash, self._next_session = FIRST_HASH, 0

    def starting(self, starts: NDArray[np.float64]) -> Turns:
        """All turns of sessions that start at these times, s."""
        count = self._rng.geometric(1.0 / self._law.turns, len(starts))
        return self._turns(starts, count, np.zeros_like(count))

    def under_way(self, sessions_per_s: float) -> Turns:
        """The turns to come of sessions that have begun before the run, in the steady state at a rate of sessions.

        So many are there as begin in the mean time from a first turn to the last. How many turns a session has had
        is geometric like how many are to come, and the next comes after a residual gap.
        """
        law, rng = self._law, self._rng
        number = rng.poisson(sessions_per_s * law.gap_s * (law.turns - 1.0))
        past, left = rng.geometric(1.0 / law.turns, (2, number))
        next_at = law.gap_s * np.array([self._gaps.residual(rng) for _ in range(number)])
        return self._turns(next_at, past + left, past)

    def _turns(self, starts: NDArray[np.float64], count: Ints, past: Ints) -> Turns:
        """Turns from number `past` of each session on, which comes at `starts`."""
        total, number = int(count.sum()), len(count)
        of = np.repeat(np.arange(number), count)
        begins = np.cumsum(count) - count
        turn = np.arange(total) - begins[of]
        text, answer = self._lengths.draw(self._length_rng, total)
        waits = np.where(turn > past[of], self._law.gap_s * self._gaps.gaps(self._rng, total), 0.0)
        waited = np.cumsum(waits)
        chosen = pick(self._weights, self._rng, number)
        system = self._prompts[chosen]
        made = np.zeros(total, _TURN)
        made["at"] = starts[of] + (waited - (waited[begins] - waits[begins])[of])
        made["session"] = self._next_session + of
        made["answer"] = answer
        made["shared_from"] = self._prompt_hashes[chosen][of]
        made["shared"] = (system // self._hash_tokens)[of]
        before, conversation = self._history(text, answer, count, begins, system)
        made["prompt"] = np.minimum(system[of] + before + text, MAX_TOKENS)
        # hashes of each conversation one after the other: as many as the longest of its turns needs
        needed = self._hashes(made) - made["shared"]
        each = np.zeros(int(conversation[-1]) + 1 if total else 0, np.int64)
        np.maximum.at(each, conversation, needed)
        made["own_from"] = self._next_hash + (np.cumsum(each) - each)[conversation]
        self._next_hash += int(each.sum())
        self._next_session += number
        return made[turn >= past[of]]

    def _history(
        self, text: Ints, answer: Ints, count: Ints, begins: Ints, system: Ints
    ) -> tuple[Ints, Ints]:
        """Tokens said before each turn, and the number of its conversation."""
        said = np.zeros(len(count), np.int64)
        before, fresh = np.zeros(len(text), np.int64), np.zeros(len(text), np.bool_)
        for turn in range(int(count.max(initial=0))):
            on = np.flatnonzero(count > turn)
            at = begins[on] + turn
            fits = system[on] + said[on] + text[at] + answer[at] <= self._law.context_tokens
            fresh[at] = ~fits | (turn == 0)
            before[at] = np.where(fits, said[on], 0)
            said[on] = before[at] + text[at] + answer[at]
        return before, np.cumsum(fresh) - 1

    def _hashes(self, turns: Turns) -> Ints:
        """Hashes of each turn: of prompt and answer, and always one that begins behind the prompt."""
        each = self._hash_tokens
        of_all: Ints = -(-(turns["prompt"] + turns["answer"]) // each)
        more: Ints = -(-turns["prompt"] // each) + 1
        return np.maximum(of_all, more)

    def blocks(self, turns: Turns) -> Iterator[RequestBlock]:
        """Requests of turns in order of time."""
        for first in range(0, len(turns), BLOCK):
            yield self._block(turns[first : first + BLOCK])

    def _block(self, turns: Turns) -> RequestBlock:
        number = len(turns)
        return RequestBlock(
            turns["at"].copy(),
            turns["prompt"].copy(),
            turns["answer"].copy(),
            np.zeros(number, np.bool_),
            np.full(number, np.inf),
            np.full(number, self._tenant, np.int32),
            hash_ids=self._hash_ids(turns) if self._hashed else None,
            session=turns["session"].copy(),
        )

    def _hash_ids(self, turns: Turns) -> NDArray[np.object_]:
        number = len(turns)
        count = self._hashes(turns)
        of = np.repeat(np.arange(number), count)
        place = np.arange(len(of)) - (np.cumsum(count) - count)[of]
        shared = turns["shared"][of]
        hashes = np.where(
            place < shared, turns["shared_from"][of] + place, turns["own_from"][of] + place - shared
        )
        return ragged(np.split(hashes, np.cumsum(count)[:-1]))
