import pytest
import torch
from torch import nn
from torch.nn import functional

from whosings.evidence.gradcam import STEP, grad_cam, heat_maps, hires_cam, method
from whosings.models import create


class Signs(nn.Module):
    """Two singers: one is whatever is above 0 dB, the other whatever is below."""

    def __init__(self, pool: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.conv.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        self.rectify = nn.Sequential(nn.ReLU(), nn.AvgPool2d(pool))

    def forward(self, log_mel):
        return self.rectify(self.conv(log_mel[:, None])).sum(dim=(2, 3))


class Recurrent(nn.Module):
    """Everything that has a state to spoil: batch norm, dropout, a GRU, an in-place activation."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.rest = nn.Sequential(nn.ELU(inplace=True), nn.MaxPool2d((16, 4)), nn.Dropout(0.5))
        self.gru = nn.GRU(32, 8, batch_first=True)
        self.dense = nn.Linear(8, 3)
        self.unused = nn.Conv2d(1, 1, 1)
        self.cudnn = []

    def forward(self, log_mel):
        self.cudnn.append(torch.backends.cudnn.enabled)
        x = self.rest(self.norm(self.conv(log_mel[:, None])))
        return self.dense(self.gru(x.flatten(1, 2).transpose(1, 2))[0][:, -1])


@pytest.fixture
def windows():
    """Two windows: a loud corner that is the larger, and the other way round."""
    x = torch.zeros(2, 128, 94)
    x[0, 10:30, 5:25] = torch.linspace(1, 3, 20)
    x[0, 90:100, 60:70] = -1.0
    x[1, 10:20, 5:15] = 1.0
    x[1, 80:110, 50:80] = -2.0
    return x


@pytest.fixture
def recurrent():
    torch.manual_seed(0)
    return Recurrent()


@pytest.mark.parametrize(("target", "sign"), [(0, 1), (1, -1)])
def test_heat_lies_where_the_singer_is(windows, target, sign):
    network = Signs()
    expected = (sign * windows).relu()
    expected = expected / expected.amax(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(grad_cam(network, network.rectify, windows, target), expected)


def test_what_spoke_against_the_singer_is_left_out(windows):
    network = Signs()
    heat = grad_cam(network, network.conv, windows, 0)  # activations of both signs: x and -x
    expected = windows.relu() / windows.relu().amax(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(heat, expected)


def test_without_a_target_each_window_explains_its_own_answer(windows):
    network = Signs()
    heat = grad_cam(network, network.rectify, windows)
    torch.testing.assert_close(heat[0], grad_cam(network, network.rectify, windows, 0)[0])
    torch.testing.assert_close(heat[1], grad_cam(network, network.rectify, windows, 1)[1])


def test_coarse_layer_is_brought_back_to_the_window(windows):
    network = Signs(pool=8)
    heat = grad_cam(network, network.rectify, windows, 0)
    coarse = functional.avg_pool2d(windows.relu()[:, None], 8)
    fine = functional.interpolate(coarse, size=(128, 94), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(heat, fine / fine.amax(dim=(1, 2), keepdim=True))
    assert heat.amax(dim=(1, 2)).tolist() == [1.0, 1.0]


def test_a_network_that_hears_the_melody_is_explained_over_its_log_mel(windows):
    class Hearing(nn.Module):
        """Two singers by the log-mel, as `Signs`, both less likely where there is melody."""

        def __init__(self):
            super().__init__()
            self.signs = Signs()

        def forward(self, x):
            return self.signs(x[:, 0]) - x[:, 1].sum(dim=(1, 2))[:, None]

    network = Hearing()
    heard = torch.stack([windows, torch.zeros_like(windows)], dim=1)
    heat = grad_cam(network, network.signs.rectify, heard, 0)
    assert heat.shape == (2, 128, 94)
    torch.testing.assert_close(heat, grad_cam(network.signs, network.signs.rectify, windows, 0))


@pytest.mark.parametrize("system", ["crnnm", "crnnm_fgnl"])
def test_heat_of_the_networks_that_hear_the_melody(system, windows):
    torch.manual_seed(0)
    network = create(system, 3)
    heat = grad_cam(network, network.cam_layer, torch.stack([windows, windows.clamp(0, 1)], dim=1))
    assert heat.shape == (2, 128, 94)
    assert heat.amax(dim=(1, 2)).tolist() == [1.0, 1.0]


class Apart(nn.Module):
    """One singer, who is loud in the upper half of the bands and quiet in the lower."""

    def __init__(self):
        super().__init__()
        self.maps = nn.ReLU()

    def forward(self, log_mel):
        maps = self.maps(log_mel[:, None])
        return (maps[:, :, 64:].sum(dim=(2, 3)) - maps[:, :, :64].sum(dim=(2, 3))).expand(-1, 2)


def test_hires_cam_sees_frequencies_that_are_weighed_apart(windows):
    network, loud = Apart(), windows.abs()
    assert grad_cam(network, network.maps, loud, 0).max() < 1e-6  # both halves of the gradient cancel out
    heat = hires_cam(network, network.maps, loud, 0)
    assert heat[0, :64].max() == 0
    hottest = divmod(int(heat[0].argmax()), heat.shape[2])
    assert 90 <= hottest[0] < 100 and 60 - STEP <= hottest[1] < 70 + STEP
    assert heat.amax(dim=(1, 2)).tolist() == [1.0, 1.0]


def test_hires_cam_is_gradient_times_activation_a_step_at_a_time(windows):
    network = Signs()
    heat = hires_cam(network, network.rectify, windows, 0)
    steps = functional.avg_pool2d(windows.relu()[:, None], (1, STEP), ceil_mode=True)
    assert steps.shape[-1] == 10  # of 94 frames, the last shorter
    fine = functional.interpolate(steps, size=(128, 94), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(heat, fine / fine.amax(dim=(1, 2), keepdim=True))


def test_each_system_has_its_method_and_layer(windows):
    torch.manual_seed(0)
    crnn, campplus = create("crnn", 3), create("voiceprint_campplus", 3)
    assert (method(crnn), method(campplus)) == ("Grad-CAM", "HiResCAM")
    assert create("voiceprint", 2).cam_layer is None
    torch.testing.assert_close(heat_maps(crnn, windows, 1), grad_cam(crnn, crnn.cam_layer, windows, 1))
    bands = windows[:, :80] - 20
    heat = heat_maps(campplus, bands, 1)
    assert heat.shape == (2, 80, 94)
    assert heat.amax(dim=(1, 2)).tolist() == [1.0, 1.0]
    torch.testing.assert_close(heat, hires_cam(campplus, campplus.cam_layer, bands, 1))


def test_nothing_to_find_stays_zero(windows):
    network = Signs()
    heat = grad_cam(network, network.rectify, torch.stack([windows[0].relu(), torch.zeros(128, 94)]), 1)
    assert torch.equal(heat, torch.zeros(2, 128, 94))


def test_network_is_left_as_it_was(recurrent, windows):
    recurrent.train()
    recurrent.norm.eval()
    recurrent.dense.weight.requires_grad_(False)
    recurrent.conv.weight.grad = torch.ones_like(recurrent.conv.weight)
    modes = [module.training for module in recurrent.modules()]
    state = {name: tensor.clone() for name, tensor in recurrent.state_dict().items()}

    heat = grad_cam(recurrent, recurrent.norm, windows)

    assert [module.training for module in recurrent.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in recurrent.state_dict().items())
    assert not recurrent.dense.weight.requires_grad
    assert recurrent.gru.weight_ih_l0.requires_grad
    assert recurrent.gru.weight_ih_l0.grad is None
    assert torch.equal(recurrent.conv.weight.grad, torch.ones_like(recurrent.conv.weight))
    assert not recurrent.norm._forward_hooks
    assert not heat.requires_grad
    assert not windows.requires_grad


def test_heat_is_that_of_evaluation_mode_without_cudnn(recurrent, windows):
    enabled = torch.backends.cudnn.enabled
    recurrent.train()
    training = grad_cam(recurrent, recurrent.norm, windows, 1)
    recurrent.eval()
    torch.testing.assert_close(training, grad_cam(recurrent, recurrent.norm, windows, 1))
    assert recurrent.cudnn == [False, False]
    assert torch.backends.cudnn.enabled == enabled


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_works_for_frozen_weights_where_gradients_are_off(recurrent, windows, guard):
    expected = grad_cam(recurrent, recurrent.norm, windows, 1)
    recurrent.requires_grad_(False)
    with guard():
        heat = grad_cam(recurrent, recurrent.norm, windows.clone(), 1)
    torch.testing.assert_close(heat, expected)
    assert heat.max() == 1.0


def test_windows_do_not_see_each_other(recurrent, windows):
    both = grad_cam(recurrent, recurrent.norm, windows, 2)
    for index in range(2):
        alone = grad_cam(recurrent, recurrent.norm, windows[index : index + 1], 2)
        torch.testing.assert_close(both[index], alone[0])


def test_misuse_is_told_and_leaves_no_hook(recurrent, windows):
    recurrent.train()
    for layer, target, sentence in (
        (nn.Conv2d(1, 1, 1), None, "not part of the network"),
        (recurrent.unused, None, "must run once"),
        (recurrent.dense, None, "must run once"),
        (recurrent.norm, 3, "no singer 3 among 3"),
    ):
        with pytest.raises(ValueError, match=sentence):
            grad_cam(recurrent, layer, windows, target)
        assert not layer._forward_hooks
    with pytest.raises(ValueError, match=r"B, bands, T"):
        grad_cam(recurrent, recurrent.norm, windows[0])
    with pytest.raises(ValueError, match=r"B, 2, bands, T"):
        grad_cam(recurrent, recurrent.norm, torch.stack([windows] * 3, dim=1))
    with pytest.raises(RuntimeError):
        grad_cam(recurrent, recurrent.norm, windows[:, :32])
    assert not recurrent.norm._forward_hooks
    assert all(module.training for module in recurrent.modules())
