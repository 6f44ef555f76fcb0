"""The Oobleck autoencoder, both ways: latents to the waveform itself, and sound to latents.

Convolutions are written over an image of height 1, which lets onnxruntime use its blocked layout;
weight norm is folded into the weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.ace_step_15.checkpoint import AutoencoderSizes, Checkpoint
from lofi_daemon.onnx.graph_writer import GraphWriter

KERNEL = 7
DILATIONS = (1, 3, 9)
SMALLEST = 1e-9


def reach_frames(sizes: AutoencoderSizes) -> int:
    """Latent frames on each side that a sample can depend on: from kernels and strides."""
    half = KERNEL // 2
    reach = half
    for ratio in reversed(sizes.ratios):
        reach += half * sum(DILATIONS)
        padding = -(-ratio // 2)
        left = (reach - padding + 2 * ratio - 1) // ratio
        right = (ratio - 1 + reach + padding) // ratio
        reach = max(left, right)
    return reach + half


def write_autoencoder_decoder(graph: GraphWriter, checkpoint: Checkpoint) -> None:
    """latents f32 [1, C, n] → audio f32 [1, channels, samples a frame · n]."""
    sizes = checkpoint.autoencoder
    convolutions = _Convolutions(graph, checkpoint)
    latents = graph.input("latents", np.float32, [1, sizes.latent_channels, "frames"])
    value = graph.node("Unsqueeze", [latents, graph.constant("height", [2])])
    value = convolutions.plain(value, "decoder.conv1")
    for block in range(len(sizes.ratios)):
        name = f"decoder.block.{block}"
        value = convolutions.snake(value, f"{name}.snake1")
        value = convolutions.upsampling(value, f"{name}.conv_t1", sizes.ratios[block])
        value = convolutions.residual_units(value, name)
    value = convolutions.snake(value, "decoder.snake1")
    value = convolutions.plain(value, "decoder.conv2", bias=False)
    value = graph.node("Squeeze", [value, graph.constant("height", [2])])
    graph.output(value, "audio", np.float32, [1, sizes.audio_channels, "samples"])


def encoder_reach_frames(sizes: AutoencoderSizes) -> int:
    """Latent frames on each side whose sound a frame can depend on: from kernels and strides."""
    half = KERNEL // 2
    first, last = -1, 1
    for ratio in sizes.ratios:
        padding = -(-ratio // 2)
        first, last = first * ratio - padding, last * ratio - padding + 2 * ratio - 1
        first, last = first - half * sum(DILATIONS), last + half * sum(DILATIONS)
    first, last = first - half, last + half
    frame = sizes.samples_per_frame
    return max(-(first // frame), -((frame - 1 - last) // frame))


def write_autoencoder_encoder(graph: GraphWriter, checkpoint: Checkpoint) -> None:
    """audio f32 [1, channels, samples a frame · n] → latents f32 [1, C, n]: the mean alone.

    A deviation would be drawn from; the mean is the same every time.
    """
    sizes = checkpoint.autoencoder
    convolutions = _Convolutions(graph, checkpoint)
    audio = graph.input("audio", np.float32, [1, sizes.audio_channels, "samples"])
    value = graph.node("Unsqueeze", [audio, graph.constant("height", [2])])
    value = convolutions.plain(value, "encoder.conv1")
    for block, ratio in enumerate(reversed(sizes.ratios)):
        name = f"encoder.block.{block}"
        value = convolutions.residual_units(value, name)
        value = convolutions.snake(value, f"{name}.snake1")
        value = convolutions.downsampling(value, f"{name}.conv1", ratio)
    value = convolutions.snake(value, "encoder.snake1")
    value = convolutions.plain(value, "encoder.conv2", outputs=sizes.latent_channels)
    value = graph.node("Squeeze", [value, graph.constant("height", [2])])
    graph.output(value, "latents", np.float32, [1, sizes.latent_channels, "frames"])


class _Convolutions:
    def __init__(self, graph: GraphWriter, checkpoint: Checkpoint) -> None:
        self._graph = graph
        self._tensor = checkpoint.vae_tensor
        self._shape = checkpoint.vae_shape

    def residual_units(self, value: str, block: str) -> str:
        for number, dilation in enumerate(DILATIONS, start=1):
            unit = f"{block}.res_unit{number}"
            change = self.snake(value, f"{unit}.snake1")
            change = self.plain(change, f"{unit}.conv1", dilation)
            change = self.snake(change, f"{unit}.snake2")
            change = self.plain(change, f"{unit}.conv2")
            value = self._graph.node("Add", [value, change])
        return value

    def plain(
        self,
        value: str,
        name: str,
        dilation: int = 1,
        *,
        bias: bool = True,
        outputs: int | None = None,
    ) -> str:
        """outputs: of all of its channels the first so many."""
        width = self._shape(f"{name}.weight_v")[2]
        padding = (width - 1) * dilation // 2
        return self._graph.node(
            "Conv",
            [value, *self._weights(name, bias=bias, outputs=outputs)],
            kernel_shape=[1, width],
            dilations=[1, dilation],
            pads=[0, padding, 0, padding],
        )

    def downsampling(self, value: str, name: str, ratio: int) -> str:
        padding = -(-ratio // 2)
        return self._graph.node(
            "Conv",
            [value, *self._weights(name, bias=True)],
            kernel_shape=[1, 2 * ratio],
            strides=[1, ratio],
            pads=[0, padding, 0, padding],
        )

    def upsampling(self, value: str, name: str, ratio: int) -> str:
        padding = -(-ratio // 2)
        return self._graph.node(
            "ConvTranspose",
            [value, *self._weights(name, bias=True)],
            kernel_shape=[1, 2 * ratio],
            strides=[1, ratio],
            pads=[0, padding, 0, padding],
        )

    def snake(self, value: str, name: str) -> str:
        """x + sin²(e^α · x) / (e^β + 10⁻⁹), α and β of each channel."""
        graph = self._graph
        rate = graph.weight(f"{name}.rate", lambda: np.exp(self._column(f"{name}.alpha")))
        depth = graph.weight(f"{name}.depth", lambda: self._depth(f"{name}.beta"))
        sine = graph.node("Sin", [graph.node("Mul", [value, rate])])
        wave = graph.node("Mul", [graph.node("Mul", [sine, sine]), depth])
        return graph.node("Add", [value, wave])

    def _weights(self, name: str, *, bias: bool, outputs: int | None = None) -> list[str]:
        names = [self._graph.weight(f"{name}.weight", lambda: self._folded(name)[:outputs])]
        if bias:
            values = f"{name}.bias"
            names.append(self._graph.weight(values, lambda: self._tensor(values)[:outputs]))
        return names

    def _folded(self, name: str) -> NDArray[np.float32]:
        """g · v / ‖v‖, the norm over all axes but the first; [·, ·, 1, width]."""
        direction, size = self._tensor(f"{name}.weight_v"), self._tensor(f"{name}.weight_g")
        norm = np.sqrt((direction.astype(np.float64) ** 2).sum(axis=(1, 2), keepdims=True))
        return (size * direction / norm).astype(np.float32)[:, :, None, :]

    def _depth(self, name: str) -> NDArray[np.float32]:
        one, smallest = np.float32(1.0), np.float32(SMALLEST)
        return one / (np.exp(self._column(name)) + smallest)

    def _column(self, name: str) -> NDArray[np.float32]:
        """[1, C, 1] → [1, C, 1, 1]."""
        return self._tensor(name)[..., None]
