"""Conversations as a user asks for them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from simulators.quantities.factor import Assumption
from simulators.traffic.sessions import GAP_S, LONGEST_CONTEXT, PROMPT_TOKENS, TURNS


class SessionOptions(BaseModel):
    """Requests that are turns of conversations on shared system prompts.

    Examples
    --------
    >>> SessionOptions().sessions() is None
    True
    >>> SessionOptions(session_turns=4).sessions()["turns"]
    4.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    session_turns: float | None = Field(
        None,
        ge=1,
        le=1000,
        description="mean turns of a conversation, e.g. 3.5: requests become turns that begin with all said before, at "
        "the same rate of requests; --lengths are then those of one turn's new text and answer  "
        "[default: every request for itself]",
    )
    session_gap: float = Field(
        GAP_S.value, ge=1e-3, le=10**7, description="mean time from one turn of a conversation to the next, s"
    )
    session_gap_cv: float = Field(
        1.0, ge=0.01, le=100, description="coefficient of variation of that time (1: exponential)"
    )
    system_prompts: int = Field(
        16, ge=1, le=65_536, description="system prompts that conversations begin with and share"
    )
    system_prompt_zipf: float = Field(
        1.0,
        ge=0,
        le=100,
        description="how unequally they are used: the k-th with a weight of k^-zipf (0: equally)",
    )
    system_prompt_tokens: float = Field(
        PROMPT_TOKENS.value, ge=0, le=LONGEST_CONTEXT, description="their mean length, tokens (0: none)"
    )
    system_prompt_cv: float = Field(
        1.0, ge=0, le=100, description="coefficient of variation of their lengths"
    )
    context_tokens: int = Field(
        8192,
        ge=1,
        le=LONGEST_CONTEXT,
        description="longest prompt and answer together, tokens; a turn that no longer fits begins a new conversation",
    )

    def sessions(self) -> dict[str, Any] | None:
        """What `sessions.Sessions` is made from; None if every request stands for itself."""
        if self.session_turns is None:
            return None
        return {
            "turns": self.session_turns,
            "gap_s": self.session_gap,
            "gap_cv": self.session_gap_cv,
            "prompts": self.system_prompts,
            "prompt_zipf": self.system_prompt_zipf,
            "prompt_tokens": self.system_prompt_tokens,
            "prompt_cv": self.system_prompt_cv,
            "context_tokens": self.context_tokens,
        }

    def assumptions(self) -> list[Assumption]:
        """What conversations are taken to be like, if there are any."""
        if self.session_turns is None:
            return []
        return [
            Assumption(name, factor if given == factor.value else factor.own(given))
            for name, factor, given in (
                ("session_turns", TURNS, self.session_turns),
                ("session_gap", GAP_S, self.session_gap),
                ("system_prompt_tokens", PROMPT_TOKENS, self.system_prompt_tokens),
            )
        ]
