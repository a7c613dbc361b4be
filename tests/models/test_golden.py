"""Our CRNN_FGNL against the released one, stage by stage, for both softmax axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.keras_weights import from_keras
from tests.shared_data import golden
from whosings.models.crnn_fgnl import CRNNFGNL
from whosings.models.fgnl import FGNL, FGNLState, MoSE
from whosings.models.layers import as_image, as_sequence

LENGTHS = (94, 157)


def load(name: str) -> Mapping[str, np.ndarray]:
    return dict(np.load(golden() / f"{name}.npz"))


def channels_last(x: Tensor) -> np.ndarray:
    """(B, C, F, T) -> (B, F, T, C), as the golden vectors lie."""
    return x.permute(0, 2, 3, 1).numpy()


def close(ours: Tensor | np.ndarray, theirs: np.ndarray, absolute: float) -> None:
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-5, atol=absolute)


def golden_network(vectors: Mapping[str, np.ndarray], axis: str) -> CRNNFGNL:
    network = CRNNFGNL(20, softmax_axis=axis).eval()  # type: ignore[arg-type]
    missing, unexpected = network.load_state_dict(from_keras(vectors, "w/"), strict=False)
    assert not unexpected
    assert all(name.endswith(("num_batches_tracked", "gaussian")) for name in missing)
    return network


@pytest.fixture(scope="module", params=LENGTHS)
def released(request: pytest.FixtureRequest) -> tuple[Mapping[str, np.ndarray], str]:
    return load(f"fgnl_{request.param}"), f"fgnl_{request.param}_rowsoftmax"


@torch.inference_mode()
def test_gaussian_taps_and_convolution_stages(released: tuple[Mapping[str, np.ndarray], str]) -> None:
    vectors, _ = released
    network = golden_network(vectors, "queries")
    taps = vectors["w/gauss_theta/depthwise_kernel"][:, :, :, 0].transpose(2, 0, 1)[:, None]
    close(cast(Tensor, network.fgnl.theta.gaussian), taps, 1e-7)

    x = torch.from_numpy(vectors["x"][..., 0])
    stride = {94: 6, 157: 8}[x.shape[-1]]
    image = as_image(network.norm(x))
    close(channels_last(image), vectors["o/bn_in"], 1e-5)
    for number, block in enumerate(network.blocks, start=1):
        image = block(image)
        maps = channels_last(image)
        if number <= 2:
            step = stride // number
            close(maps[:, ::step, ::step], vectors[f"o/cb{number}_sub"], 1e-4)
            wide = maps.astype(np.float64)
            stats = [
                f(wide, axis=(0, 1, 2))
                for f in (np.mean, lambda a, axis: (a**2).mean(axis=axis), np.min, np.max)
            ]
            close(np.stack(stats), vectors[f"o/cb{number}_stats"], 1e-4)
        else:
            close(maps, vectors[f"o/cb{number}"], 1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("axis", ["queries", "keys"])
def test_attention_to_softmax(released: tuple[Mapping[str, np.ndarray], str], axis: str) -> None:
    vectors, row_name = released
    expected = {**vectors, **(load(row_name) if axis == "keys" else {})}
    network = golden_network(vectors, axis)
    tolerance = 2e-3 if axis == "queries" else 1e-4  # R reaches +-300 with the released axis

    x = torch.from_numpy(vectors["x"][..., 0])
    state = network.encode(x)
    close(state.responses.permute(0, 2, 3, 1), expected["o/R"], tolerance)
    attention = network.attention(state)
    close(attention, expected["o/mose_w"], 5e-6)
    combined = network.fgnl.combine(state, attention)
    close(channels_last(combined - state.features), expected["o/Y"], tolerance)
    close(channels_last(combined), expected["o/Z"], tolerance)
    first, _ = network.head.gru1(as_sequence(combined))
    close(first, expected["o/gru1"], 2e-5)
    close(network.embed(x), expected["o/gru2"], 2e-5)
    logits = network(x)
    close(logits, expected["o/logits"], 5e-5)
    close(logits.softmax(-1), expected["o/softmax"], 5e-6)


@torch.inference_mode()
@pytest.mark.parametrize("axis", ["queries", "keys"])
def test_fgnl_module_alone(axis: str) -> None:
    vectors = load("fgnl_module_small" + ("_rowsoftmax" if axis == "keys" else ""))
    module = FGNL(64, denominator=16, softmax_axis=axis)  # type: ignore[arg-type]
    attention = MoSE()
    state = from_keras(vectors, "w/")
    module.load_state_dict(
        {k.removeprefix("fgnl."): v for k, v in state.items() if k.startswith("fgnl.")}, strict=False
    )
    attention.load_state_dict(
        {k.removeprefix("attention."): v for k, v in state.items() if k.startswith("attention.")}
    )
    block4, block3 = (torch.from_numpy(vectors[k]).permute(0, 3, 1, 2) for k in ("x_cb4", "x_cb3"))
    close(module.theta(block4), vectors["o/theta"], 1e-5)
    close(torch.cat([module.phi4(block4), module.phi3(block3)], 1), vectors["o/phi"], 1e-5)
    close(torch.cat([module.g4(block4), module.g3(block3)], 1), vectors["o/g"], 1e-5)
    known: FGNLState = module.respond(block4, block3)
    close(known.responses.permute(0, 2, 3, 1), vectors["o/R"], 1e-4)
    close(known.responses.mean(dim=(2, 3)), vectors["o/gap"], 1e-5)
    weights = attention(known)
    close(weights, vectors["o/mose_w"], 1e-6)
    close(channels_last(module.combine(known, weights)), vectors["o/Z"], 1e-4)


def test_the_released_axis_is_dead_and_ours_is_not() -> None:
    """With the softmax over queries the map is uniform for any input; over keys it is not (notes on FGNL)."""
    vectors = load("fgnl_94")
    x = torch.from_numpy(vectors["x"][..., 0])
    maps = {}
    for axis in ("queries", "keys"):
        network = golden_network(vectors, axis)
        with torch.inference_mode():
            maps[axis] = network.attention(network.encode(x))
    assert (maps["queries"] - 0.25).abs().max() < 1e-5
    assert (maps["keys"] - 0.25).abs().max() > 1e-3
