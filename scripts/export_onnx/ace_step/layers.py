"""Building blocks that the diffusion transformer and the lyric encoder share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Projection(nn.Module):
    """A linear map over the last axis, whose weight may be stored as that of a 1×1 convolution.

    The checkpoint's weight is ``(out, in)``, followed by ``kernel_axes`` axes of length one.
    :meth:`transpose_weight` turns it into a plain ``(in, out)`` matrix: exported that way it
    is the right operand of one MatMul, with nothing between the stored weight and the product,
    which is the form that runtimes pack at load time and that quantisers look for.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, kernel_axes: int = 0):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *[1] * kernel_axes))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.transposed = False

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., in)`` to ``(..., out)``."""
        if not self.transposed:
            return F.linear(x, self.weight.flatten(1), self.bias)
        product = x @ self.weight
        return product if self.bias is None else product + self.bias

    @torch.no_grad()
    def transpose_weight(self) -> None:
        """Store the weight as ``(in, out)``. The results stay the same; done only once."""
        if not self.transposed:
            self.weight = nn.Parameter(self.weight.flatten(1).t().contiguous(), requires_grad=False)
            self.transposed = True

    @torch.no_grad()
    def reorder_outputs(self, order: Tensor) -> None:
        """Put output ``order[i]`` at place ``i``."""
        if self.transposed:
            raise RuntimeError("reorder the outputs before the weight is transposed")
        self.weight = nn.Parameter(self.weight[order], requires_grad=False)
        if self.bias is not None:
            self.bias = nn.Parameter(self.bias[order], requires_grad=False)

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> Projection:
        """Wrap the parameters of a linear layer of some package, without copying them."""
        with torch.device("meta"):
            projection = cls(linear.in_features, linear.out_features, bias=linear.bias is not None)
        projection.weight, projection.bias = linear.weight, linear.bias
        return projection


def transpose_weights(module: nn.Module) -> None:
    """Bring every linear map below ``module`` into its MatMul form, one at a time."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                setattr(parent, name, Projection.from_linear(child))
    for child in module.modules():
        if isinstance(child, Projection):
            child.transpose_weight()


def weight_dtype(module: nn.Module) -> torch.dtype:
    """The dtype a module computes in: that of its parameters."""
    return next(module.parameters()).dtype


def attention_bias(key_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to attention scores so that masked keys get no weight.

    ``key_mask`` is ``(batch, keys)`` with 1 for the keys that count; the result
    ``(batch, 1, 1, keys)`` is 0 there and the lowest finite number elsewhere. A finite number,
    because a row whose keys are *all* masked has to survive the softmax without NaN; together
    with values that are zeroed at masked keys it comes out as 0.
    """
    masked = key_mask.ne(1)[:, None, None, :]
    return masked.to(dtype) * torch.finfo(dtype).min
