from __future__ import annotations

from pathlib import Path

import pytest

import whosings.training
from whosings.errors import WhosingsError
from whosings.lca import LossWeights
from whosings.models import SYSTEMS
from whosings.training.recipe import load_recipe, recipe_names, write_recipe

FOLDER = Path(whosings.training.__file__).parent / "recipes"
BASE = "crnn"
OF_THE_PAPER = ["crnn", "crnn_fgnl", "crnn_fgnl_cal", "crnn_fgnl_lca"]


def sentence(name: str, *overrides: str) -> str:
    """The one sentence that loading this recipe fails with."""
    with pytest.raises(WhosingsError) as caught:
        load_recipe(name, overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert ". " not in message
    return message


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_shipped_recipes() -> None:
    assert set(recipe_names()) >= set(OF_THE_PAPER)
    assert all(load_recipe(name).system in SYSTEMS for name in recipe_names())


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_the_optimiser_of_the_paper(name: str) -> None:
    """Section 4.1."""
    recipe = load_recipe(name)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (800, 16, 1e-4)


@pytest.mark.parametrize("name", [name for name in recipe_names() if name != BASE])
def test_a_shipped_recipe_is_short_and_has_a_base(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 15
    assert "base: " in text


def test_the_lca_recipe_keeps_the_order_that_its_authors_advise() -> None:
    weights = load_recipe("crnn_fgnl_lca").counterfactual.weights
    assert weights.effect == 1
    assert weights.main > weights.cf > 0
    assert weights.ent_cf > weights.ent_main > 0
    assert weights.att > 0


def test_the_released_recipe_has_all_six_terms_in_two_steps() -> None:
    recipe = load_recipe("crnn_fgnl_lca_released")
    assert recipe.counterfactual.branch == "learned"
    assert recipe.counterfactual.dropout == 0.6
    weights = LossWeights(main=0.7, effect=1.0, cf=0.6, ent_cf=2.0, att=2.0, ent_main=1.5)
    assert recipe.counterfactual.schedule.at(19) == LossWeights(main=0.7)
    assert recipe.counterfactual.schedule.at(20) == weights
    assert recipe.logit_l1 == recipe.dense_l2 == 0.01  # from its base


def test_a_recipe_includes_its_base_and_changes_what_it_names(tmp_path: Path) -> None:
    name = written(
        tmp_path / "mine.yaml",
        "base: crnn_fgnl_lca\nepochs: 5\ncounterfactual: {weights: {att: 0.5}, first_step: 2}\n",
    )
    mine, base = load_recipe(name), load_recipe("crnn_fgnl_lca")
    assert mine.epochs == 5
    assert mine.counterfactual.first_step == 2
    assert mine.counterfactual.weights.att == 0.5
    assert mine.counterfactual.weights.effect == base.counterfactual.weights.effect
    assert mine.counterfactual.branch == "learned"
    assert mine.learning_rate == base.learning_rate


def test_overrides() -> None:
    recipe = load_recipe(
        "crnn_fgnl_lca_released",
        ["learning_rate=1e-3", "counterfactual.weights.cf=0", "options.softmax_axis=queries", "epochs=3"],
    )
    assert (recipe.learning_rate, recipe.epochs) == (0.001, 3)
    assert recipe.counterfactual.weights.cf == 0
    assert recipe.counterfactual.weights.att == 2.0
    assert recipe.options == {"softmax_axis": "queries"}


@pytest.mark.parametrize("value", ["32", "'32'"])
def test_a_precision_may_be_written_as_a_number(value: str) -> None:
    assert load_recipe("crnn", [f"precision={value}"]).precision == "32"


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("learning_rte=0.1", "learning_rte"),
        ("counterfactual.brnach=learned", "counterfactual.brnach"),
        ("counterfactual.weights.entropy=1", "entropy"),
        ("counterfactual.weights=1", "counterfactual.weights"),
        ("counterfactual.weights.main=loud", "counterfactual.weights.main"),
        ("counterfactual.weights.main=0", "main"),
        ("counterfactual.weights.att=-1", "att"),
        ("counterfactual.weights.att=.nan", "att"),
        ("counterfactual.branch=clever", "counterfactual.branch"),
        ("counterfactual.dropout=1.5", "counterfactual.dropout"),
        ("counterfactual=3", "counterfactual"),
        ("epochs=0", "epochs"),
        ("learning_rate=fast", "learning_rate"),
        ("learning_rate=.inf", "learning_rate"),
        ("remix_db=[-.inf, 3]", "remix_db"),
        ("precision=16", "precision"),
        ("learning_rates={head: -1}", "learning_rates.head"),
        ("piece_seconds=0.1", "piece_seconds"),
        ("epochs", "epochs"),
        ("epochs=[1", "epochs=[1"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(override: str, named: str) -> None:
    assert named in sentence("crnn_fgnl_lca", override)


def test_an_unknown_recipe() -> None:
    assert "crnn_fgnl_lca" in sentence("crnn_gnfl")


def test_an_unknown_recipe_file(tmp_path: Path) -> None:
    assert "none.yaml" in sentence(str(tmp_path / "none.yaml"))


def test_an_unknown_key_in_a_file(tmp_path: Path) -> None:
    assert "epoch:" in sentence(written(tmp_path / "mine.yaml", "base: crnn\nepoch: 3\n"))


def test_a_missing_key(tmp_path: Path) -> None:
    assert "batch_size" in sentence(written(tmp_path / "mine.yaml", "system: crnn\nepochs: 3\n"))


def test_a_recipe_that_includes_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert "includes itself" in sentence(written(path, f"base: {path}\n"))


def test_two_recipes_that_include_each_other(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    written(two, f"base: {one}\n")
    assert "includes itself" in sentence(written(one, f"base: {two}\n"))


@pytest.mark.parametrize("text", ["epochs: [1", "- crnn\n- 5\n", "base: 3\n", "base: [crnn]\n", "\x00"])
def test_what_is_no_recipe(tmp_path: Path, text: str) -> None:
    assert "mine.yaml" in sentence(written(tmp_path / "mine.yaml", text))


def test_a_recipe_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\xff")
    assert "mine.yaml" in sentence(str(tmp_path / "mine.yaml"))


def test_an_empty_recipe(tmp_path: Path) -> None:
    assert "system" in sentence(written(tmp_path / "mine.yaml", ""))


@pytest.mark.parametrize("base", [None, "crnn", "crnn_fgnl_lca"])
@pytest.mark.parametrize("name", recipe_names())
def test_a_written_recipe_is_the_recipe(tmp_path: Path, name: str, base: str | None) -> None:
    recipe = load_recipe(name, ["adam_epsilon=1e-9", "precision=32", "remix_db=[0, 9]", "voices=false"])
    write_recipe(tmp_path / "mine.yaml", recipe, base, "chosen: by ear\nand {by} hand")
    assert load_recipe(str(tmp_path / "mine.yaml")) == recipe
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    assert text.startswith("# chosen: by ear\n# and {by} hand\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_recipe_written_on_its_base_is_short_and_has_all_six_weights(tmp_path: Path) -> None:
    recipe = load_recipe("crnn_fgnl_lca", ["counterfactual.weights.att=0.5", "epochs=5"])
    write_recipe(tmp_path / "mine.yaml", recipe, "crnn_fgnl_lca")
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == (
        "base: crnn_fgnl_lca\nepochs: 5\ncounterfactual:\n"
        "  weights: {main: 1.0, effect: 1.0, cf: 0.5, ent_cf: 0.2, att: 0.5, ent_main: 0.05}\n"
    )


def test_a_recipe_without_an_option_of_its_base_is_written_whole(tmp_path: Path) -> None:
    recipe = load_recipe("crnn_fgnl_lca")
    write_recipe(tmp_path / "mine.yaml", recipe, "crnn_fgnl_lca_queries")
    assert load_recipe(str(tmp_path / "mine.yaml")) == recipe
    assert "base" not in (tmp_path / "mine.yaml").read_text(encoding="utf-8")
