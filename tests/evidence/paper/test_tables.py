from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from tests.evidence.paper.by_hand import (
    DRAWS,
    ROWS,
    SINGERS,
    SMALL,
    columns,
    origin,
    runs_of,
    scored,
    write_run,
)
from whosings.errors import WhosingsError
from whosings.evidence import metrics
from whosings.evidence.answers import Answers, SongRow
from whosings.evidence.paper.plan import TABLES, Cell, Draw
from whosings.evidence.paper.tables import Place, build_table, holm, read_provenance

EXACT = {"rel": 0, "abs": 1e-12}
WINDOWS, SONGS = Place("mix", 5, "window"), Place("mix", 5, "song")
FIRST, SECOND, THIRD = ROWS


@pytest.fixture(scope="module")
def one_split():
    return runs_of()


@pytest.fixture(scope="module")
def report(one_split):
    return build_table(SMALL, one_split, origin())


def rows_of(run, level):
    return run.answers.windows if level == "window" else run.answers.songs


def of_row(runs, row):
    return [run for run in runs if run.row == row]


def comparison(report, row, other, place):
    return next(one for one in report.comparisons if (one.row, one.other, one.place) == (row, other, place))


@pytest.mark.parametrize("place", [WINDOWS, SONGS])
@pytest.mark.parametrize("row", ROWS)
def test_averages_bests_and_spread_by_sklearn(one_split, report, row, place):
    entry = report.entry(row, place)
    for name, kind in (("f1_weighted", "weighted"), ("f1_macro", "macro")):
        values = []
        for run in of_row(one_split, row):
            true, given, _ = columns(rows_of(run, place.level))
            values.append(f1_score(true, given, average=kind))
        found = getattr(entry, name)
        assert found.runs == pytest.approx(values, **EXACT)
        assert found.average == pytest.approx(np.mean(values), **EXACT)
        assert found.best == pytest.approx(max(values), **EXACT)
        assert found.spread == pytest.approx(np.std(values, ddof=1), **EXACT)
        assert found.interval[0] < found.interval[1]
    assert entry.draws == DRAWS
    assert entry.planned == 3
    assert entry.items == ((144,) * 3 if place.level == "window" else (24,) * 3)
    assert entry.calibration_error == pytest.approx(0.1 + 0.063 / 3, **EXACT)
    assert entry.parameters == 100_000 * len(row.label)


def test_published_figures_stand_beside_ours(report):
    entry = report.entry(FIRST, SONGS)
    assert (entry.published.average, entry.published.best, entry.published_parameters) == (0.55, 0.59, 0.39)


def test_interval_of_one_run_is_the_bootstrap_interval():
    (run,) = runs_of(replace(SMALL, rows=(SECOND,)), DRAWS[:1])
    entry = build_table(replace(SMALL, rows=(SECOND,)), [run], origin(DRAWS[:1])).entry(SECOND, WINDOWS)
    true, given, songs = columns(run.answers.windows)
    assert (
        entry.f1_weighted.interval == metrics.bootstrap_interval(true, given, SINGERS, songs)["f1_weighted"]
    )
    assert entry.f1_weighted.spread is None


def test_runs_of_one_split_do_not_stand_in_for_songs():
    one = scored(FIRST, Cell(FIRST.recipe, 5, "mix", DRAWS[0]))
    same = [scored(FIRST, Cell(FIRST.recipe, 5, "mix", draw), answers=one.answers) for draw in DRAWS]
    table = replace(SMALL, rows=(FIRST,))
    thrice = build_table(table, same, origin()).entry(FIRST, SONGS).f1_weighted
    assert thrice.interval == build_table(table, [one], origin()).entry(FIRST, SONGS).f1_weighted.interval
    assert thrice.spread == 0


def test_mean_interval_by_slow_resampling(one_split):
    runs = [columns(run.answers.windows) for run in of_row(one_split, SECOND)]
    low, high = metrics.mean_interval(runs, SINGERS, rounds=2000)["f1_weighted"]
    generator, means = np.random.default_rng(5), []
    songs = {singer: sorted({name for name in runs[0][2] if name.startswith(singer)}) for singer in SINGERS}
    for _ in range(400):
        drawn = Counter(name for names in songs.values() for name in generator.choice(names, len(names) - 1))
        weights = np.array([drawn[name] for name in runs[0][2]])
        kept = weights > 0
        means.append(
            np.mean(
                [
                    f1_score(
                        np.array(true)[kept],
                        np.array(given)[kept],
                        average="weighted",
                        sample_weight=weights[kept],
                    )
                    for true, given, _ in runs
                ]
            )
        )
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.015)


def test_mean_interval_of_runs_on_different_songs():
    runs = [columns(run.answers.windows) for run in of_row(runs_of(own_split=True), FIRST)]
    alone = [metrics.mean_interval([run], SINGERS)["f1_weighted"] for run in runs]
    low, high = metrics.mean_interval(runs, SINGERS)["f1_weighted"]
    widths = [top - bottom for bottom, top in alone]
    assert high - low == pytest.approx(np.mean(widths) / np.sqrt(3), rel=0.15)  # independent songs


def test_mean_interval_of_few_and_partly_shared_songs():
    ab = (["a", "b"], ["a", "a"], ["1", "2"])
    bc = (["b", "a"], ["b", "b"], ["2", "3"])
    low, high = metrics.mean_interval([ab, bc], ["a", "b"])["accuracy"]
    assert 0 <= low < high <= 1
    assert metrics.mean_interval([ab, (["a"], ["a"], ["1"])], ["a", "b"])["accuracy"] == (0, 1)


def test_mean_interval_refuses_two_singers_of_a_song_and_no_runs():
    with pytest.raises(WhosingsError, match="Two singers"):
        metrics.mean_interval([(["a"], ["a"], ["1"]), (["b"], ["b"], ["1"])], ["a", "b"])
    with pytest.raises(WhosingsError, match="no run"):
        metrics.mean_interval([], ["a"])


@pytest.mark.parametrize("level", ["window", "song"])
@pytest.mark.parametrize(("row", "other", "neighbours"), [(SECOND, FIRST, True), (THIRD, FIRST, False)])
def test_paired_tests_by_hand(one_split, report, level, row, other, neighbours):
    made = comparison(report, row, other, Place("mix", 5, level))
    a, b = (of_row(one_split, one) for one in (row, other))
    true, first, songs = ([x for run in a for x in columns(rows_of(run, level))[at]] for at in range(3))
    second = [x for run in b for x in columns(rows_of(run, level))[1]]
    for name, kind in (("f1_weighted", "weighted"), ("f1_macro", "macro")):
        difference = f1_score(true, first, average=kind) - f1_score(true, second, average=kind)
        assert made.difference[name] == pytest.approx(difference, **EXACT)
    rounds = 10_000 if neighbours and level == "song" else 2_000
    direct = metrics.paired_difference(true, first, second, sorted(SINGERS), songs, rounds=rounds)
    assert made.interval == direct.interval
    assert made.p_value == direct.p_value
    assert (made.items, made.songs, made.left_out) == (len(true), 24, 0)
    assert (made.draws, made.neighbours) == (DRAWS, neighbours)


def test_mcnemar_counts_a_song_of_three_draws_once(one_split, report):
    gain = Counter()
    for run_a, run_b in zip(of_row(one_split, THIRD), of_row(one_split, SECOND), strict=True):
        for a, b in zip(run_a.answers.songs, run_b.answers.songs, strict=True):
            gain[a.track] += a.right - b.right
    won, lost = sum(value > 0 for value in gain.values()), sum(value < 0 for value in gain.values())
    made = comparison(report, THIRD, SECOND, SONGS)
    assert (made.won, made.lost) == (won, lost)
    assert made.mcnemar_p == pytest.approx(binomtest(won, won + lost).pvalue, **EXACT)
    assert comparison(report, THIRD, SECOND, WINDOWS).mcnemar_p is None


def test_the_same_answers_in_three_draws_prove_no_more_than_in_one():
    once = [scored(row, Cell(row.recipe, 5, "mix", DRAWS[0])) for row in (FIRST, SECOND)]
    thrice = [
        scored(run.row, replace(run.cell, draw=draw), answers=run.answers) for draw in DRAWS for run in once
    ]
    table = replace(SMALL, rows=(FIRST, SECOND))
    one, three = (
        comparison(build_table(table, runs, origin()), SECOND, FIRST, SONGS) for runs in (once, thrice)
    )
    assert one.interval["f1_weighted"] == pytest.approx(three.interval["f1_weighted"], **EXACT)
    assert one.p_value == pytest.approx(three.p_value, abs=0.01)  # 0 may come out a rounding off 0
    assert one.mcnemar_p == three.mcnemar_p


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_over_songs_of_neighbours_alone(report):
    family = [one for one in report.comparisons if one.neighbours and one.place == SONGS]
    assert len(family) == 2
    corrected = holm([one.p_value["f1_weighted"] for one in family])
    assert [one.holm_p for one in family] == corrected
    assert [one.holm_mcnemar_p for one in family] == holm([one.mcnemar_p for one in family])
    assert all(one.holm_p is None for one in report.comparisons if one not in family)


def test_the_best_stands_out_only_where_it_is_outside_the_noise(report):
    assert report.leads(THIRD, SONGS)
    assert report.leads(THIRD, WINDOWS)
    close = replace(SMALL, rows=(FIRST, SECOND))
    none = build_table(close, [run for run in runs_of() if run.row != THIRD], origin())
    (leader,) = (one for one in none.leaders if one.place == SONGS)
    assert leader.p_value >= 0.05
    assert not any(none.leads(row, SONGS) for row in close.rows)


def test_a_best_of_other_draws_does_not_stand_out(one_split):
    some = [run for run in one_split if run.row != THIRD or run.cell.draw == DRAWS[0]]
    report = build_table(SMALL, some, origin())
    assert not report.leads(THIRD, SONGS)


def test_missing_runs_are_counted_and_never_dropped(one_split):
    kept = [run for run in one_split if run.row == FIRST or (run.row == THIRD and run.cell.draw == DRAWS[1])]
    report = build_table(SMALL, kept, origin())
    assert len(report.entries) == 6
    empty = report.entry(SECOND, SONGS)
    assert (empty.draws, empty.planned, empty.f1_weighted, empty.parameters) == ((), 3, None, None)
    assert empty.published is not None
    assert report.entry(THIRD, SONGS).draws == (DRAWS[1],)
    assert report.missing_runs == 3 + 2
    assert report.missing_tests == 2 * 2  # second less first, third less second
    assert comparison(report, THIRD, FIRST, SONGS).draws == (DRAWS[1],)


def test_items_of_one_row_alone_are_left_out_and_counted(one_split):
    a, b = of_row(one_split, FIRST)[0], of_row(one_split, SECOND)[0]
    shorter = scored(SECOND, b.cell, answers=Answers(b.answers.windows[6:], b.answers.songs[1:]))
    report = build_table(SMALL, [a, shorter], origin())
    assert comparison(report, SECOND, FIRST, WINDOWS).left_out == 6
    assert comparison(report, SECOND, FIRST, SONGS).items == 23


@pytest.mark.parametrize(
    ("draws", "own_split", "name"),
    [
        (DRAWS, False, "seed spread"),
        (DRAWS, True, "split and seed spread"),
        (DRAWS[:1], False, ""),
    ],
)
def test_the_spread_says_what_differs(draws, own_split, name):
    table = replace(SMALL, rows=(FIRST,))
    assert build_table(table, runs_of(table, draws, own_split=own_split), origin(draws)).spread == name


def test_folds_of_one_seed_spread_by_split():
    table, folds = replace(SMALL, rows=(FIRST,)), (Draw(0, 0), Draw(0, 1))
    runs = [scored(FIRST, Cell("crnn", 5, "mix", draw), split=f"fold {draw.fold}") for draw in folds]
    assert build_table(table, runs, origin(folds)).spread == "split spread"


def test_table_4_scores_two_branches_of_one_run():
    table = replace(TABLES["table4"], windows=(5,))
    report = build_table(table, runs_of(table), origin())
    branch = report.entry(table.rows[0], SONGS)
    assert (branch.row.branch, branch.published.average, branch.published.best) == (
        "counterfactual",
        0.21,
        None,
    )
    assert comparison(report, table.rows[1], table.rows[0], SONGS).neighbours


def test_different_splits_are_not_compared():
    a = scored(FIRST, Cell("crnn", 5, "mix", DRAWS[0]))
    b = scored(SECOND, Cell("crnnm", 5, "mix", DRAWS[0]), split="two")
    with pytest.raises(WhosingsError, match=r"crnnm-5-mix-0 and .*crnn-5-mix-0 .*different splits"):
        build_table(SMALL, [a, b], origin())


def test_runs_that_disagree_on_a_singer_are_not_compared(one_split):
    a, b = of_row(one_split, FIRST)[0], of_row(one_split, SECOND)[0]
    first, *rest = b.answers.songs
    other = Answers(
        b.answers.windows, [SongRow(first.track, SINGERS[3], "singer a", 0.5, "singer b", 1.0), *rest]
    )
    with pytest.raises(WhosingsError, match="two singers"):
        build_table(SMALL, [a, scored(SECOND, b.cell, answers=other)], origin())


def test_answers_of_another_scoring_are_refused(one_split):
    run = of_row(one_split, FIRST)[0]
    stale = replace(run, answers=of_row(one_split, THIRD)[0].answers)
    with pytest.raises(WhosingsError, match="score the run again"):
        build_table(SMALL, [stale], origin())


def test_runs_that_do_not_belong_are_refused(one_split):
    run = one_split[0]
    with pytest.raises(WhosingsError, match="twice"):
        build_table(SMALL, [run, scored(run.row, run.cell)], origin())
    with pytest.raises(WhosingsError, match="none of those planned"):
        build_table(SMALL, [scored(FIRST, Cell("crnn", 10, "mix", DRAWS[0]))], origin())
    with pytest.raises(WhosingsError, match="none of those planned"):
        build_table(SMALL, [scored(FIRST, Cell("crnn", 5, "mix", Draw(7)))], origin())
    with pytest.raises(WhosingsError, match="is scored yet"):
        build_table(SMALL, [], origin())


def in_folders(runs, root, **record):
    moved = [replace(run, folder=root / run.folder.name) for run in runs]
    for run in moved:
        write_run(run.folder, **record)
    return moved


def test_provenance_from_run_folders(one_split, tmp_path):
    runs = in_folders(of_row(one_split, FIRST), tmp_path)
    found = read_provenance(runs, DRAWS, command="whosings ...", overrides=["learning_rate=0.1"])
    assert found.singers == 6
    assert (found.collection, found.protocol, found.shared_split) == ("songs of six", "kuo", True)
    assert found.splits == {"seed 0": "one", "seed 21": "one", "seed 42": "one"}
    assert (found.epochs, found.first_steps, found.best_epochs) == ((20,), (5,), (19, 19, 19))
    assert (found.best_was_last, found.mix_db, found.separators) == (3, 0.0, ())
    assert (found.machines, found.commits) == (("2 CPU threads, torch 2.13",), ("abc1234",))
    assert found.hours == pytest.approx(1.5)
    assert found.overrides == ("learning_rate=0.1",)


def test_provenance_of_unfinished_mixed_or_missing_runs(one_split, tmp_path):
    runs = of_row(one_split, FIRST)[:2]
    with pytest.raises(WhosingsError, match="has not ended"):
        read_provenance(in_folders(runs, tmp_path / "a", complete=False), DRAWS, command="")
    moved = in_folders(runs, tmp_path / "b")
    other = replace(moved[1], metrics={**moved[1].metrics, "collection": "other songs"})
    with pytest.raises(WhosingsError, match="more than one collection"):
        read_provenance([moved[0], other], DRAWS, command="")
    with pytest.raises(WhosingsError, match="is scored yet"):
        read_provenance([], DRAWS, command="")
