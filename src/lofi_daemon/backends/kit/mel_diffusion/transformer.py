"""The diffusion transformer as a velocity: one model call, or the guided pair in one batch of 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.kit.mel_diffusion.bundle import PAIR_FRAMES, TRANSFORMER
from lofi_daemon.backends.kit.mel_diffusion.context import Context
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents
from lofi_daemon.backends.kit.mel_diffusion.text import WEAKENED
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import Array, OnnxModel, SessionSettings


@dataclass(frozen=True)
class ContextPair:
    """The contexts of both passes; weaken_queries: ERG in the unconditional transformer pass."""

    conditional: Context
    unconditional: Context
    weaken_queries: bool = False


class DiffusionTransformer:
    """The transformer_decoder graph: latents float32 [B, 8, 16, T] → velocity of the same shape."""

    def __init__(self, folder: Path, settings: SessionSettings) -> None:
        self._model = OnnxModel(
            folder / f"{TRANSFORMER}.onnx",
            settings,
            required_inputs=(
                "hidden_states",
                "attention_mask",
                "encoder_hidden_states",
                "encoder_hidden_mask",
                "timestep",
            ),
        )
        batch = self._model.inputs["hidden_states"].shape[0]
        timesteps = self._model.inputs["timestep"].shape[0]
        self._takes_pairs = batch is None and timesteps is None

    @property
    def device(self) -> str:
        return self._model.device

    @property
    def can_weaken(self) -> bool:
        """Whether the graph takes the query scale that ERG needs."""
        return self._model.accepts("query_scale")

    def conditional(
        self, latents: Latents, timestep: np.float32, contexts: ContextPair, cancel: CancelToken
    ) -> Latents:
        """The velocity under the conditional context."""
        context = contexts.conditional
        return self._call(latents, timestep, context.hidden, context.mask, [1.0], cancel)

    def both(
        self, latents: Latents, timestep: np.float32, contexts: ContextPair, cancel: CancelToken
    ) -> tuple[Latents, Latents]:
        """The conditional and the unconditional velocity: one call where that pays."""
        with_prompt, without = contexts.conditional, contexts.unconditional
        scale = WEAKENED if contexts.weaken_queries else 1.0
        if self._takes_pairs and latents.shape[-1] <= PAIR_FRAMES:
            pair = self._call(
                np.concatenate((latents, latents)),
                timestep,
                np.concatenate((with_prompt.hidden, without.hidden)),
                np.concatenate((with_prompt.mask, without.mask)),
                [1.0, scale],
                cancel,
            )
            return pair[:1], pair[1:]
        return (
            self._call(latents, timestep, with_prompt.hidden, with_prompt.mask, [1.0], cancel),
            self._call(latents, timestep, without.hidden, without.mask, [scale], cancel),
        )

    def _call(
        self,
        latents: Latents,
        timestep: np.float32,
        context: NDArray[np.float32],
        context_mask: NDArray[np.float32],
        query_scales: list[float],
        cancel: CancelToken,
    ) -> Latents:
        batch, frames = latents.shape[0], latents.shape[-1]
        feeds: dict[str, Array] = {
            "hidden_states": latents,
            "attention_mask": np.ones((batch, frames), dtype=np.float32),
            "encoder_hidden_states": context,
            "encoder_hidden_mask": context_mask,
            "timestep": np.full(batch, timestep, dtype=np.float32),
        }
        if self.can_weaken:
            feeds["query_scale"] = np.array(query_scales, dtype=np.float32)
        return self._model.run(feeds, cancel)[0]
