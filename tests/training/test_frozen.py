"""Training behind frozen parts: from states kept on disk, to the same weights as from the windows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from tests.training.songs import MIX, songs, stop_in_epoch, store_in, training_of
from whosings.audio.frontend import SPEAKER
from whosings.collection.catalogue import Collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import Side, make_split
from whosings.collection.windows import Hearing
from whosings.errors import WhosingsError
from whosings.models import create, load_model
from whosings.models.voiceprint import ecapa
from whosings.models.voiceprint.network import CosineHead, FromVoiceprints, Voiceprint
from whosings.models.voiceprint.pretrained import load_pretrained
from whosings.training import frozen
from whosings.training.frozen import FOLDER, EncodedWindows, Learner, behind_frozen, imprint
from whosings.training.recipe import load_recipe
from whosings.training.run import train
from whosings.training.windows import Example, WindowDataset

SMALL = ("pretrained=false", "epochs=2", "learning_rate=0.001")
LCA = "counterfactual.first_step=1"


class Data(NamedTuple):
    collection: Collection
    store: FeatureStore

    def train(self, out: Path, recipe: str, *overrides: str) -> dict[str, Tensor]:
        """Train; give the saved weights."""
        train(training_of(self.collection, recipe, *SMALL, *overrides), out, self.store, quiet=True)
        return load_file(out / "model.safetensors")

    def windows(self, side: Side = "train", protocol: str = "kuo") -> WindowDataset:
        split = make_split(self.collection, protocol)
        tracks = [self.collection.by_id[name] for name in getattr(split, side)]
        return WindowDataset(tracks, side, split, self.store, MIX, 3, Hearing(SPEAKER))

    @property
    def encoded(self) -> list[Path]:
        return sorted((self.store.root / FOLDER).rglob("*.npy"))


@pytest.fixture(scope="module", autouse=True)
def narrow() -> Iterator[None]:
    """The real system with a sixteenth of its channels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ecapa, "WIDTH", 64)
        patch.setattr(ecapa, "FRAMES", 192)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("frozen")
    return Data(songs(folder / "songs"), store_in(folder))


@pytest.fixture
def whole_network(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let every step run the whole network."""
    monkeypatch.setattr(Voiceprint, "split_after", lambda *_, **__: None)
    return monkeypatch


def cached(data: Data, recipe: str = "voiceprint_pooling", *overrides: str, bf16: bool = False) -> Learner:
    chosen = load_recipe(recipe, [*SMALL, *overrides])
    torch.manual_seed(0)
    system = create("voiceprint", 2)
    return behind_frozen(system, chosen, {"train": data.windows()}, data.store.root, bf16=bf16, quiet=True)


def states(learner: Learner) -> list[Tensor]:
    windows = learner.datasets["train"]
    return [windows[index].x for index in range(len(windows))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recipe", "overrides", "tolerance"),
    [
        ("voiceprint", (), 1e-5),
        ("voiceprint_pooling", (), 1e-5),
        ("voiceprint_pooling", ("precision=bf16",), 1e-2),
        ("voiceprint_pooling", ("frozen=[encoder]",), 1e-5),
        ("voiceprint_pooling_cal", (), 1e-5),
        ("voiceprint_pooling_lca", (LCA,), 1e-5),
        ("voiceprint_pooling_lca", (LCA, "frozen=[encoder, attention, norm, project]"), 1e-5),
    ],
)
def test_kept_states_train_to_the_weights_of_the_whole_network(
    data: Data,
    tmp_path: Path,
    whole_network: pytest.MonkeyPatch,
    recipe: str,
    overrides: tuple[str, ...],
    tolerance: float,
) -> None:
    whole = data.train(tmp_path / "whole", recipe, *overrides)
    whole_network.undo()
    kept = data.train(tmp_path / "kept", recipe, *overrides)
    assert kept.keys() == whole.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(kept[name], tensor, atol=tolerance, rtol=tolerance, msg=name)
    branches = [tmp_path / run / "branch.safetensors" for run in ("whole", "kept")]
    if branches[0].exists():
        one, other = map(load_file, branches)
        assert one.keys() == other.keys() and one
        for name, tensor in one.items():
            torch.testing.assert_close(other[name], tensor, atol=tolerance, rtol=tolerance, msg=name)


@pytest.mark.parametrize("split", [False, True])
def test_frozen_parts_stay_with_their_batch_statistics_and_the_rest_learns(
    data: Data, tmp_path: Path, whole_network: pytest.MonkeyPatch, split: bool
) -> None:
    if split:
        whole_network.undo()
    torch.manual_seed(0)
    before = create("voiceprint", 2).state_dict()
    after = data.train(tmp_path / "run", "voiceprint_pooling", "frozen=[encoder, norm]")
    changed = {name.split(".")[0] for name, tensor in after.items() if not tensor.equal(before[name])}
    assert changed == {"attention", "project", "head"}


def test_the_saved_model_is_whole_and_the_checkpoints_hold_what_is_trained(
    data: Data, tmp_path: Path
) -> None:
    saved = data.train(tmp_path / "run", "voiceprint")
    loaded, _ = load_model(tmp_path / "run")
    assert isinstance(loaded, Voiceprint)
    assert loaded.state_dict().keys() == saved.keys()
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert [name for name in last if name.startswith("objective")] == ["objective.network.head.weight"]


def test_a_run_cut_off_goes_on_to_the_same_bits_though_the_states_are_gone(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.train(tmp_path / "whole", "voiceprint_pooling_lca", LCA)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="lights"):
        stop_in_epoch(patch, 1)
        data.train(tmp_path / "run", "voiceprint_pooling_lca", LCA)
    shutil.rmtree(data.store.root / FOLDER)
    data.train(tmp_path / "run", "voiceprint_pooling_lca", LCA)
    for name in ("model.safetensors", "branch.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_states_are_those_of_the_windows_in_their_order(data: Data) -> None:
    torch.manual_seed(0)
    system, windows = create("voiceprint", 2).eval(), data.windows(protocol="snippet")
    recipe = load_recipe("voiceprint_pooling", SMALL)
    kept = behind_frozen(system, recipe, {"train": windows}, data.store.root, bf16=False, quiet=True)
    states = kept.datasets["train"]
    assert isinstance(states, EncodedWindows) and len(states) == len(windows) > 8
    system.eval()
    for index in range(len(windows)):
        with torch.inference_mode():
            wanted = system.encode(windows[index].x[None])[0]  # type: ignore[operator]
        torch.testing.assert_close(states[index].x, wanted, atol=1e-4, rtol=1e-4)
        assert states[index].singer == windows[index].singer
    assert states[len(windows) + 1].x.equal(states[1].x)


def test_states_are_kept_in_the_precision_of_the_run(data: Data) -> None:
    full, half = states(cached(data)), states(cached(data, bf16=True))
    assert {state.dtype for state in full} == {torch.float32}
    assert {state.dtype for state in half} == {torch.bfloat16}
    assert full[0].shape == half[0].shape == (192, 300)
    assert (full[0] - half[0]).abs().mean() < 0.05 * full[0].abs().mean()


def test_other_seeds_and_losses_share_the_states(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder is given, as a pretrained one is."""
    cached(data)
    before = data.encoded
    monkeypatch.setattr(frozen._Encoder, "_write", None)  # not called
    for overrides in ("batch_size=4",), ("counterfactual.branch=learned",), ("learning_rates={head: 1}",):
        assert isinstance(cached(data, "voiceprint_pooling", *overrides).datasets["train"], EncodedWindows)
    assert data.encoded == before


def test_other_weights_and_other_windows_have_states_of_their_own(data: Data, tmp_path: Path) -> None:
    paths = {place[0] for place in cached(data).datasets["train"].places}  # type: ignore[attr-defined]
    torch.manual_seed(1)
    system, recipe = create("voiceprint", 2), load_recipe("voiceprint_pooling", SMALL)
    others: dict[Side, Any] = {"train": data.windows(), "validation": data.windows("validation")}
    learner = behind_frozen(system, recipe, others, data.store.root, bf16=False, quiet=True)
    for side in others:
        windows = learner.datasets[side]
        assert isinstance(windows, EncodedWindows)
        assert not paths & {place[0] for place in windows.places}
        paths |= {place[0] for place in windows.places}


def test_voiceprints_are_kept_where_all_but_the_head_is_frozen(data: Data) -> None:
    learner = cached(data, "voiceprint")
    assert states(learner)[0].shape == (192,)
    assert [name for name, _ in learner.network.named_parameters()] == ["head.weight"]
    assert learner.recipe.frozen == ()


def test_what_learns_is_not_kept(data: Data) -> None:
    learner = cached(data, "voiceprint_pooling", "frozen=[norm]")
    assert isinstance(learner.network, Voiceprint)
    assert isinstance(learner.datasets["train"], WindowDataset)


def test_a_part_that_is_not_there_is_named_before_anything_is_encoded(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "_Encoder", None)
    with pytest.raises(WhosingsError, match=r"no part named 'ears'; its parts are encoder, attention"):
        cached(data, "voiceprint_pooling", "frozen=[encoder, ears]")


def test_a_disk_without_room_is_a_sentence(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(data.store.root / FOLDER, ignore_errors=True)
    usage = shutil.disk_usage(data.store.root)._replace(free=10**5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WhosingsError, match=r"need 0\.\d GB, and 0\.0 GB are free; name a folder") as caught:
        cached(data)
    assert "\n" not in str(caught.value)
    assert not [path for path in (data.store.root / FOLDER).rglob("*") if path.is_file()]


def test_a_broken_file_is_a_sentence(data: Data) -> None:
    learner = cached(data)
    path = learner.datasets["train"].places[0][0]  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WhosingsError, match=r"encoded windows cannot be read .* delete it"):
        states(learner)
    path.unlink()
    with pytest.raises(WhosingsError, match="encoded windows cannot be read"):
        states(learner)


def test_a_map_counts_in_proportion() -> None:
    system, frames = create("voiceprint", 2).eval(), torch.randn(2, 192, 9)
    assert isinstance(system, Voiceprint)
    attention = system.attention(frames)
    logits = system.head(system.join(frames, attention))
    torch.testing.assert_close(system.decode(frames, attention), logits)
    torch.testing.assert_close(system.decode(frames, 700 * attention), logits, atol=1e-4, rtol=1e-4)


def test_both_halves_of_the_real_network_are_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecapa, "WIDTH", 1024)
    monkeypatch.setattr(ecapa, "FRAMES", 3072)
    system, x = Voiceprint(3), torch.randn(1, 80, 50) * 10 - 40
    load_pretrained(system)
    system.eval()
    for parts in ("encoder",), ("encoder", "attention", "norm", "project"):
        halves = system.split_after(parts)
        assert halves is not None
        with torch.inference_mode():
            torch.testing.assert_close(halves[1](halves[0](x)), system(x))


def test_directions_begin_at_the_mean_voiceprints() -> None:
    """Each voiceprint counts alike, however long it is."""
    network = FromVoiceprints(CosineHead(2))
    prints = [([3.0, 0.0], 0), ([0.0, 0.5], 0), ([-2.0, 0.0], 1)]
    windows = [Example(F.pad(torch.tensor(two), (0, 190)), torch.tensor(singer)) for two, singer in prints]
    imprint(Learner(network, load_recipe("voiceprint_campplus"), {"train": windows}))
    expected = torch.tensor([[0.5**0.5, 0.5**0.5], [-1.0, 0.0]])
    torch.testing.assert_close(network.head.weight, F.pad(expected, (0, 190)), check_dtype=False)


def test_directions_of_a_network_that_learns_more_are_not_set(tmp_path: Path, data: Data) -> None:
    with pytest.raises(WhosingsError, match="imprint needs a speaker encoder"):
        data.train(tmp_path / "run", "voiceprint", "imprint=true", "frozen=[encoder]")
    assert not (tmp_path / "run").exists()


def test_a_network_with_imprinted_directions_goes_on_where_it_stopped(data: Data, tmp_path: Path) -> None:
    whole = data.train(tmp_path / "whole", "voiceprint", "imprint=true")
    plain = data.train(tmp_path / "plain", "voiceprint")
    assert not torch.equal(whole["head.weight"], plain["head.weight"])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="lights"):
        stop_in_epoch(patch, 1)
        data.train(tmp_path / "run", "voiceprint", "imprint=true")
    again = data.train(tmp_path / "run", "voiceprint", "imprint=true")
    torch.testing.assert_close(again["head.weight"], whole["head.weight"], atol=0, rtol=0)
