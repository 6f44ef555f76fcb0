"""The transformer over tokens, as guided logits of the next column of the delay pattern.

Two forms behind one protocol: the native graph, whose caches lie still, and the published pair of
graphs, whose caches grow. In neither do they pass through Python.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.musicgen.bundle import DecoderConfig
from lofi_daemon.backends.musicgen.delay_pattern import Codes
from lofi_daemon.backends.musicgen.sampling import GUIDANCE_SCALE, Logits, guided
from lofi_daemon.backends.musicgen.text import TextStates
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.onnx.session import Array, Binding, OnnxModel, SessionSettings, Tensor


class TokenDecoder(Protocol):
    """One request at a time: attend to a text, then restart and step through every window."""

    @property
    def device(self) -> str:
        """What computes: "cpu", "cuda", …"""
        ...

    def attend(self, text: TextStates, columns: int, cancel: CancelToken) -> None:
        """Take a prompt's states, float32 [1, S, width]; no window will exceed `columns`."""
        ...

    def restart(self) -> None:
        """Forget the columns seen so far, not the text."""
        ...

    def logits(self, codes: Codes, cancel: CancelToken) -> Logits:
        """Guided logits, float32 [K, V], of the column after `codes`, int64 [K, S].

        More than one column at a time only right after `restart`.
        """
        ...

    def release(self) -> None:
        """Give the request's memory back."""
        ...


class NativeDecoder:
    """decoder.onnx and cross_attention.onnx: one copy of the weights, caches written in place."""

    def __init__(self, folder: Path, config: DecoderConfig, settings: SessionSettings) -> None:
        self._config = config
        self._cross = OnnxModel(
            folder / "cross_attention.onnx", settings, required_inputs=("encoder_hidden_states",)
        )
        layers = range(config.num_hidden_layers)
        self._decoder = OnnxModel(
            folder / "decoder.onnx",
            settings,
            required_inputs=(
                "codes",
                "total_length",
                "guidance_scale",
                *(f"past_key_values.{i}.decoder.{part}" for i in layers for part in _PARTS),
                *(f"past_key_values.{i}.encoder.{part}" for i in layers for part in _PARTS),
            ),
        )
        codebooks = self._decoder.inputs["codes"].shape[0]
        if codebooks != config.num_codebooks:
            raise ModelLoadFailed(
                f"Model file {self._decoder.path}: input codes has {codebooks} codebooks, "
                f"config.json says {config.num_codebooks}."
            )
        self._step: Binding | None = None
        self._column = np.zeros((config.num_codebooks, 1), dtype=np.int64)
        self._total_length = np.zeros((), dtype=np.int32)
        self._logits = np.zeros((config.num_codebooks, config.vocab_size), dtype=np.float32)

    @property
    def device(self) -> str:
        return self._decoder.device

    def attend(self, text: TextStates, columns: int, cancel: CancelToken) -> None:
        config = self._config
        cross = self._cross.binding()
        cross.input("encoder_hidden_states", np.ascontiguousarray(text, dtype=np.float32))
        for spec in self._cross.outputs:
            cross.free_output(spec.name)
        cross.run(cancel)
        step = self._decoder.binding()
        for name, value in cross.results().items():
            step.input(name.replace("present", "past_key_values", 1), value)
        shape = (2, config.num_attention_heads, columns, config.head_size)
        for layer in range(config.num_hidden_layers):
            for part in _PARTS:
                # Not zeroed: memory is taken from the system only as far as the caches are filled.
                cache = np.empty(shape, dtype=np.float32)
                step.input(f"past_key_values.{layer}.decoder.{part}", cache)
                step.output(f"present.{layer}.decoder.{part}", cache)
        step.input("total_length", self._total_length)
        step.input("guidance_scale", np.array(GUIDANCE_SCALE, dtype=np.float32))
        step.output("logits", self._logits)
        self._step = step
        self.restart()

    def restart(self) -> None:
        self._total_length[...] = 0

    def logits(self, codes: Codes, cancel: CancelToken) -> Logits:
        assert self._step is not None, "attend comes before logits"
        self._total_length += codes.shape[1]
        if codes.shape[1] == 1:
            self._column[...] = codes
            self._step.input("codes", self._column)
        else:
            self._step.input("codes", np.ascontiguousarray(codes))
        self._step.run(cancel)
        return self._logits

    def release(self) -> None:
        self._step = None


class PublishedDecoder:
    """decoder_model.onnx for a prompt, decoder_with_past_model.onnx for every step after it.

    The presents of one call are bound as the pasts of the next. Weights are in memory twice, since
    the published layout stores them twice: that is what the native form is for.
    """

    def __init__(self, folder: Path, config: DecoderConfig, settings: SessionSettings) -> None:
        self._config = config
        self._first = OnnxModel(
            folder / "decoder_model.onnx",
            settings,
            required_inputs=("input_ids", "encoder_hidden_states"),
        )
        self._next = OnnxModel(
            folder / "decoder_with_past_model.onnx",
            settings,
            required_inputs=("input_ids", "past_key_values.0.decoder.key"),
        )
        self._whole_prompts = self._first.inputs["input_ids"].shape[-1] is None
        self._text: dict[str, Array] = {}
        self._pasts: dict[str, Tensor] = {}

    @property
    def device(self) -> str:
        return self._next.device

    def attend(self, text: TextStates, columns: int, cancel: CancelToken) -> None:
        with_prompt = np.ones(text.shape[:2], dtype=np.int64)
        self._text = {
            "encoder_hidden_states": np.concatenate((text, np.zeros_like(text))),
            "encoder_attention_mask": np.concatenate((with_prompt, np.zeros_like(with_prompt))),
        }
        self.restart()

    def restart(self) -> None:
        self._pasts = {}

    def logits(self, codes: Codes, cancel: CancelToken) -> Logits:
        if not self._pasts and self._whole_prompts:
            return self._call(self._first, codes, cancel)
        for column in range(codes.shape[1] - 1):
            self._call(self._next if self._pasts else self._first, codes[:, [column]], cancel)
        return self._call(self._next if self._pasts else self._first, codes[:, [-1]], cancel)

    def release(self) -> None:
        self._pasts = {}
        self._text = {}

    def _call(self, model: OnnxModel, codes: Codes, cancel: CancelToken) -> Logits:
        binding = model.binding()
        feeds = {"input_ids": np.concatenate((codes, codes)), **self._text}
        for name, value in feeds.items():
            if model.accepts(name):
                binding.input(name, np.ascontiguousarray(value, dtype=model.inputs[name].dtype))
        for name, value in self._pasts.items():
            if model.accepts(name):
                binding.input(name, value)
        for spec in model.outputs:
            binding.free_output(spec.name)
        binding.run(cancel)
        results = binding.results()
        # The second graph does not repeat what it was given of the encoder's.
        self._pasts |= {
            name.replace("present", "past_key_values", 1): value
            for name, value in results.items()
            if name.startswith("present.")
        }
        return self._guided(results["logits"].numpy())

    def _guided(self, logits: NDArray[np.floating]) -> Logits:
        config = self._config
        last = logits.reshape(2, config.num_codebooks, -1, config.vocab_size)[:, :, -1]
        return guided(last.astype(np.float32), GUIDANCE_SCALE)


_PARTS = ("key", "value")
