"""What tuning a pretrained network needs: frozen parts, rates of their own, pieces, teacher, margin."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.songs import SINGERS
from tests.training.test_remix import stems
from whosings.audio.frontend import SPEAKER
from whosings.collection.catalogue import Collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import make_split
from whosings.collection.track import Source
from whosings.collection.windows import Hearing
from whosings.errors import WhosingsError
from whosings.models.voiceprint.network import Voiceprint
from whosings.training.module import cosine
from whosings.training.objective import Objective
from whosings.training.recipe import load_recipe
from whosings.training.run import new_network
from whosings.training.windows import RemixedPieces

__all__ = ["stems"]  # fixtures


def pieces(collection: Collection, store: FeatureStore, level_db: float = 0.0) -> RemixedPieces:
    split = make_split(collection)
    tracks = [collection.by_id[name] for name in split.train]
    common = (tracks, "train", split, store, Source(), 3, Hearing(SPEAKER))
    return RemixedPieces(*common, levels_db=(level_db, level_db), seed=0, piece_seconds=1.0)


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 80, 50, generator=torch.Generator().manual_seed(seed)) * 10 - 40, torch.arange(
        4
    ) % 2


def test_pieces_are_of_the_front_end_and_come_with_their_voice(
    stems: Collection, store: FeatureStore
) -> None:
    loud = pieces(stems, store, 100.0)[0]
    assert loud.x.shape == loud.voice.shape == (80, 100)
    assert loud.x.dtype == loud.voice.dtype == torch.float32
    torch.testing.assert_close(loud.x, loud.voice, atol=0.05, rtol=0)
    assert (pieces(stems, store)[0].x - loud.voice).abs().mean() > 1


def test_pieces_depend_on_seed_and_index_alone_and_singers_come_alike_often(
    stems: Collection, store: FeatureStore
) -> None:
    drawn = pieces(stems, store)
    torch.testing.assert_close(drawn[7].x, pieces(stems, store)[7].x)
    assert not torch.equal(drawn[7].x, drawn[7 + len(drawn)].x)
    counts = Counter(int(drawn[index].singer) for index in range(200))
    assert set(counts) == set(range(len(SINGERS)))
    assert min(counts.values()) > 70


def test_frozen_parts_stay_and_parts_have_their_rates() -> None:
    recipe = load_recipe("voiceprint", ["pretrained=false", "learning_rates={head: 0.5}", "frozen=[encoder]"])
    torch.manual_seed(0)
    network = Voiceprint(2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    objective = Objective(network, recipe).train()
    groups = objective.parameter_groups()
    assert {group["lr"]: len(group["params"]) for group in groups}[0.5] == 1
    assert sum(len(group["params"]) for group in groups) == len([*network.parameters()]) - len(
        [*network.encoder.parameters()]
    )
    optimiser = torch.optim.Adam(groups)
    objective(*batch(), 0)["total"].backward()
    optimiser.step()
    changed = {
        name.split(".")[0] for name, tensor in network.state_dict().items() if not tensor.equal(before[name])
    }
    assert changed == {"attention", "norm", "project", "head"}


def test_a_part_that_is_not_there_is_named() -> None:
    recipe = load_recipe("voiceprint", ["pretrained=false", "frozen=[ears]"])
    with pytest.raises(WhosingsError, match=r"no part named 'ears'; its parts are encoder, attention"):
        Objective(Voiceprint(2), recipe)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("frozen=[encoder, attention, norm, project, head]", "freezes all"), ("dense_l2=0.1", "no dense layer")],
)
def test_what_the_network_cannot_learn_is_one_sentence(setting: str, reason: str) -> None:
    with pytest.raises(WhosingsError, match=reason):
        Objective(Voiceprint(2), load_recipe("voiceprint", ["pretrained=false", setting]))


def test_the_teacher_is_the_network_as_it_was_pretrained() -> None:
    recipe = load_recipe("voiceprint_tuned")
    network = new_network(recipe, 2)
    objective = Objective(network, recipe).eval()
    x, target = batch()
    same = objective(x, target, 0, voice=x)["distil"].item()
    other = objective(x, target, 0, voice=batch(1)[0])["distil"].item()
    assert same == pytest.approx(0, abs=1e-3) and other > 1
    with torch.no_grad():
        for parameter in network.project.parameters():
            parameter.mul_(-1)
    assert objective(x, target, 0, voice=x)["distil"].item() > recipe.distil
    assert not any("teacher" in name for name in objective.state_dict())


def test_the_margin_lowers_the_true_logit() -> None:
    network = Voiceprint(2).eval()
    x, target = batch()
    plain, lowered = (
        Objective(network, load_recipe("voiceprint", ["pretrained=false", f"margin={margin}"])).eval()(
            x, target, 0
        )
        for margin in (0, 3)
    )
    logits = network(x)
    wanted = torch.nn.functional.cross_entropy(logits - 3 * torch.eye(2)[target], target)
    torch.testing.assert_close(lowered["main"], wanted)
    assert lowered["main"] > plain["main"]


def test_balanced_singers_count_alike_however_many_windows_they_have() -> None:
    network = Voiceprint(2).eval()
    x, _ = batch()
    target = torch.zeros(len(x), dtype=torch.long)
    target[0] = 1
    recipe = load_recipe("voiceprint", ["pretrained=false", "balanced=true"])
    weights = len(x) / (2 * torch.bincount(target).float())
    found = Objective(network, recipe, weights).eval()(x, target, 0)["main"]
    each = torch.nn.functional.cross_entropy(network(x), target, reduction="none")
    torch.testing.assert_close(found, (each[0] + each[1:].mean()) / 2)
    assert "weights" not in Objective(network, recipe, weights).state_dict()


@pytest.mark.parametrize("name", ["crnn_fgnl_lca", "voiceprint_tuned"])
def test_what_is_not_balanced_by_weights(name: str) -> None:
    with pytest.raises(WhosingsError, match="balanced"):
        load_recipe(name, ["balanced=true"])


def test_the_rate_rises_and_falls() -> None:
    rates = [cosine(step, 100) for step in range(101)]
    assert rates[0] < rates[29] and np.argmax(rates) == 29
    assert all(a >= b for a, b in pairwise(rates[29:]))
    assert rates[-1] == pytest.approx(0.02)
    assert cosine(0, 1) > 0.9


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["remix_db=null"], "piece_seconds needs remix_db"),
        (["pretrained=false"], "distil needs pretrained"),
        (["counterfactual.branch=learned"], "distil cannot be combined"),
    ],
)
def test_settings_that_do_not_belong_together(settings: list[str], reason: str) -> None:
    with pytest.raises(WhosingsError, match=reason):
        load_recipe("voiceprint_tuned", settings)


def test_a_system_without_pretrained_weights() -> None:
    with pytest.raises(WhosingsError, match="'crnn' has no pretrained weights"):
        new_network(load_recipe("crnn", ["pretrained=true"]), 2)


def test_missing_weights_stop_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whosings.models.voiceprint.pretrained import Weights

    monkeypatch.setattr(Weights, "_package_folder", lambda _: tmp_path)
    for variable in ("WHOSINGS_WEIGHTS", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(WhosingsError, match="voice encoder are not there"):
        new_network(load_recipe("voiceprint"), 2)
