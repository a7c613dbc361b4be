"""The attention modules against their formulas, written out position by position or as plain matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from whosings.models.crnn_fgnl import CRNNFGNL
from whosings.models.crnn_nl import NonLocal
from whosings.models.fgnl import FGNL, SE, FGNLState, MoSE, gaussian_kernel
from whosings.models.layers import as_sequence


def filled(module: torch.nn.Module) -> None:
    """Draw every weight, biases too, so that none hides behind a zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)


@pytest.fixture
def blocks() -> tuple[Tensor, Tensor]:
    """Maps of blocks 4 and 3."""
    torch.manual_seed(0)
    return torch.randn(2, 16, 4, 5), torch.randn(2, 16, 8, 10)


@torch.inference_mode()
def test_fgnl_without_gaussian_is_fgnl_with_an_identity_kernel(blocks: tuple[Tensor, Tensor]) -> None:
    smoothed, plain = FGNL(16, 4), FGNL(16, 4, gaussian=False)
    filled(smoothed)
    kernels = {n: t for n, t in smoothed.state_dict().items() if n.endswith("gaussian")}
    assert len(kernels) == 5
    plain.load_state_dict({n: t for n, t in smoothed.state_dict().items() if n not in kernels})
    assert (smoothed.respond(*blocks).responses - plain.respond(*blocks).responses).abs().max() > 1e-2
    for kernel in kernels.values():
        kernel.zero_()[:, :, 2, 2] = 1
    torch.testing.assert_close(smoothed.respond(*blocks).responses, plain.respond(*blocks).responses)


def test_gaussian_kernel() -> None:
    kernel = gaussian_kernel()
    assert kernel.sum() == pytest.approx(1)
    assert kernel[2, 2] == kernel.max()
    torch.testing.assert_close(kernel, kernel.T)


@torch.inference_mode()
def test_non_local_block_is_the_matrix_formula(blocks: tuple[Tensor, Tensor]) -> None:
    """Z = X + W softmax(theta(X)^T phi(X)) g(X), the softmax over each row."""
    x, _ = blocks
    block = NonLocal(16, 4)
    filled(block)
    for sample, result in zip(x, block(x), strict=True):
        positions = sample.flatten(1).T  # frequency * T + time, channels
        theta, phi, g = (
            positions @ layer.conv.weight.flatten(1).T + layer.conv.bias
            for layer in (block.theta, block.phi, block.g)
        )
        scores = (theta @ phi.T).exp()
        responses = (scores / scores.sum(dim=1, keepdim=True)) @ g
        expected = positions + responses @ block.out.weight.T + block.out.bias
        torch.testing.assert_close(result, expected.T.reshape(sample.shape), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_se_is_its_formula_and_weighs_each_channel_of_each_roll() -> None:
    torch.manual_seed(0)
    state = FGNLState(torch.randn(2, 16, 4, 5), torch.randn(2, 4, 20, 4))
    se = SE(16)
    filled(se)
    attention = se(state)
    module = FGNL(16, 4)
    filled(module)
    combined = module.combine(state, attention)
    for sample in range(2):
        squeezed = torch.stack([state.responses[sample, k, :, c].mean() for k in range(4) for c in range(4)])
        units = (se.squeeze.weight @ squeezed + se.squeeze.bias).clamp(min=0)
        weights = 1 / (1 + (-(se.excite.weight @ units + se.excite.bias)).exp())
        torch.testing.assert_close(attention[sample].flatten(), weights)
        # the joined channels are g-channel major, roll minor
        joined = [weights[k * 4 + c] * state.responses[sample, k, :, c] for c in range(4) for k in range(4)]
        added = torch.stack(joined, dim=1) @ module.out.weight.T + module.out.bias
        expected = state.features[sample] + added.T.reshape(16, 4, 5)
        torch.testing.assert_close(combined[sample], expected)


@torch.inference_mode()
def test_a_map_of_equal_channels_weighs_as_one_number_a_roll() -> None:
    torch.manual_seed(0)
    state = FGNLState(torch.randn(2, 16, 4, 5), torch.randn(2, 4, 20, 4))
    module, attention = FGNL(16, 4), MoSE()(state)
    wide = attention[:, :, None].expand(-1, -1, 4)
    assert torch.equal(module.combine(state, attention), module.combine(state, wide))


def test_a_fresh_attention_is_of_the_same_kind_and_other_weights() -> None:
    for scheme, kind in (("mose", MoSE), ("se", SE)):
        network = CRNNFGNL(3, scheme=scheme)  # type: ignore[arg-type]
        fresh = network.new_attention()
        assert isinstance(fresh, kind)
        assert fresh is not network.attention
        assert not torch.equal(fresh.squeeze.weight, network.attention.squeeze.weight)


def test_a_sequence_is_frequency_major() -> None:
    maps = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert as_sequence(maps)[0, 1].tolist() == [maps[0, c, f, 1].item() for f in range(3) for c in range(2)]
