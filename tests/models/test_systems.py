from __future__ import annotations

from pathlib import Path

import pytest
import torch

from whosings.errors import WhosingsError
from whosings.lca import Counterfactual, loss_terms, total_loss
from whosings.lca.losses import LossWeights
from whosings.models import ModelCard, count_parameters, create, load_model, save_model
from whosings.models.crnn_fgnl import CRNNFGNL


@pytest.mark.parametrize(("system", "parameters"), [("crnn", 394_516), ("crnn_fgnl", 584_141)])
def test_exact_parameter_counts(system: str, parameters: int) -> None:
    assert count_parameters(create(system, 20)) == parameters


@pytest.mark.parametrize("system", ["crnn", "crnn_fgnl"])
@pytest.mark.parametrize("frames", [94, 157, 313])
def test_all_window_lengths(system: str, frames: int) -> None:
    network = create(system, 7).eval()
    x = torch.randn(2, 128, frames) * 12 - 20
    assert network(x).shape == (2, 7)
    assert network.embed(x).shape == (2, 32)


def test_attention_lives() -> None:
    """The map differs between inputs and has a gradient, in both branches."""
    torch.manual_seed(0)
    network = CRNNFGNL(5)
    training = Counterfactual(network, "learned")
    x = torch.randn(4, 128, 94) * 12 - 20
    branches = training(x)
    assert branches.attention.std(dim=0).max() > 1e-4
    assert branches.cf_attention.std(dim=0).max() > 1e-4
    weights = LossWeights(main=1, effect=1, cf=1, ent_cf=1, att=1, ent_main=1)
    total_loss(loss_terms(branches, torch.arange(4)), weights).backward()
    for module in (network.attention, training.branch):
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in module.parameters())


def test_released_axis_gives_the_attention_no_gradient() -> None:
    gradients = {}
    for axis in ("queries", "keys"):
        torch.manual_seed(0)
        network = create("crnn_fgnl", 5, softmax_axis=axis).eval()
        torch.manual_seed(1)
        network(torch.randn(4, 128, 94) * 12 - 20).square().sum().backward()
        gradients[axis] = network.get_parameter("attention.excite.weight").grad.abs().max()  # type: ignore[union-attr]
    assert gradients["queries"] < 1e-3 * gradients["keys"]


def test_saved_model_has_no_branch_and_gives_the_same_bits(tmp_path: Path) -> None:
    """Trained with LCA or without: the same arrays, the same count, bit-equal outputs."""
    network = CRNNFGNL(20)
    training = Counterfactual(network, "learned")
    branch = sum(p.numel() for p in training.branch.parameters())
    assert branch == 49
    x = torch.randn(2, 128, 94)
    training.eval()
    with torch.inference_mode():
        before = network(x)
        main = training(x).logits
    card = ModelCard(system="crnn_fgnl", singers=[f"s{i}" for i in range(20)], window_seconds=3)
    save_model(tmp_path, network, card)
    loaded, loaded_card = load_model(tmp_path)
    assert loaded_card == card
    assert count_parameters(loaded) == 584_141
    assert not any("branch" in name for name in loaded.state_dict())
    with torch.inference_mode():
        assert torch.equal(loaded(x), before)
    torch.testing.assert_close(main, before)


def test_bad_models_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WhosingsError, match="not a trained model"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(WhosingsError, match="cannot be read"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text('{"system": "crnn"}')
    with pytest.raises(WhosingsError, match="singers"):
        load_model(tmp_path)
    with pytest.raises(WhosingsError, match="no system named"):
        create("vgg", 3)
    with pytest.raises(WhosingsError, match="does not take"):
        create("crnn", 3, colour="red")


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    save_model(
        tmp_path, create("crnn", 3), ModelCard(system="crnn", singers=["a", "b", "c"], window_seconds=3)
    )
    card = (tmp_path / "model.json").read_text().replace('"c"', '"c", "d"')
    (tmp_path / "model.json").write_text(card)
    with pytest.raises(WhosingsError, match="weights cannot be used"):
        load_model(tmp_path)
