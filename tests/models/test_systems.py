"""Every system: its size, its shapes, what it hears, its attention under LCA, its saved form."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from whosings.errors import WhosingsError
from whosings.lca import Counterfactual, loss_terms, total_loss
from whosings.lca.losses import LossWeights
from whosings.models import (
    SYSTEMS,
    ModelCard,
    attention_parameters,
    count_parameters,
    create,
    load_model,
    save_model,
)
from whosings.models.crnn_fgnl import CRNNFGNL

PARAMETERS = {
    "crnn": 394_516,
    "crnn_large": 582_388,
    "crnnm": 778_772,
    "crnn_fgnl": 584_141,
    "crnnm_fgnl": 1_175_381,
    "crnn_nl": 584_141 - 5_305 + 2_188,  # FGNL and MoSE away, one block of 3 projections and an output
    "crnn_fgnl_se": 584_141 - 49 + 148,
    "crnn_fgnl_no_gaussian": 584_141 - 500,
    "crnn_fgnl_light": 584_141 - 3 * 32 * 128 * 8,  # the first GRU reads half as many bands
    "voiceprint": 20_767_552 + 192 * 20 + 38_400,  # SpeechBrain's count, the head, batch statistics
    # the published file, one bias in place of a mean and a deviation, the attention, the head
    "voiceprint_campplus": 6_930_720 - 192 + 263_296 + 192 * 20,
}
WITH_ATTENTION = {
    "crnn_fgnl": 49,
    "crnnm_fgnl": 49,
    "crnn_fgnl_se": 148,
    "crnn_fgnl_no_gaussian": 49,
    "crnn_fgnl_light": 49,
    "voiceprint": 1_576_576,
    "voiceprint_campplus": 263_296,
}
MAPS = {
    "crnn_fgnl": (4,),
    "crnnm_fgnl": (8,),
    "crnn_fgnl_se": (4, 4),
    "crnn_fgnl_no_gaussian": (4,),
    "crnn_fgnl_light": (4,),
}
PAPERS = [name for name in SYSTEMS if not name.startswith("voiceprint")]  # which have tests of their own


def windows_for(system: str, batch: int = 2, frames: int = 94) -> Tensor:
    """Log-mel in dB, and where the system hears it a melody contour with rests."""
    log_mel = torch.randn(batch, SYSTEMS[system].hearing.front_end.n_mels, frames) * 12 - 20
    if not SYSTEMS[system].hearing.melody:
        return log_mel
    contour = torch.zeros(batch, 128, frames)
    contour.scatter_(1, torch.randint(20, 60, (batch, 1, frames)), 1.0)
    contour[:, :, : frames // 4] = 0
    return torch.stack([log_mel, contour], dim=1)


def without_gradient(network: nn.Module) -> set[str]:
    """The parameters that training would not move: no gradient, or nothing but rounding."""
    gradients = {name: p.grad for name, p in network.named_parameters()}
    return {name for name, g in gradients.items() if g is None or g.abs().max() < 1e-7}


def test_every_system_is_here() -> None:
    assert list(SYSTEMS) == list(PARAMETERS)


@pytest.mark.parametrize(("system", "parameters"), PARAMETERS.items())
def test_exact_parameter_counts(system: str, parameters: int) -> None:
    network = create(system, 20)
    assert count_parameters(network) == parameters
    assert attention_parameters(network) == WITH_ATTENTION.get(system)
    assert getattr(network, "hears_melody", False) == SYSTEMS[system].hearing.melody


@pytest.mark.parametrize("frames", [94, 157, 313])
@pytest.mark.parametrize("system", PAPERS)
@torch.inference_mode()
def test_all_window_lengths(system: str, frames: int) -> None:
    network = create(system, 7).eval()
    x = windows_for(system, frames=frames)
    assert network(x).shape == (2, 7)
    assert network.embed(x).shape == (2, 32)  # type: ignore[operator]


@pytest.mark.parametrize("system", MAPS)
@torch.inference_mode()
def test_attention_can_be_exchanged(system: str) -> None:
    """`decode` with the network's own map gives its logits, with another map others."""
    torch.manual_seed(0)
    network = create(system, 5).eval()
    assert isinstance(network, CRNNFGNL)
    x = windows_for(system, batch=3)
    state = network.encode(x)
    attention = network.attention(state)
    assert attention.shape == (3, *MAPS[system])
    assert attention.std(dim=0).max() > 1e-5
    assert attention.min() > 0
    if network.scheme == "mose":
        torch.testing.assert_close(attention.sum(dim=1), torch.ones(3))
    else:
        assert attention.max() < 1
    own = network.decode(state, attention)
    torch.testing.assert_close(own, network(x))
    assert (network.decode(state, attention.flip(1) * 2) - own).abs().max() > 1e-5


@pytest.mark.parametrize("system", MAPS)
def test_lca_reaches_every_parameter(system: str) -> None:
    """Two maps that differ between inputs, and a gradient for all that can have one, the branch included."""
    torch.manual_seed(0)
    network = create(system, 5)
    training = Counterfactual(network, "learned")  # type: ignore[arg-type]
    branches = training(windows_for(system, batch=4))
    assert branches.cf_attention.shape == (4, *MAPS[system])
    assert branches.attention.std(dim=0).max() > 1e-5
    assert branches.cf_attention.std(dim=0).max() > 1e-5
    weights = LossWeights(main=1, effect=1, cf=1, ent_cf=1, att=1, ent_main=1)
    total_loss(loss_terms(branches, torch.arange(4)), weights).backward()
    silent = without_gradient(training)
    if network.scheme == "mose":
        # What a bias adds to every roll alike is lost in MoSE's softmax: always that of the last layer, and
        # that of the first while all pooled responses have one sign.
        silent -= {
            f"{a}.{b}.bias" for a in ("network.attention", "branch.module") for b in ("squeeze", "excite")
        }
    assert silent == set()


@pytest.mark.parametrize("system", [name for name in PAPERS if name not in MAPS])
def test_systems_without_an_exchangeable_map(system: str) -> None:
    """They train as well, without a branch."""
    torch.manual_seed(0)
    network = create(system, 5)
    assert not hasattr(network, "new_attention")
    nn.functional.cross_entropy(network(windows_for(system, batch=4)), torch.arange(4)).backward()
    # a softmax over keys does not see what is added to all of them
    assert without_gradient(network) == ({"non_local.phi.conv.bias"} if system == "crnn_nl" else set())


def test_released_axis_gives_the_attention_no_gradient() -> None:
    gradients = {}
    for axis in ("queries", "keys"):
        torch.manual_seed(0)
        network = create("crnn_fgnl", 5, softmax_axis=axis).eval()
        torch.manual_seed(1)
        network(torch.randn(4, 128, 94) * 12 - 20).square().sum().backward()
        gradients[axis] = network.get_parameter("attention.excite.weight").grad.abs().max()  # type: ignore[union-attr]
    assert gradients["queries"] < 1e-3 * gradients["keys"]


@pytest.mark.parametrize("system", ["crnnm", "crnnm_fgnl"])
@torch.inference_mode()
def test_both_stacks_are_heard_and_each_hears_its_own(system: str) -> None:
    torch.manual_seed(0)
    network = create(system, 5).eval()
    x = windows_for(system)
    third, fourth = network.joined_maps(x)  # type: ignore[operator]
    assert third.shape[1] == fourth.shape[1] == 256
    for layer, own, others in ((0, slice(0, 128), slice(128, 256)), (1, slice(128, 256), slice(0, 128))):
        other = x.clone()
        other[:, layer] = x[:, layer].roll(7, dims=1)
        assert (network(other) - network(x)).abs().max() > 1e-5
        for before, after in zip((third, fourth), network.joined_maps(other), strict=True):  # type: ignore[operator]
            assert torch.equal(before[:, others], after[:, others])
            assert not torch.equal(before[:, own], after[:, own])


def test_windows_without_the_melody_are_refused() -> None:
    with pytest.raises(RuntimeError):
        create("crnnm", 5)(torch.randn(2, 128, 128))


@pytest.mark.parametrize("system", SYSTEMS)
@torch.inference_mode()
def test_a_saved_model_gives_the_same_bits(system: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = create(system, 3)
    x = windows_for(system, batch=4)
    network(x)  # batch statistics other than those of a new network
    network.eval()
    card = ModelCard(system=system, singers=["a", "b", "c"], window_seconds=3)
    save_model(tmp_path, network, card)
    loaded, loaded_card = load_model(tmp_path)
    assert loaded_card == card
    assert torch.equal(loaded(x), network(x))


def test_saved_model_has_no_branch(tmp_path: Path) -> None:
    """Trained with LCA or without: the same arrays, the same count, the main branch's answers."""
    network = CRNNFGNL(20)
    training = Counterfactual(network, "learned")
    branch = sum(p.numel() for p in training.branch.parameters())
    assert branch == attention_parameters(network) == 49
    x = torch.randn(2, 128, 94)
    training.eval()
    card = ModelCard(system="crnn_fgnl", singers=[f"s{i}" for i in range(20)], window_seconds=3)
    save_model(tmp_path, network, card)
    loaded, _ = load_model(tmp_path)
    assert count_parameters(loaded) == 584_141
    assert not any("branch" in name for name in loaded.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(training(x).logits, loaded(x))


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


@pytest.mark.parametrize(
    ("system", "options"),
    [
        ("crnn", {"colour": "red"}),
        ("crnn_nl", {"scheme": "se"}),
        ("crnn_fgnl", {"scheme": "ce"}),
        ("crnn_fgnl", {"softmax_axis": "key"}),
        ("crnn_fgnl", {"channel_denominator": 48}),
        ("crnn_fgnl", {"channel_denominator": 0}),
        ("crnn_fgnl", {"channel_denominator": "8"}),
    ],
)
def test_bad_options_get_one_sentence(system: str, options: dict[str, object]) -> None:
    with pytest.raises(WhosingsError, match="does not take"):
        create(system, 3, **options)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    save_model(
        tmp_path, create("crnn", 3), ModelCard(system="crnn", singers=["a", "b", "c"], window_seconds=3)
    )
    card = (tmp_path / "model.json").read_text().replace('"c"', '"c", "d"')
    (tmp_path / "model.json").write_text(card)
    with pytest.raises(WhosingsError, match="weights cannot be used"):
        load_model(tmp_path)
