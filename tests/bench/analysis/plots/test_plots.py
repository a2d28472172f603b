"""Plots are drawn where there is data, and skipped with a reason where there is none."""

import json
import warnings
from xml.etree import ElementTree

import matplotlib.image
import pandas as pd
import pytest

from bench.analysis.plots import PLOTS, draw_all, drawing
from bench.analysis.plots.panel import Panel, choose
from bench.contracts.errors import BenchError
from bench.records.loading import load_run
from tests.bench.analysis.synthetic_run import ARMS, seal, write_run

# all but that of the estimators, which only one method measures
ALL = [*(name for name in PLOTS if name != "estimators"), "overview"]
FEW = ARMS[:4]


def drawn(run_directory, out, arms=None):
    """The names of what was drawn; every plot is there as PNG and as SVG, and on no page is nothing."""
    paths = draw_all(load_run(run_directory), out, arms)
    pictures = [path for path in paths if path.suffix == ".png"]
    for path in pictures:
        image = matplotlib.image.imread(path)
        assert min(image.shape[:2]) > 200
        assert image.shape[1] <= 7.0 * 160  # as wide as a page
        assert image[..., :3].std() > 0.02
        assert path.with_suffix(".svg") in paths
        assert ElementTree.parse(path.with_suffix(".svg")).getroot().tag.endswith("svg")
    return [path.stem for path in pictures]


def changed(directory, change, **fields):
    """Rewrite the measures of every record of a run by `change`, and set some of its fields."""
    for file in directory.glob("cells/*/record.json"):
        record = json.loads(file.read_text())
        file.write_text(json.dumps(record | {"measures": change(record["measures"])} | fields))
    return seal(directory)


def panel_of(directory, arms):
    run = load_run(directory)
    return Panel.make(run, "reviews", "tiny", run.records, arms)


def test_every_plot_of_a_run_with_many_arms_and_failures(tmp_path):
    not_ok = {("ppo without KL", 1): ("diverged", "loss is not finite", 40)}
    assert drawn(write_run(tmp_path / "run", probes=300, not_ok=not_ok, pending=1), tmp_path / "plots") == ALL


def test_one_seed_without_gold_nor_probes(tmp_path, capsys):
    names = drawn(write_run(tmp_path / "run", seeds=1, gold=False, probes=0, arms=FEW), tmp_path / "plots")
    assert names == [name for name in ALL if name != "reliability"]
    assert "skipped reliability.png: no cell was asked" in capsys.readouterr().err


def test_two_tasks_have_files_of_their_own_and_the_one_with_more_arms_the_overview(tmp_path):
    write_run(tmp_path / "run", seeds=1, probes=100, task="reviews", arms=FEW[:1])
    write_run(tmp_path / "run", seeds=1, probes=100, task="the strings", arms=FEW[:2])
    names = drawn(tmp_path / "run", tmp_path / "plots")
    assert {"reward_kl-reviews-tiny", "reward_kl-the_strings-tiny", "overview"} <= set(names)
    assert "the strings" in (tmp_path / "plots" / "overview.svg").read_text()


def test_records_alone_draw_what_they_can(tmp_path, capsys):
    directory = write_run(tmp_path / "run", seeds=2, probes=50, arms=FEW)
    for file in directory.glob("cells/*/*.parquet"):
        file.unlink()
    names = drawn(seal(directory), tmp_path / "plots")
    assert names == ["reward_kl", "win_tie_loss", "perplexity", "diversity", "cost", "overview"]
    said = capsys.readouterr().err
    assert "skipped overoptimisation.png: no arm has a training curve" in said
    assert "skipped estimators.png: no arm measured" in said


def test_without_a_judge_nothing_can_be_drawn_over_kl(tmp_path, capsys):
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=FEW[:2])
    changed(directory, lambda measures: {"kl": measures["kl"]}, judge=None)
    assert drawn(directory, tmp_path / "plots") == []
    assert capsys.readouterr().err.count("skipped") == len(PLOTS) + 1


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_run_in_which_nothing_ended_well_draws_nothing(tmp_path, capsys, status):
    not_ok = {(arm[0], 0): (status, "reason", None) for arm in FEW}
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=FEW, not_ok=not_ok)
    assert drawn(directory, tmp_path / "plots") == []
    assert "no plots" in capsys.readouterr().err


def test_the_same_records_give_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "PLOTS", {name: PLOTS[name] for name in ("reward_kl", "win_rates")})
    directory = write_run(tmp_path / "run", seeds=2, probes=0, arms=FEW[:3])
    first, second = (draw_all(load_run(directory), tmp_path / name) for name in ("first", "second"))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


# -- which arms ----------------------------------------------------------------------------------------


def test_of_many_arms_each_method_has_one_and_one_method_its_extremes():
    methods = [f"m{i}" for i in range(8)]
    rows = [(f"{m}, {i}", m, i + 1.0) for m in methods for i in range(5)]
    rows += [("ppo far", "ppo", 90.0), ("ppo", "ppo", 4.0), ("ppo at π0", "ppo", 0.1)]
    records = pd.DataFrame(rows, columns=["arm", "method", "kl"])
    chosen = choose(records, most=10)
    assert chosen == [*(f"{m}, 0" for m in methods), "ppo far", "ppo"]
    assert choose(records.head(10), most=10) == list(records["arm"][:10])


def test_arms_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "PLOTS", {"reward_kl": PLOTS["reward_kl"]})
    directory = write_run(tmp_path / "run", seeds=1, probes=50, arms=ARMS)
    drawn(directory, tmp_path / "plots", ["lima", "ppo"])
    text = (tmp_path / "plots" / "reward_kl.svg").read_text()
    assert "2 of 10 arms" in text
    assert "other arms" in text
    with pytest.raises(BenchError, match=r"no arm 'lma'.*did you mean 'lima'"):
        draw_all(load_run(directory), tmp_path / "plots", ["lma"])


# -- what single plots show ----------------------------------------------------------------------------


def test_the_exact_optimum_is_drawn_through_what_every_cell_tells_of_it(tmp_path):
    def exact(measures):
        kl = measures["kl"] or 0.5
        return measures | {"exact_kl": kl, "exact_gold": kl / 8, "optimality_gap": kl**0.5 - kl / 8}

    directory = changed(write_run(tmp_path / "run", seeds=1, probes=0, arms=FEW), exact)
    figure = PLOTS["reward_kl"].draw(panel_of(directory, [arm[0] for arm in FEW]))
    (line,) = [each for each in figure.axes[0].lines if each.get_marker() == "."]
    kl, best = line.get_data()
    assert len(kl) == len(FEW)
    assert list(kl) == sorted(kl)
    assert best == pytest.approx(kl**0.5)
    assert "exact optimum\n(at the dots)" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_bias_and_deviation_are_drawn_from_the_names_of_measures(tmp_path):
    def study(measures):
        found = {f"gae_{kind}_{each}": each / 100 for kind in ("bias", "deviation") for each in (100, 0, 50)}
        return measures | found | {"grad_bias_soft": 0.7, "grad_deviation_soft": 0.1, "grad_noise_soft": 0.01}

    directory = changed(write_run(tmp_path / "run", seeds=2, probes=0, arms=FEW), study)
    figure = PLOTS["estimators"].draw(panel_of(directory, ["base"]))
    left, right = figure.axes
    assert all(list(line.get_xdata()) == [0, 0.5, 1] for line in left.lines if len(line.get_xdata()) == 3)
    assert [label.get_text() for label in right.get_yticklabels()] == ["soft"]
    assert [patch.get_width() for patch in right.patches] == pytest.approx([0.7, 0.1])


def test_few_points_are_said_to_be_too_few_for_a_fit(tmp_path):
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=FEW)
    for file in directory.glob("cells/*/curve.parquet"):
        pd.read_parquet(file).head(3).to_parquet(file)
    seal(directory)
    figure = PLOTS["overoptimisation"].draw(panel_of(directory, ["lima", "dpo"]))
    assert [axes.get_title() for axes in figure.axes] == [f"{arm}\nno fit: < 4 points" for arm in ("lima", "dpo")]


@pytest.mark.parametrize("seeds, band", [(3, "least to greatest seed"), (5, "95 % (Student's t)")])
def test_training_curves_say_what_their_band_is(tmp_path, seeds, band):
    figure = PLOTS["training"].draw(
        panel_of(write_run(tmp_path / "run", seeds=seeds, probes=0, arms=FEW), ["lima", "dpo"])
    )
    assert band in figure.get_suptitle()


def test_labels_that_command_something_are_drawn_letter_by_letter(tmp_path):
    labels = ["$x^2$ 5 $", "\x1b[31m \x00 \u202e"]
    arms = [(label, *arm[1:]) for label, arm in zip(labels, FEW[1:3], strict=True)]
    run = write_run(tmp_path / "run", seeds=1, probes=30, arms=arms, task="$ \ufffe -->")
    with warnings.catch_warnings(action="error"):
        assert drawn(run, tmp_path / "plots") == ALL
