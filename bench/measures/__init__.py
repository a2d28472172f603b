"""What is measured: the flat names that a record's `measures` uses, with unit, direction and the defining function.

The definitions are in this package's modules, one pure function each. Nothing heavy is imported: `bench list` reads
this file. `bench.measures.computing` calls the functions, `bench.measures.metrics` gives each as an `evaluate.Metric`,
and `bench measures` prints the page in README.md from their docstrings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MeasureInfo:
    """What a table or a listing needs to know about a measure.

    better: where a good policy is; ``"zero"`` for signed estimates of something that should vanish; None
    where neither direction is good in itself.
    function: ``"module.function"`` within this package.
    inputs: the columns that are the function's positional arguments, in order, by blanks; one row per completion,
    question, pair, …
    """

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower", "zero"] | None
    description: str
    function: str
    inputs: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in `inputs`."""
        return tuple(self.inputs.split())


_M = MeasureInfo
# fmt: off
_ALL = (
    _M("proxy", "proxy reward", "", "higher", "mean score of the learned reward model",
       "reward.mean", "proxy"),
    _M("proxy_sd", "proxy reward, sd", "", None, "standard deviation of proxy over completions",
       "reward.standard_deviation", "proxy"),
    _M("gold", "gold reward", "", "higher", "mean of what is really wanted, where it is known",
       "reward.mean", "gold"),
    _M("gold_sd", "gold reward, sd", "", None, "standard deviation of gold over completions",
       "reward.standard_deviation", "gold"),
    _M("judge", "judge", "", "higher", "mean score by gold, or by a reward model no policy has seen",
       "reward.mean", "judge"),
    _M("judge_sd", "judge, sd", "", None, "standard deviation of judge over completions",
       "reward.standard_deviation", "judge"),
    _M("kl", "KL", "nats", None, "KL(π‖π0) per completion, whole vocabulary at each sampled prefix",
       "divergence.mean_kl", "kl"),
    _M("kl_k1", "KL, k1", "nats", None, "plain Monte Carlo KL(π‖π0): mean of −log r, r = π0/π",
       "divergence.mean_kl_k1", "logp reference_logp"),
    _M("kl_k3", "KL, k3", "nats", None, "mean of r − 1 − log r; heavy-tailed where KL is large",
       "divergence.mean_kl_k3", "logp reference_logp"),
    _M("kl_k3_low", "KL, k3, low", "nats", None, "lower end of one cell's 95 % interval about k3",
       "divergence.kl_k3_low", "logp reference_logp prompt_ids"),
    _M("kl_k3_high", "KL, k3, high", "nats", None, "upper end of one cell's 95 % interval about k3",
       "divergence.kl_k3_high", "logp reference_logp prompt_ids"),
    _M("kl_forward", "forward KL", "nats", None, "KL(π0‖π) per completion, on π0's samples",
       "divergence.mean_forward_kl", "kl_forward"),
    _M("kl_bound", "KL, upper bound", "nats", None, "best-of-n only: log n − (n − 1)/n",
       "divergence.best_of_n_bound", "n"),
    _M("perplexity_reference", "perplexity (reference)", "", "lower", "of π on held-out reference text",
       "perplexity.perplexity", "reference_nll reference_tokens"),
    _M("perplexity_samples", "perplexity (samples)", "", None, "of π0 on π's samples: how odd they look",
       "perplexity.perplexity_of_samples", "reference_logp length"),
    _M("surprising", "surprising", "", "lower", "share of completions odder to π0 than 99 % of its own",
       "perplexity.surprising_share", "reference_logp length reference_sample_logp reference_sample_length"),
    _M("entropy", "entropy", "nats/token", None, "mean entropy of π's next-token distribution",
       "diversity.token_entropy", "entropy length"),
    _M("distinct_1", "distinct-1", "", None, "distinct words / words among one prompt's completions",
       "diversity.distinct_1", "texts prompt_ids"),
    _M("distinct_2", "distinct-2", "", None, "distinct word pairs / pairs, likewise",
       "diversity.distinct_2", "texts prompt_ids"),
    _M("unique", "unique", "", None, "share of distinct completions among one prompt's",
       "diversity.unique_share", "texts prompt_ids"),
    _M("self_bleu", "self-BLEU", "", None, "how alike one prompt's completions are",
       "diversity.self_bleu", "texts prompt_ids"),
    _M("length", "length", "tokens", None, "mean tokens per completion, end of sequence included",
       "reward.mean", "length"),
    _M("finished", "finished", "", None, "share of completions that ended before the token limit",
       "reward.mean", "finished"),
    _M("ece_all", "ECE (plain)", "", "lower", "10 equal-width bins, every choice an entry",
       "calibration.ece_every_choice", "probabilities answers"),
    _M("ece_top", "ECE (top choice)", "", "lower", "10 equal-width bins, the most probable choice alone",
       "calibration.ece_top_choice", "probabilities answers"),
    _M("ece_debiased", "ECE", "", "zero", "debiased: equal-mass bins, every choice an entry; primary",
       "calibration.ece_debiased", "probabilities answers"),
    _M("ece_scaled", "ECE (scaled)", "", "zero", "debiased, after fitting one temperature on the other half",
       "calibration.ece_scaled", "probabilities answers"),
    _M("probe_temperature", "temperature", "", None, "best fit on the probes; above 1: over-confident",
       "calibration.probe_temperature", "probabilities answers"),
    _M("ece_exact", "distance to posterior", "", "lower", "mean |p − true posterior| over all choices",
       "calibration.exact_calibration_error", "probabilities posteriors"),
    _M("brier", "Brier", "", "lower", "mean (probability − outcome)² over all choices",
       "calibration.brier_score", "probabilities answers"),
    _M("brier_reliability", "Brier, reliability", "", "lower", "its part from miscalibration",
       "calibration.brier_reliability", "probabilities answers"),
    _M("brier_resolution", "Brier, resolution", "", "higher", "its part from knowledge",
       "calibration.brier_resolution", "probabilities answers"),
    _M("probe_nll", "probe NLL", "nats", "lower", "mean −log probability of the right choice",
       "calibration.answer_nll", "probabilities answers"),
    _M("probe_accuracy", "probe accuracy", "", "higher", "how often the most probable choice is right",
       "calibration.accuracy", "probabilities answers"),
    _M("probe_count", "probes", "questions", None, "number of multiple-choice questions",
       "calibration.count", "answers"),
    _M("token_ece", "token ECE", "", "zero", "debiased, the top token at each place of reference text",
       "calibration.token_ece", "token_confidence token_correct"),
    _M("token_ece_all", "token ECE (all)", "", "zero", "debiased, every token of probability ≥ 0.01 there",
       "calibration.token_ece_all", "entry_confidence entry_correct"),
    _M("win", "win", "", "higher", "share of completions judged better than π0's for the prompt",
       "preference.win_share", "judge reference_judge"),
    _M("tie", "tie", "", None, "share of completions within the tie band of π0's for the prompt",
       "preference.tie_share", "judge reference_judge"),
    _M("loss", "loss", "", "lower", "share of completions judged worse than π0's for the prompt",
       "preference.loss_share", "judge reference_judge"),
    _M("win_rate", "win rate vs SFT", "", "higher", "(wins + ½ ties) / N against π0, the SFT policy",
       "preference.win_rate_of_scores", "judge reference_judge"),
    _M("chosen_logp", "log π(chosen)", "nats", None, "mean log-probability of held-out chosen completions",
       "preference.mean_logp", "chosen_logp"),
    _M("rejected_logp", "log π(rejected)", "nats", None, "mean log-probability of held-out rejected completions",
       "preference.mean_logp", "rejected_logp"),
    _M("reference_proxy", "proxy reward of π0", "", None, "mean over π0's own samples, to standardise on",
       "reward.mean", "reference_proxy"),
    _M("reference_proxy_sd", "proxy reward of π0, sd", "", None, "its standard deviation over completions",
       "reward.standard_deviation", "reference_proxy"),
    _M("reference_gold", "gold reward of π0", "", None, "mean over π0's own samples, to standardise on",
       "reward.mean", "reference_gold"),
    _M("reference_gold_sd", "gold reward of π0, sd", "", None, "its standard deviation over completions",
       "reward.standard_deviation", "reference_gold"),
    _M("reference_judge", "judge of π0", "", None, "mean over π0's own samples, to standardise on",
       "reward.mean", "reference_judge"),
    _M("reference_judge_sd", "judge of π0, sd", "", None, "its standard deviation over completions",
       "reward.standard_deviation", "reference_judge"),
    _M("reward_model_accuracy", "reward-model accuracy", "", "higher", "on held-out preference pairs",
       "reward_model.pair_accuracy", "chosen_score rejected_score"),
    _M("reward_model_ece", "reward-model ECE", "", "zero", "debiased, of σ(score difference) on held-out pairs",
       "reward_model.pair_ece", "chosen_score rejected_score"),
    _M("reward_model_nll", "reward-model NLL", "nats", "lower", "mean −log σ(score difference) on held-out pairs",
       "reward_model.pair_nll", "chosen_score rejected_score"),
    _M("reward_model_rank_correlation", "reward-model rank correlation", "", "higher",
       "Spearman, score and gold, on held-out completions",
       "reward_model.rank_correlation", "heldout_score heldout_gold"),
    _M("exact_gold", "gold, exact", "", "higher", "expected gold, summed over all completions",
       "optimality.exact_reward", "exact_logp exact_gold exact_prompt"),
    _M("exact_kl", "KL, exact", "nats", None, "KL(π‖π0), summed over all completions",
       "optimality.exact_kl", "exact_logp exact_reference_logp exact_prompt"),
    _M("optimality_gap", "optimality gap", "", "lower", "gold lost to the best policy of the same KL, exact",
       "optimality.optimality_gap", "exact_logp exact_reference_logp exact_gold exact_prompt"),
    _M("kl_optimal", "KL to optimum", "nats", "lower", "KL(π‖π*), π* the best policy of the same KL, exact",
       "optimality.kl_to_optimal", "exact_logp exact_reference_logp exact_gold exact_prompt"),
    _M("reward_slope", "slope of log π/π0", "", None, "of log π/π0 on gold, exact: 1/β for the optimum of β",
       "optimality.reward_slope", "exact_logp exact_reference_logp exact_gold exact_prompt"),
    _M("hypervolume", "hypervolume", "", "higher", "best gold or judge above π0 within a KL budget of 0 to 10 nats",
       "frontier.hypervolume", "path_kl path_reward"),
)
# fmt: on

MEASURES: dict[str, MeasureInfo] = {info.name: info for info in _ALL}
"""Every measure by its name, in the order in which listings show them."""
