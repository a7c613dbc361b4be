"""The search for weights: a real one of three tiny trainings, and searches whose scores are made up."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.training.songs import songs, stop_in_epoch, store_in, training_of
from whosings.collection.catalogue import Collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import make_split
from whosings.collection.track import Source
from whosings.errors import WhosingsError
from whosings.files import write_json
from whosings.lca import LossWeights
from whosings.training import search
from whosings.training.module import BEST_BY
from whosings.training.recipe import load_recipe
from whosings.training.record import Training, read_record
from whosings.training.search import SearchResult, search_weights

pytest.importorskip("optuna")

QUICK = ("epochs=1", "counterfactual.first_step=0")
OWN = load_recipe("crnn_fgnl_lca").counterfactual.weights
RELEASED = load_recipe("crnn_fgnl_lca_released").counterfactual.weights
Found = tuple[SearchResult, Training, FeatureStore]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Songs whose test side is lost."""
    collection = songs(tmp_path_factory.mktemp("songs"))
    for track_id in make_split(collection).test:
        (part,) = collection.by_id[track_id].parts
        assert part.mix is not None
        part.mix.path.unlink()
    return collection


@pytest.fixture
def training(collection: Collection) -> Training:
    return training_of(collection, "crnn_fgnl_lca", *QUICK)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return store_in(tmp_path)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[LossWeights], float]], None]:
    """Replace every training by a score that a function makes of its weights; leave out the pictures."""

    def install(score: Callable[[LossWeights], float]) -> None:
        def train(training: Training, out: Path, store: FeatureStore, *, quiet: bool) -> None:
            assert quiet
            figures = {BEST_BY: score(training.recipe.counterfactual.weights)}
            record = {"arguments": training.arguments(), "complete": True, "failed": {}, "best": figures}
            write_json(out / "run.json", {**record, "best_epoch": 4, "seconds": 3600.0})

        monkeypatch.setattr(search, "train", train)

    monkeypatch.setattr(search, "_draw", lambda path, finished: None)
    install(lambda weights: 1 / (1 + abs(math.log(weights.att / 0.4))))
    return install


def weights_of(out: Path) -> list[LossWeights]:
    """The weights of every trial folder, by number."""
    records = [read_record(run) for run in sorted(out.glob("trial-*"))]
    return [LossWeights(**each["arguments"]["recipe"]["counterfactual"]["weights"]) for each in records]


def table(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def found(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A search of three trials, cut off in the third, and taken up again."""
    folder = tmp_path_factory.mktemp("search")
    training, store = training_of(collection, "crnn_fgnl_lca", *QUICK), store_in(folder)
    first = search_weights(training, folder / "out", store, trials=2, quiet=True)
    assert first.trials == len(table(folder / "out")) == 2
    with pytest.MonkeyPatch.context() as patch:
        stop_in_epoch(patch, 0)
        with pytest.raises(RuntimeError, match="lights"):
            search_weights(training, folder / "out", store, trials=3, quiet=True)
    assert load_recipe(str(folder / "out" / "recipe.yaml")).counterfactual.weights == first.weights
    cut_off = read_record(folder / "out" / "trial-002")
    assert not cut_off["complete"]
    result = search_weights(training, folder / "out", store, trials=3, quiet=True)
    resumed = read_record(folder / "out" / "trial-002")
    assert resumed["complete"]
    assert resumed["arguments"] == cut_off["arguments"]
    return result, training, store


def test_a_search_trains_each_trial_once_and_keeps_the_best(found: Found) -> None:
    result, training, _ = found
    assert {path.name for path in result.folder.iterdir()} == {
        "search.json",
        "study.db",
        "recipe.yaml",
        "trials.csv",
        "trials.png",
        "trial-000",
        "trial-001",
        "trial-002",
    }
    scores = [read_record(run)["best"][BEST_BY] for run in sorted(result.folder.glob("trial-*"))]
    assert (result.trials, result.score, result.failed) == (3, max(scores), {})
    assert result.best.name == f"trial-{scores.index(max(scores)):03}"
    assert weights_of(result.folder)[scores.index(max(scores))] == result.weights
    assert (result.best / "model.safetensors").is_file()
    assert (result.folder / "trials.png").read_bytes().startswith(b"\x89PNG")
    chosen = load_recipe(str(result.recipe))
    wanted = training.recipe.counterfactual.model_copy(update={"weights": result.weights})
    assert chosen == training.recipe.model_copy(update={"counterfactual": wanted})
    comment = result.recipe.read_text(encoding="utf-8")
    assert training.split.sha256 in comment
    assert f"{result.score:.4f}" in comment


def test_the_trials_begin_with_the_known_weights_and_keep_the_order_of_the_authors(found: Found) -> None:
    own, released, suggested = weights_of(found[0].folder)
    assert (own, released) == (OWN, RELEASED)
    assert suggested.effect == 1
    assert suggested.main > suggested.cf > 0
    assert suggested.ent_cf > suggested.ent_main > 0
    assert suggested.att > 0


def test_the_table_has_a_row_a_trial(found: Found) -> None:
    folder = found[0].folder
    rows = table(folder)
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert [LossWeights(**{name: float(row[name]) for name in asdict(OWN)}) for row in rows] == weights_of(
        folder
    )
    for row in rows:
        record = read_record(folder / f"trial-00{row['number']}")
        assert float(row[BEST_BY]) == record["best"][BEST_BY]
        assert (float(row["best_epoch"]), float(row["seconds"])) == (record["best_epoch"], record["seconds"])
        assert row["state"] == "complete"


def test_a_search_that_is_done_trains_nothing(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    result, training, store = found
    monkeypatch.delattr(search, "train")
    assert search_weights(training, result.folder, store, trials=2, quiet=True) == result


@pytest.mark.parametrize("other", ["seed", "split", "recipe"])
def test_a_folder_of_another_search_is_refused(found: Found, other: str) -> None:
    result, training, store = found
    before = {path: path.stat().st_mtime_ns for path in result.folder.rglob("*")}
    changed = {
        "seed": replace(training, seed=1),
        "split": replace(training, split=make_split(training.collection, seed=5)),
        "recipe": replace(training, recipe=load_recipe("crnn_fgnl_lca_one_step")),
    }
    with pytest.raises(WhosingsError, match=f"the search here has another {other}"):
        search_weights(changed[other], result.folder, store, trials=4, quiet=True)
    assert {path: path.stat().st_mtime_ns for path in result.folder.rglob("*")} == before


@pytest.mark.usefixtures("scored")
def test_an_interrupted_search_suggests_what_an_unbroken_one_does(
    tmp_path: Path, training: Training, store: FeatureStore
) -> None:
    """Beyond the random trials that Optuna begins with."""
    search_weights(training, tmp_path / "whole", store, trials=14, quiet=True)
    for trials in (1, 4, 12, 13, 14):
        result = search_weights(training, tmp_path / "parts", store, trials=trials, quiet=True)
        assert result.trials == trials
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert whole == parts
    assert len(set(whole)) == 14
    search_weights(replace(training, seed=1), tmp_path / "other", store, trials=3, quiet=True)
    assert weights_of(tmp_path / "other")[2] not in whole


def test_the_earliest_of_equals_is_chosen(
    tmp_path: Path, training: Training, store: FeatureStore, scored: Callable[..., None]
) -> None:
    scored(lambda weights: 0.25 if weights == OWN else 0.75)
    result = search_weights(training, tmp_path / "out", store, trials=4, quiet=True)
    assert (result.best.name, result.weights, result.score) == ("trial-001", RELEASED, 0.75)


@pytest.mark.usefixtures("scored")
def test_the_best_recipe_names_the_shipped_one_it_came_from(
    tmp_path: Path, training: Training, store: FeatureStore
) -> None:
    shipped = replace(training, recipe=load_recipe("crnn_fgnl_lca_one_step"))
    result = search_weights(shipped, tmp_path / "out", store, trials=3, quiet=True)
    lines = result.recipe.read_text(encoding="utf-8").splitlines()
    assert [line.split(":")[0].strip() for line in lines if not line.startswith("#")] == [
        "base",
        "counterfactual",
        "weights",
    ]
    assert "base: crnn_fgnl_lca_one_step" in lines
    assert load_recipe(str(result.recipe)).counterfactual.weights == result.weights


@pytest.mark.usefixtures("scored")
def test_a_search_begins_with_the_nearest_where_the_recipe_has_no_such_weights(
    tmp_path: Path, training: Training, store: FeatureStore
) -> None:
    entropy_free = replace(training, recipe=load_recipe("crnn_fgnl_lca_cf"))
    search_weights(entropy_free, tmp_path / "out", store, trials=1, quiet=True)
    (first,) = weights_of(tmp_path / "out")
    assert first == LossWeights(main=1.0, effect=1.0, cf=0.5, ent_cf=0.005, att=0.01, ent_main=0.0001)


@pytest.mark.usefixtures("scored")
def test_no_trial_is_begun_that_would_end_too_late(
    tmp_path: Path, training: Training, store: FeatureStore
) -> None:
    """Each trial says that it took an hour."""
    for _ in range(2):
        result = search_weights(training, tmp_path / "out", store, trials=3, quiet=True, max_hours=0.9)
        assert result.trials == 1
    assert search_weights(training, tmp_path / "out", store, trials=3, quiet=True, max_hours=1.1).trials == 3


@pytest.mark.usefixtures("scored")
def test_a_search_killed_before_a_trial_had_its_weights_goes_on(
    tmp_path: Path, training: Training, store: FeatureStore
) -> None:
    import optuna

    search_weights(training, tmp_path / "out", store, trials=2, quiet=True)
    place = f"sqlite:///{tmp_path / 'out' / 'study.db'}"
    optuna.load_study(study_name="weights", storage=place).ask()
    assert search_weights(training, tmp_path / "out", store, trials=3, quiet=True).trials == 3
    assert len(weights_of(tmp_path / "out")) == 3


def test_a_start_that_fails_blocks_nothing(tmp_path: Path, training: Training, store: FeatureStore) -> None:
    with pytest.raises(WhosingsError, match="no vocal stem"):
        search_weights(
            replace(training, source=Source("vocals")), tmp_path / "out", store, trials=1, quiet=True
        )
    with pytest.MonkeyPatch.context() as patch:
        stop_in_epoch(patch, 0)
        with pytest.raises(RuntimeError, match="lights"):
            search_weights(training, tmp_path / "out", store, trials=1, quiet=True)
    assert weights_of(tmp_path / "out") == [OWN]
    assert json.loads((tmp_path / "out" / "search.json").read_text(encoding="utf-8")) == training.arguments()


@pytest.mark.parametrize(
    ("recipe", "overrides", "trials", "named"),
    [
        ("crnn_fgnl", (), 3, "'none'"),
        ("crnn_fgnl_cal", (), 3, "'random'"),
        ("crnn_fgnl_lca", ("epochs=20",), 3, "first step"),
        ("crnn_fgnl_lca", QUICK, 0, "at least 1"),
    ],
)
def test_what_cannot_be_searched(
    tmp_path: Path,
    collection: Collection,
    store: FeatureStore,
    recipe: str,
    overrides: tuple[str, ...],
    trials: int,
    named: str,
) -> None:
    with pytest.raises(WhosingsError, match=named):
        search_weights(training_of(collection, recipe, *overrides), tmp_path / "out", store, trials=trials)
    assert not (tmp_path / "out").exists()


def test_a_missing_extra(
    tmp_path: Path, training: Training, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else find(name))
    with pytest.raises(WhosingsError, match=r"whosings\[search\]"):
        search_weights(training, tmp_path / "out", store, trials=1)


def test_a_folder_of_other_files_is_refused(tmp_path: Path, training: Training, store: FeatureStore) -> None:
    (tmp_path / "recipe.yaml").write_text("base: crnn\n", encoding="utf-8")
    with pytest.raises(WhosingsError, match="no search"):
        search_weights(training, tmp_path, store, trials=1)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_record_of_something_else_is_refused(
    tmp_path: Path, training: Training, store: FeatureStore
) -> None:
    (tmp_path / "search.json").write_text("[]", encoding="utf-8")
    with pytest.raises(WhosingsError, match="no record of a search"):
        search_weights(training, tmp_path, store, trials=1)


@pytest.mark.usefixtures("scored")
def test_a_broken_study_is_named_and_made_again(
    tmp_path: Path, training: Training, store: FeatureStore
) -> None:
    before = search_weights(training, tmp_path / "out", store, trials=3, quiet=True)
    study = tmp_path / "out" / "study.db"
    study.write_bytes(b"no study at all" * 100)
    with pytest.raises(WhosingsError, match=r"study\.db: this study cannot be opened") as caught:
        search_weights(training, tmp_path / "out", store, trials=3, quiet=True)
    assert "\n" not in str(caught.value)
    study.unlink()
    assert search_weights(training, tmp_path / "out", store, trials=3, quiet=True) == before
