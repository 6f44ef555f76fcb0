"""The diffusion transformer as a velocity, guided where the model needs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.bundle import NULL_CONDITION, SILENCE, TRANSFORMER
from lofi_daemon.backends.ace_step_15.guidance import adaptive_projected, classifier_free
from lofi_daemon.backends.ace_step_15.latents import Latents
from lofi_daemon.backends.ace_step_15.solvers import Velocity
from lofi_daemon.backends.ace_step_15.text import Rows
from lofi_daemon.backends.kit.arrays import read_array
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel, SessionSettings

Context = NDArray[np.float32]
"""float32 [1, frames, 2 · channels]: latents of a source, then the mask of what is to be made."""


class DiffusionTransformer:
    """The graph, and the silence that stands for "no source"."""

    def __init__(self, folder: Path, settings: SessionSettings) -> None:
        self._model = OnnxModel(
            folder / f"{TRANSFORMER}.onnx",
            settings,
            required_inputs=(
                "hidden_states",
                "timestep",
                "encoder_hidden_states",
                "context_latents",
            ),
        )
        self._folder = folder
        self._silence: NDArray[np.float32] = read_array(folder / SILENCE)

    @property
    def device(self) -> str:
        return self._model.device

    def empty_context(self, frames: int) -> Context:
        """Silence everywhere, and everything to be made."""
        source = self._silence[:frames]
        return np.concatenate((source, np.ones_like(source)), axis=1)[None]

    def velocity(self, rows: Rows, context: Context, cancel: CancelToken) -> Velocity:
        """Noise minus data, under the rows."""
        padded_context = _even(context)

        def velocity(latents: Latents, level: np.float32) -> Latents:
            frames = latents.shape[1]
            feeds = {
                "hidden_states": _even(latents),
                "timestep": np.array([level], dtype=np.float32),
                "encoder_hidden_states": rows,
                "context_latents": padded_context,
            }
            return self._model.run(feeds, cancel)[0][:, :frames]

        return velocity

    def guided(
        self,
        rows: Rows,
        context: Context,
        cancel: CancelToken,
        *,
        scale: float,
        levels: tuple[float, float] = (0.0, 1.0),
    ) -> tuple[Velocity, Velocity]:
        """Away from what no text would give, at the noise levels from … to.

        At the start of a step by adaptive projection, whose momentum lives as long as the returned
        function, and ahead of it by the plain form, as the original does.
        """
        conditional = self.velocity(rows, context, cancel)
        null: Rows = read_array(self._folder / NULL_CONDITION)
        unconditional = self.velocity(np.broadcast_to(null, rows.shape), context, cancel)
        lowest, highest = np.float32(levels[0]), np.float32(levels[1])
        momentum: Latents | None = None

        def velocity(latents: Latents, level: np.float32) -> Latents:
            nonlocal momentum
            with_text = conditional(latents, level)
            if not lowest <= level <= highest:
                return with_text
            without = unconditional(latents, level)
            result, momentum = adaptive_projected(with_text, without, scale, momentum)
            return result

        def ahead(latents: Latents, level: np.float32) -> Latents:
            with_text = conditional(latents, level)
            if not lowest <= level <= highest:
                return with_text
            return classifier_free(with_text, unconditional(latents, level), scale)

        return velocity, ahead


def _even(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A zero frame more where their number is odd: the graph reads frames in pairs."""
    return np.pad(values, ((0, 0), (0, values.shape[1] % 2), (0, 0)))
