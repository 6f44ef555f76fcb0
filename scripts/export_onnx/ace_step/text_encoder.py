"""The text encoder, UMT5, with the factor that guidance by weakened conditions (ERG) needs."""

from __future__ import annotations

from torch import Tensor, nn

from ..assembly import GraphModule
from .layers import transpose_weights

WEAKENED_BLOCKS = (8, 9)
"""The blocks whose self-attention queries ERG scales."""


class WeakenedProjection(nn.Module):
    """A projection whose output is multiplied by a factor that is set from outside."""

    def __init__(self, projection: nn.Module):
        super().__init__()
        self.projection = projection
        self.factor: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        projected = self.projection(x)
        return projected if self.factor is None else projected * self.factor.to(projected.dtype)


class TextEncoderGraph(GraphModule):
    """Token ids and mask to hidden states; optionally with weakened queries in blocks 8 and 9.

    Never computed in half precision, in which models of the T5 family overflow.
    """

    def __init__(self, text_encoder: nn.Module):
        super().__init__()
        self.text_encoder = text_encoder
        self.weakened: list[WeakenedProjection] = []
        for index, block in enumerate(text_encoder.encoder.block):
            if index in WEAKENED_BLOCKS:
                attention = block.layer[0].SelfAttention
                attention.q = WeakenedProjection(attention.q)
                self.weakened.append(attention.q)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, query_scale: Tensor | None = None
    ) -> Tensor:
        for projection in self.weakened:
            projection.factor = query_scale
        encoded = self.text_encoder(input_ids=input_ids, attention_mask=attention_mask)
        return encoded.last_hidden_state.float()

    def prepare(self) -> None:
        transpose_weights(self)
