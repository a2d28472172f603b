"""The quick activation is the slow one's function, with its first and second derivatives."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from transformers import GPT2Config, GPT2LMHeadModel

from bench.models.gelu import TILE, TanhGELU, quicken

POINTS = torch.tensor([-1e3, -12.0, -3.0, -0.7, 0.0, 0.3, 2.0, 9.0, 1e3])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_values_and_gradients_are_those_of_torch(dtype, tolerance):
    x = torch.cat([POINTS, torch.linspace(-6, 6, 1001)]).to(dtype).requires_grad_()
    ours, theirs = TanhGELU()(x), torch.nn.functional.gelu(x, approximate="tanh")
    weights = torch.linspace(-1, 1, len(x), dtype=dtype)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(*gradients, atol=tolerance, rtol=tolerance)


def test_first_and_second_derivatives_agree_with_finite_differences():
    x = torch.linspace(-4, 4, 23, dtype=torch.float64, requires_grad=True)
    for each in (x, x[::2]):  # contiguous and not
        assert gradcheck(TanhGELU(), (each,)) and gradgradcheck(TanhGELU(), (each,))


@pytest.mark.parametrize("size", [TILE - 1, TILE, TILE + 1, 3 * TILE])
def test_where_tiles_end_makes_no_difference(size):
    x = torch.randn(size, 2, generator=torch.Generator().manual_seed(0)).T.requires_grad_()  # not contiguous
    ours, theirs = TanhGELU()(x), torch.nn.functional.gelu(x, approximate="tanh")
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


def test_half_precision_is_left_to_torch():
    x = POINTS.bfloat16()
    assert torch.equal(TanhGELU()(x), torch.nn.functional.gelu(x, approximate="tanh"))


@pytest.mark.parametrize("name", ["gelu_new", "gelu_pytorch_tanh", "relu"])
def test_a_model_says_the_same_with_it_and_only_this_function_is_exchanged(name):
    torch.manual_seed(0)
    shape = {"vocab_size": 11, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**shape, activation_function=name)).eval()
    ids = torch.arange(8).unsqueeze(0)
    before = model(ids).logits
    quicken(model)
    assert [isinstance(block.mlp.act, TanhGELU) for block in model.transformer.h] == [name != "relu"] * 2
    torch.testing.assert_close(model(ids).logits, before, atol=1e-5, rtol=1e-5)
