"""The diffusion transformer as a velocity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.bundle import NULL_CONDITION, TRANSFORMER
from lofi_daemon.backends.ace_step_15.latents import Context, Latents
from lofi_daemon.backends.ace_step_15.solvers import Velocity
from lofi_daemon.backends.ace_step_15.text import Rows
from lofi_daemon.backends.kit.arrays import read_array
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import OnnxModel, SessionSettings


class DiffusionTransformer:
    """The graph. Raises ModelNotFound and ModelLoadFailed."""

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

    @property
    def device(self) -> str:
        return self._model.device

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

    def without_text(self, rows: Rows, context: Context, cancel: CancelToken) -> Velocity:
        """The same under as many rows of what no text says."""
        null: Rows = read_array(self._folder / NULL_CONDITION)
        return self.velocity(np.broadcast_to(null, rows.shape), context, cancel)


def _even(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A zero frame more where their number is odd: the graph reads frames in pairs."""
    return np.pad(values, ((0, 0), (0, values.shape[1] % 2), (0, 0)))
