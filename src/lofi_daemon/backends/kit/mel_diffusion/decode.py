"""Latents to sound: DCAE decoder → log-mel → vocoder, in windows, so that memory stays flat.

The DCAE's attention spans a whole call, so its windows cross over where both have context; the
vocoder is local, so its windows overlap by its whole reach and join exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.kit.mel_diffusion.bundle import DCAE, VOCODER, Manifest
from lofi_daemon.backends.kit.mel_diffusion.latents import (
    CHANNELS,
    HEIGHT,
    MEL_FRAMES_PER_LATENT,
)
from lofi_daemon.backends.kit.mel_diffusion.solvers import Latents
from lofi_daemon.backends.kit.side_by_side import shared_out, side_by_side
from lofi_daemon.backends.kit.windows import (
    Window,
    blend_weights,
    growing_windows,
    kept_spans,
    snug_windows,
    windows,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelInferenceFailed, ModelLoadFailed
from lofi_daemon.onnx.session import OnnxModel, SessionSettings
from lofi_daemon.sound import spool
from lofi_daemon.sound.stream import Outline

MelSpectrogram = NDArray[np.float32]
OnWindow = Callable[[float], None]

CHANNELS_OF_SOUND = 2
MEL_BANDS = 128
# A denormalised log-mel of silence lies near −11, a normalised one never far below −1.
DENORMALISED_BELOW = -3.0
OTHER_BORDER_FRAMES = 8
# Wide enough that two decodings pass into each other unheard, narrow enough to stay clear of
# both windows' borders.
BLEND_FRAMES = 16
SEGMENT_FRAMES = 4096
# About a tenth of a second, over which loudness is measured.
OUTLINE_FRAMES = 9


class LatentDecoder:
    """The dcae_decoder and vocoder graphs of one bundle.

    Raises ModelNotFound and ModelLoadFailed, naming the file.
    """

    def __init__(self, folder: Path, manifest: Manifest, settings: SessionSettings) -> None:
        self._dcae = OnnxModel(folder / f"{DCAE}.onnx", settings, required_inputs=("latents",))
        self._at_once, shared = shared_out(settings)
        self._vocoder = OnnxModel(folder / f"{VOCODER}.onnx", shared)
        self._mel_input, *self._past_inputs = self._vocoder.inputs.values()
        if self._mel_input.shape[0] == CHANNELS_OF_SOUND:
            # One call has all threads.
            self._vocoder = OnnxModel(folder / f"{VOCODER}.onnx", settings)
        if self._past_inputs and not self._can_hand_on():
            raise ModelLoadFailed(
                f"Model file {self._vocoder.path} must have one input, the mel of both channels, "
                "and for each further one of fixed size an output after the waveform."
            )
        self._manifest = manifest
        self._fixed_frames = self._dcae.inputs["latents"].shape[3]
        self._denormalised: bool | None = manifest.mel.inside

    def mel(self, latents: Latents, on_window: OnWindow, cancel: CancelToken) -> MelSpectrogram:
        """The vocoder's log-mel, float32 [2, 128, 8·T] (left, right).

        latents: float32 [1, 8, 16, T] as they leave the diffusion. on_window gets the share done.
        Raises ModelInferenceFailed where the graph gives NaN in spite of another border.
        """
        facts, constants = self._manifest.dcae, self._manifest.latents
        if not self._constants_inside(constants.inside, cancel):
            latents = (latents / constants.scale + constants.shift).astype(np.float32)
        size = self._fixed_frames or facts.window_frames
        overlap = min(facts.overlap_frames, size // 4)
        frames = latents.shape[-1]
        spread = windows if self._fixed_frames else snug_windows
        parts = spread(frames, size, overlap)
        mel = self._windowed_mel(latents, parts, on_window, cancel)
        if not _is_finite(mel):
            # A published graph can lose an epsilon and give 0/0 for some windows, not for others.
            if self._fixed_frames is None:
                size = parts[0].stop - OTHER_BORDER_FRAMES
            moved = spread(frames, max(1, size), min(overlap + OTHER_BORDER_FRAMES, size - 1))
            mel = self._windowed_mel(latents, moved, on_window, cancel)
        if not _is_finite(mel):
            broken = np.flatnonzero(~np.isfinite(mel).all(axis=(0, 1))) // MEL_FRAMES_PER_LATENT
            raise ModelInferenceFailed(
                f"The DCAE decoder gave NaN or Inf at latent frames {broken[0]}–{broken[-1]}.",
                hint="Try another seed; if that fails too, export or download the model again.",
            )
        self._to_vocoder_scale(mel)
        return mel

    def _windowed_mel(
        self, latents: Latents, parts: list[Window], on_window: OnWindow, cancel: CancelToken
    ) -> MelSpectrogram:
        in_mel = [_in_mel_frames(part) for part in parts]
        joined = spool.zeros(2, MEL_BANDS, in_mel[-1].stop)
        for index, (part, place) in enumerate(zip(parts, in_mel, strict=True)):
            mel = self._call_dcae(latents[..., part.start : part.stop], cancel)
            weights = blend_weights(index, in_mel, BLEND_FRAMES * MEL_FRAMES_PER_LATENT)
            joined[..., place.start : place.stop] += mel * weights
            spool.let_go(joined)
            on_window((index + 1) / len(parts))
        return joined

    def waveform(
        self, mel: MelSpectrogram, on_window: OnWindow, cancel: CancelToken
    ) -> Iterator[NDArray[np.float32]]:
        """Consecutive pieces of the waveform, float32 [2, n], 512 samples a mel frame in all."""
        facts = self._manifest.vocoder
        hop = facts.hop_length
        parts = self._vocoder_windows(mel.shape[-1])
        spans = self._spans(parts)
        past = self._no_past()
        for index, (window, kept) in enumerate(zip(parts, spans, strict=True)):
            heard, present = self._vocode(mel[..., window.start : window.stop], past, cancel)
            if index + 1 < len(parts):
                shared_from = parts[index + 1].start - window.start
                past = [
                    each[..., shared_from : shared_from + (spec.shape[-1] or 0)]
                    for each, spec in zip(present, self._past_inputs, strict=True)
                ]
            if not math.isfinite(heard.sum()):
                raise ModelInferenceFailed(
                    f"The vocoder gave NaN or Inf at mel frames {window.start}–{window.stop}."
                )
            start, stop = kept.start - window.start, kept.stop - window.start
            spool.let_go(mel)
            on_window(kept.stop / mel.shape[-1])
            yield heard[:, start * hop : stop * hop]

    def _vocoder_windows(self, frames: int) -> list[Window]:
        facts, fixed = self._manifest.vocoder, self._mel_input.shape[-1]
        overlap = 2 * facts.receptive_field_frames
        if fixed is None and facts.first_frames is not None:
            return growing_windows(frames, facts.first_frames, facts.core_frames, overlap)
        if fixed is not None:
            return windows(frames, fixed, overlap)
        return snug_windows(frames, facts.core_frames + overlap, overlap)

    def _spans(self, parts: list[Window]) -> list[Window]:
        # A vocoder with a past agrees with it where a window begins, not in the overlap's middle.
        reach = self._manifest.vocoder.receptive_field_frames
        return kept_spans(parts, after=reach if self._past_inputs else None)

    def pieces(self, mel: MelSpectrogram) -> list[int]:
        """How many frames each piece of `waveform` has, at the vocoder's rate."""
        hop = self._manifest.vocoder.hop_length
        spans = self._spans(self._vocoder_windows(mel.shape[-1]))
        return [(span.stop - span.start) * hop for span in spans]

    def outline(self, mel: MelSpectrogram) -> Outline | None:
        """How loud the vocoder will play this, where the manifest says what its rows weigh."""
        weights_db = self._manifest.mel.loudness_db
        if weights_db is None:
            return None
        facts = self._manifest.vocoder
        weights = 10.0 ** (np.array(weights_db) / 10.0)
        energies: list[NDArray[np.float64]] = []
        for _, part in spool.segments(mel, SEGMENT_FRAMES // OUTLINE_FRAMES * OUTLINE_FRAMES):
            powers = np.einsum("cbt,b->t", np.exp(2.0 * part.astype(np.float64)), weights)
            hops = len(powers) // OUTLINE_FRAMES
            whole = powers[: hops * OUTLINE_FRAMES].reshape(hops, OUTLINE_FRAMES)
            energies.append(whole.mean(axis=1))
        hop_sec = OUTLINE_FRAMES * facts.hop_length / facts.sample_rate
        return Outline(np.concatenate(energies), hop_sec)

    @property
    def ranges_handed_on(self) -> int:
        """How many states the vocoder hands from window to window."""
        return len(self._past_inputs)

    def _can_hand_on(self) -> bool:
        sizes_known = all(None not in past.shape for past in self._past_inputs)
        hands_on = len(self._vocoder.outputs) == 1 + len(self._past_inputs)
        return sizes_known and hands_on and self._mel_input.shape[0] == CHANNELS_OF_SOUND

    def _no_past(self) -> list[NDArray[np.float32]]:
        return [
            np.zeros([size or 1 for size in past.shape], np.float32) for past in self._past_inputs
        ]

    def _vocode(
        self, mel: MelSpectrogram, past: list[NDArray[np.float32]], cancel: CancelToken
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Both channels of a window, in one call where the graph's batch is fixed at two, else side
        by side.

        past: what the window before handed on for the first frames of this one, zeros at the
        start. The second result is what this one hands on, for all its frames.
        """
        mel = self._fixed_length(mel)
        together = self._mel_input.shape[0] == CHANNELS_OF_SOUND
        batches = [mel] if together else [mel[:1], mel[1:]]
        before = {each.name: value for each, value in zip(self._past_inputs, past, strict=True)}

        def vocoded(index: int) -> list[NDArray[np.float32]]:
            return self._vocoder.run({self._mel_input.name: batches[index], **before}, cancel)

        found = list(side_by_side(vocoded, len(batches), self._at_once))
        sounds = [each[0].reshape(len(mel) // len(batches), -1) for each in found]
        return np.concatenate(sounds), list(found[0][1:])

    def _fixed_length(self, mel: MelSpectrogram) -> MelSpectrogram:
        """The window, its last frame repeated where the graph's time axis is fixed and longer."""
        fixed = self._mel_input.shape[-1]
        if fixed is None or mel.shape[-1] == fixed:
            return mel
        return np.pad(mel, ((0, 0), (0, 0), (0, fixed - mel.shape[-1])), mode="edge")

    def _call_dcae(self, latents: Latents, cancel: CancelToken) -> MelSpectrogram:
        """latents: as the graph reads them."""
        frames = latents.shape[-1]
        if self._fixed_frames is not None and frames < self._fixed_frames:
            latents = np.pad(
                latents, ((0, 0), (0, 0), (0, 0), (0, self._fixed_frames - frames)), mode="edge"
            )
        mel = self._dcae.run({"latents": latents}, cancel)[0]
        mel = mel.reshape(-1, *mel.shape[-2:])[:2]
        if mel.shape[0] == 1:
            mel = np.repeat(mel, 2, axis=0)
        return mel[..., : frames * MEL_FRAMES_PER_LATENT]

    def _to_vocoder_scale(self, mel: MelSpectrogram) -> None:
        """In place, where the graph does not do it itself."""
        if self._denormalised:
            return
        constants = self._manifest.mel
        for _, part in spool.segments(mel, SEGMENT_FRAMES):
            part *= np.float32(constants.scale)
            part += np.float32(constants.shift)
            part *= np.float32(constants.maximum - constants.minimum)
            part += np.float32(constants.minimum)

    def _constants_inside(self, declared: bool | None, cancel: CancelToken) -> bool:
        """Whether the graph holds the constants; undeclared, asked of the graph itself, once.

        The average latent (zeros) gives a mel far below −3 only where both pairs are inside.
        """
        if self._denormalised is None:
            frames = self._fixed_frames or self._manifest.dcae.window_frames // 4
            silence = np.zeros((1, CHANNELS, HEIGHT, frames), dtype=np.float32)
            mel = self._dcae.run({"latents": silence}, cancel)[0]
            self._denormalised = float(np.nanmedian(mel)) < DENORMALISED_BELOW
        return self._denormalised if declared is None else declared


def _is_finite(mel: MelSpectrogram) -> bool:
    return all(math.isfinite(part.sum()) for _, part in spool.segments(mel, SEGMENT_FRAMES))


def _in_mel_frames(window: Window) -> Window:
    return Window(window.start * MEL_FRAMES_PER_LATENT, window.stop * MEL_FRAMES_PER_LATENT)
