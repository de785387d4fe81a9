"""How good the critic is on episodes that it never saw: AUC by episode, and Q against the Monte-Carlo return.

A critic memorises episodes: on those it was trained on it tells success from failure almost without fault, on others
much less, least of all in their first second. What is measured here decides whether anything downstream can work. An
episode counts once, however long it is: its score is the mean of Q over the executed chunks of a stretch of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from lwd_policy_node.policy import Policy
from lwd_policy_node.policy.critic import Critic

from lwd_learner.replay import DATASETS, Predicate, Replay, RowView, Transitions
from lwd_learner.replay.index import EpisodeFacts
from lwd_learner.training.batches import to_tensors
from lwd_learner.training.features import FeatureCache

Info = dict[str, float]
FIRST_SECOND_S = 1.0
LATER_STARTS = 12
"""Chunks scored after an episode's first second, equally spaced."""
EPISODES = 100
"""Newest episodes measured, of each data set."""


def seen(every: int) -> Predicate:
    """Rows of the episodes that V and Q learn from: all but every so-manieth of a data set; 0: all."""

    def accept(rows: RowView) -> npt.NDArray[np.bool_]:
        return ~held_out(rows.episode, every)

    return accept


def held_out(number: npt.NDArray[np.int32], every: int) -> npt.NDArray[np.bool_]:
    """Whether episodes of these numbers are kept from V and Q. A number holds for good, so none changes sides."""
    if every <= 0:
        return np.zeros(len(number), np.bool_)
    kept: npt.NDArray[np.bool_] = number % every == every - 1
    return kept


def auc(score: npt.NDArray[np.floating], won: npt.NDArray[np.bool_]) -> float:
    """Share of (won, lost) pairs that the score puts in the right order, ties half; NaN without a pair.

    Args:
        score: (E,).
        won: (E,) bool.
    """
    pairs = score[won][:, None] - score[~won][None, :]
    return float(np.mean((pairs > 0) + 0.5 * (pairs == 0))) if pairs.size else float('nan')


class HeldOut:
    """Measures a critic on the episodes that are kept from it, and on as many that are not."""

    def __init__(
        self, replay: Replay, policy: Policy, features: FeatureCache, gamma: float, every: int
    ) -> None:
        """`gamma` is per control step at 30 Hz, as the critic's."""
        self._replay, self._policy, self._features = replay, policy, features
        self._transitions = Transitions(replay, policy.config.horizon, gamma=gamma)
        self._every = every

    def measure(self, critic: Critic) -> Info:
        """AUC in the first second and later, and errors of the return, of held-out and of seen episodes."""
        info: Info = {}
        for name, wanted in (('held_out', True), ('seen', False)):
            info |= {f'{name}/{k}': v for k, v in self._measure(critic, wanted).items()}
        return info

    @torch.no_grad()
    def _measure(self, critic: Critic, wanted: bool) -> Info:
        first, later, won = [], [], []
        q_all, return_all = [], []
        for dataset in DATASETS:
            for episode in self._episodes(dataset, wanted):
                local, early = self._starts(dataset, episode)
                if len(local) == 0:
                    continue
                q = self._q(critic, self._replay.global_rows(dataset, local))
                success = episode.won
                steps = episode.stop - 1 - local
                returns = float(success) * self._transitions.step_gamma ** steps.astype(float)
                first.append(q[early].mean() if early.any() else np.nan)
                later.append(q[~early].mean() if (~early).any() else np.nan)
                won.append(success)
                q_all.append(q)
                return_all.append(returns)
        if not won:
            return {'episodes': 0.0}
        q, returns, label = np.concatenate(q_all), np.concatenate(return_all), np.array(won)
        spread = q.std() * returns.std()
        return {
            'episodes': float(len(won)),
            'auc_first_second': _auc_of_known(np.array(first), label),
            'auc_later': _auc_of_known(np.array(later), label),
            'q_mean': float(q.mean()),
            'return_mean': float(returns.mean()),
            'return_rmse': float(np.sqrt(np.mean((q - returns) ** 2))),
            'return_correlation': float(
                np.mean((q - q.mean()) * (returns - returns.mean())) / spread
            )
            if spread > 0
            else float('nan'),
        }

    def _episodes(self, dataset: str, wanted: bool) -> list[EpisodeFacts]:
        """The newest ones on the wanted side that ended with a verdict; of seen ones as many as of held-out ones."""
        facts = self._replay.episodes(dataset)
        side = held_out(np.arange(len(facts), dtype=np.int32), self._every)
        most = EPISODES if wanted else min(EPISODES, int(side.sum()))
        verdict = [
            not e.pruned and (e.kind == 'play' or e.outcome in ('success', 'failure'))
            for e in facts
        ]
        chosen = [
            e
            for e, held, ok in zip(facts, side.tolist(), verdict, strict=True)
            if ok and held == wanted
        ]
        return chosen[max(0, len(chosen) - most) :]

    def _starts(
        self, dataset: str, episode: EpisodeFacts
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Local start rows that are scored, and which of them lie in the first second."""
        index = self._replay.index(dataset)
        rows = np.arange(episode.start, episode.stop)
        rows = rows[index.new_image.data[rows] & (index.limit.data[rows] > rows)]
        early = index.stamp_s.data[rows] - index.stamp_s.data[episode.start] < FIRST_SECOND_S
        late = rows[~early]
        spaced = np.linspace(0, len(late) - 1, min(LATER_STARTS, len(late))).round().astype(int)
        kept = np.concatenate([rows[early], late[spaced]])
        return kept, np.arange(len(kept)) < int(early.sum())

    def _q(self, critic: Critic, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        device = next(critic.parameters()).device
        batch = to_tensors(
            self._transitions.read(starts), self._replay, self._policy, self._features
        ).to(device)
        readout = critic.readout(batch.features, batch.text, batch.state)
        values: npt.NDArray[np.float32] = (
            critic.q(readout, batch.chunk, batch.steps).amin(0).float().cpu().numpy()
        )
        return values


def _auc_of_known(score: npt.NDArray[np.floating], won: npt.NDArray[np.bool_]) -> float:
    known = np.isfinite(score)
    return auc(score[known], won[known])
