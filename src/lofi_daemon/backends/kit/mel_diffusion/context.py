"""The context: speaker, text and lyric joined by the context encoder, once a request.

Unconditional contexts share mask and length with the conditional one. Without ERG they hold zeros
for the text states (and for the lyric ids, unless the bundle keeps them: there the lyric is the
score, which guidance must not argue with). With ERG they hold weakened versions of the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lofi_daemon.backends.kit.mel_diffusion.bundle import CONTEXT_ENCODER
from lofi_daemon.backends.kit.mel_diffusion.text import WEAKENED, TextStates
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.onnx.session import Array, OnnxModel, SessionSettings

DEFAULT_SPEAKER_WIDTH = 512


@dataclass(frozen=True)
class LyricIds:
    """ids and mask: int64 [1, L]. text: what the text encoder reads, None for the prompt itself.

    score: what is kept of a score beside the track, where that is not all of it.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    text: str | None = None
    score: NDArray[np.int64] | None = None


def instrumental_lyric() -> LyricIds:
    """The structure tag [inst]: asks the published model for music without voice."""
    ids = np.array([[261, 259, 6688, 2]], dtype=np.int64)
    return LyricIds(ids, np.ones_like(ids))


def absent_lyric() -> LyricIds:
    """The reference's form of "no lyric": one masked zero. The model may still sing."""
    zero = np.zeros((1, 1), dtype=np.int64)
    return LyricIds(zero, zero.copy())


@dataclass(frozen=True)
class Context:
    """hidden: float32 [1, 1 + S + L, D]; mask: float32 [1, 1 + S + L]."""

    hidden: NDArray[np.float32]
    mask: NDArray[np.float32]


class ContextEncoder:
    """The transformer_encoder graph."""

    def __init__(self, folder: Path, settings: SessionSettings) -> None:
        self._model = OnnxModel(
            folder / f"{CONTEXT_ENCODER}.onnx",
            settings,
            required_inputs=(
                "encoder_text_hidden_states",
                "text_attention_mask",
                "speaker_embeds",
                "lyric_token_idx",
                "lyric_mask",
            ),
        )
        width = self._model.inputs["speaker_embeds"].shape[-1]
        self._speaker_width = DEFAULT_SPEAKER_WIDTH if width is None else width

    @property
    def can_weaken(self) -> bool:
        """Whether the graph takes the lyric query scale that ERG needs."""
        return self._model.accepts("lyric_query_scale")

    def conditional(self, text: TextStates, lyric: LyricIds, cancel: CancelToken) -> Context:
        return self._encode(text, lyric, 1.0, cancel)

    def unconditional(
        self, text: TextStates, lyric: LyricIds, cancel: CancelToken, *, keep_lyric: bool
    ) -> Context:
        """Zeros for the text, and for the lyric ids unless they are kept."""
        silent = TextStates(np.zeros_like(text.hidden), text.mask)
        if not keep_lyric:
            lyric = LyricIds(np.zeros_like(lyric.ids), lyric.mask)
        return self._encode(silent, lyric, 1.0, cancel)

    def weakened(
        self, text: TextStates | None, like: TextStates, lyric: LyricIds, cancel: CancelToken
    ) -> Context:
        """ERG: the real lyric with weakened attention; text: weakened states, None for zeros."""
        if text is None:
            text = TextStates(np.zeros_like(like.hidden), like.mask)
        return self._encode(text, lyric, WEAKENED, cancel)

    def _encode(
        self, text: TextStates, lyric: LyricIds, lyric_query_scale: float, cancel: CancelToken
    ) -> Context:
        feeds: dict[str, Array] = {
            "encoder_text_hidden_states": text.hidden,
            "text_attention_mask": text.mask,
            "speaker_embeds": np.zeros((1, self._speaker_width), dtype=np.float32),
            "lyric_token_idx": lyric.ids,
            "lyric_mask": lyric.mask,
        }
        if self.can_weaken:
            feeds["lyric_query_scale"] = np.array(lyric_query_scale, dtype=np.float32)
        hidden, mask = self._model.run(feeds, cancel)[:2]
        return Context(hidden, mask.astype(np.float32, copy=False))
