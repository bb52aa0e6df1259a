"""A search, from its candidates to what is confirmed: estimates of all, runs of some, full runs of the front."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from scenarios.search_choice import at_best, beaten, dimensions, front, hopeless, less_is_better
from scenarios.search_entry import Entry, broken
from scenarios.search_figures import OBJECTIVES, serving_study
from scenarios.search_runs import Screened, run_alone, run_full, sample, screen
from scenarios.search_setting import Setting
from scenarios.search_space import Candidate
from scenarios.shipping import job_of
from scenarios.study import Study
from scenarios.workers import HERE, Outcome, WorkerOptions, each

ALWAYS_RUN = 8
"""Deployments that are run even if every estimate breaks a target: the closest, for the answer says by how much."""
IN_A_ROUND = 16
"""Runs between two looks at what they leave in the race, at least; two for every worker."""
SERVINGS_IN_A_JOB = 64


@dataclass
class Search:
    """The candidates of a study, and what is known of them.

    Attributes
    ----------
    setting
        What they share.
    entries
        The candidates.
    pool
        Where runs are done.
    left
        Deployments that `most_runs` left without a run though nothing rules them out.
    """

    setting: Setting
    entries: list[Entry]
    pool: WorkerOptions = HERE
    left: int = 0

    @classmethod
    def of(
        cls, study: Study, found: Sequence[Candidate], *, pool: WorkerOptions = HERE, **options: Any
    ) -> Search:
        """Of the candidates of a study; `options` are those of `Setting.of`, which says what it refuses."""
        setting = Setting.of(study, [one.serving for one in found], **options)
        return cls(setting, [Entry(one) for one in found], pool)

    # --- estimates ---------------------------------------------------------------------------------------------------

    def screen(self) -> None:
        """Estimate every deployment, and leave out what is impossible or breaks a target."""
        site = self.setting.study.site
        common: dict[str, Any] = {
            "workload": self.setting.workload, "span_s": self.setting.span_s, "steady": self.setting.steady,
            "percentile": self.setting.targets.percentile, "router": site.cluster.router,
        }  # fmt: skip
        # what is wrong with the requests is told once
        sample(self.setting.workload, self.setting.span_s, self.setting.steady)
        alike: dict[str, list[int]] = {}
        for at, entry in enumerate(self.entries):
            changes = {"replicas": 1, "clock_limit": 1.0, "power_cap_w": None}
            key = entry.candidate.serving.model_copy(update=changes).model_dump_json()
            alike.setdefault(key, []).append(at)
        parts = [
            group[k : k + SERVINGS_IN_A_JOB]
            for group in alike.values()
            for k in range(0, len(group), SERVINGS_IN_A_JOB)
        ]
        jobs = [
            job_of(
                self.setting.study,
                servings=[self.entries[at].candidate.serving.model_dump(mode="json") for at in part],
                **common,
            )
            for part in parts
        ]
        with self._bar(len(self.entries), "estimate") as bar:
            for outcome in each(screen, jobs, self.pool):
                for at, found in zip(parts[outcome.at], outcome.or_raise(), strict=True):
                    self._screened(self.entries[at], found)
                bar.update(len(parts[outcome.at]))

    def _screened(self, entry: Entry, found: Screened) -> None:
        serving = entry.candidate.serving
        if found.figures is not None:
            figures = found.figures
            entry.estimate = figures | self._row(entry, figures)
            entry.why = hopeless(serving, figures, self.setting.targets)
        else:
            entry.why = found.error

    def _row(self, entry: Entry, figures: Mapping[str, Any]) -> dict[str, Any]:
        given = (figures["gpu_w"], figures["busy"], figures["tokens_per_s"])
        return self.setting.around.row(entry.candidate.serving, *given)

    # --- runs on the simulator alone ---------------------------------------------------------------------------------

    def run(self, most_runs: int) -> None:
        """Run what may be the best or on the front, a round at a time, until nothing is left that may be.

        Parameters
        ----------
        most_runs
            At most; what is then left is counted in `left`.
        """
        todo = self._possible()
        done = 0
        with self._bar(min(len(todo), most_runs), "run") as bar:
            while todo and done < most_runs:
                some = self._next(todo)[: min(self._round, most_runs - done)]
                self.run_some(some, bar.update)
                done += len(some)
                todo = self._still_possible([at for at in todo if at not in set(some)])
                bar.total = min(done + len(todo), most_runs)
                bar.refresh()
        self.left = len(todo)
        self._mark_front()

    @property
    def _round(self) -> int:
        return max(IN_A_ROUND, 2 * self.pool.count(IN_A_ROUND))

    def _possible(self) -> list[int]:
        """What is not ruled out; where all estimates break a target, those that come closest."""
        possible = [at for at, entry in enumerate(self.entries) if not entry.why]
        if possible:
            return possible
        estimated = [at for at, entry in enumerate(self.entries) if entry.estimate is not None]
        estimated.sort(key=lambda at: self._distance(self.entries[at]))
        for at in estimated[:ALWAYS_RUN]:
            self.entries[at].why = ""
        return estimated[:ALWAYS_RUN]

    def _distance(self, entry: Entry) -> float:
        figures = entry.estimate or {}
        if np.isnan(figures["ttft_s"]):
            return float(1e6 * figures["utilisation"])
        return self.setting.targets.excess(figures)

    def _next(self, todo: Sequence[int]) -> list[int]:
        """Candidates in the order in which they are worth a run: least objective first, every other of the front."""
        column = OBJECTIVES[self.setting.objective][0]
        entries = [self.entries[at] for at in todo]
        names = dimensions(self.setting.objective, [entry.estimate for entry in entries if entry.estimate])
        least = np.array([at_best(e.candidate.serving, e.estimate or {}, names) for e in entries])
        by_objective = np.argsort(least[:, names.index(column)], kind="stable").tolist()
        figures = np.nan_to_num(least, neginf=-1e30)
        behind = beaten(figures, figures)
        ahead = [at for at in by_objective if not behind[at]]
        order: dict[int, None] = {}
        for pair in zip(by_objective, ahead + by_objective, strict=False):
            order |= dict.fromkeys(pair)
        return [todo[at] for at in order]

    def run_some(self, some: Sequence[int], told: Callable[[int], object] = lambda count: None) -> None:
        """Run deployments, by their place, on the simulator alone; `told` hears of each that is done."""
        common = {
            "workload": self.setting.workload, "span_s": self.setting.span_s, "warm_up_s": self.setting.warm_up_s,
            "percentile": self.setting.targets.percentile,
        }  # fmt: skip
        jobs = [job_of(self.study_of(self.entries[at]), **common) for at in some]
        for outcome in each(run_alone, jobs, self.pool):
            entry = self.entries[some[outcome.at]]
            figures = _told(outcome, entry)
            if figures is not None:
                entry.run = figures | (self._row(entry, figures) if figures["tokens_per_s"] > 0 else {})
                if not self.setting.targets.kept(entry.run):
                    entry.why = broken(entry.run, self.setting.targets)
            told(1)

    def _still_possible(self, todo: list[int]) -> list[int]:
        """Without those that are beaten, at their best, by one that was run and keeps the targets."""
        kept = [entry for entry in self.entries if entry.run is not None and not entry.why]
        if not kept or not todo:
            return todo
        names = dimensions(self.setting.objective, [entry.run for entry in kept if entry.run])
        by = less_is_better([entry.run for entry in kept if entry.run], names)
        entries = [self.entries[at] for at in todo]
        best = np.array([at_best(e.candidate.serving, e.estimate or {}, names) for e in entries])
        out = beaten(best, by)
        for entry, gone in zip(entries, out.tolist(), strict=True):
            if gone:
                entry.why = "beaten in every figure by one that was run"
        return [at for at, gone in zip(todo, out.tolist(), strict=True) if not gone]

    def _mark_front(self) -> None:
        kept = [entry for entry in self.entries if entry.run is not None and not entry.why]
        if not kept:
            return
        names = dimensions(self.setting.objective, [entry.run for entry in kept if entry.run])
        for entry, on_it in zip(
            kept, front(less_is_better([e.run for e in kept if e.run], names)).tolist(), strict=True
        ):
            entry.on_front = on_it
        min(kept, key=lambda entry: self.objective_of(entry.run)).on_front = True

    def objective_of(self, figures: Mapping[str, Any] | None) -> float:
        """What is to be least, of the figures of a stage."""
        return float((figures or {})[OBJECTIVES[self.setting.objective][0]])

    # --- full runs ---------------------------------------------------------------------------------------------------

    def confirm(self) -> Entry | None:
        """Simulate the front in full, and say which deployment is best; None if none keeps the targets.

        Where the best of the runs breaks a target in the full one, the next best is asked, on the front or not.
        """
        self._confirm([entry for entry in self.entries if entry.on_front])
        while True:
            kept = [entry for entry in self.entries if entry.run is not None and not entry.why]
            if not kept:
                return None
            best = min(kept, key=lambda entry: self.objective_of(entry.run))
            if best.full is not None:
                confirmed = [entry for entry in kept if entry.full is not None]
                return min(confirmed, key=lambda entry: self.objective_of(entry.full))
            self._confirm([best])

    def _confirm(self, entries: Sequence[Entry]) -> None:
        jobs = [job_of(self.study_of(entry), percentile=self.setting.targets.percentile) for entry in entries]
        with self._bar(len(jobs), "full run") as bar:
            for outcome in each(run_full, jobs, self.pool if len(jobs) > 1 else HERE):
                entry = entries[outcome.at]
                found = outcome.or_raise()
                per_token = found.pop("per_token")
                serving, rate = entry.candidate.serving, found["tokens_per_s"]
                entry.full = found | self.setting.around.per_token(serving, tokens_per_s=rate, **per_token)
                if not self.setting.targets.kept(entry.full):
                    entry.why, entry.on_front = f"full run: {broken(entry.full, self.setting.targets)}", False
                bar.update()

    # --- what they have in common ------------------------------------------------------------------------------------

    def study_of(self, entry: Entry) -> Study:
        """The study of a deployment."""
        return serving_study(self.setting.study, entry.candidate.serving)

    @property
    def closest(self) -> Entry | None:
        """Of what was run, the deployment that comes closest to the targets; None if nothing was."""
        ran = [entry for entry in self.entries if entry.run is not None]
        return min(ran, key=lambda entry: self.setting.targets.excess(entry.found), default=None)

    def _bar(self, total: int, unit: str) -> Any:
        return tqdm(total=total, unit=unit, delay=1, disable=None, file=sys.stderr, smoothing=0.1)


def _told(outcome: Outcome, entry: Entry) -> dict[str, Any] | None:
    """What a run gave; a deployment that is impossible after all is told as such."""
    if outcome.wrong_input:
        entry.why = outcome.error
        return None
    figures: dict[str, Any] = outcome.or_raise()
    return figures
