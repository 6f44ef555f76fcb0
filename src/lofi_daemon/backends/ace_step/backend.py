"""ACE-Step 3.5B behind the backend protocol: the shared pipeline, its own folder, and lyrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lofi_daemon.backends.ace_step.files import AceStepFiles
from lofi_daemon.backends.ace_step.options import AceStepOptions
from lofi_daemon.backends.kit.mel_diffusion.backend import (
    BundleBackend,
    Composer,
    ConfiguredDefaults,
)
from lofi_daemon.backends.protocol import BackendInfo, GenerationRequest, Terms
from lofi_daemon.backends.tasks import TaskOffer
from lofi_daemon.errors import InvalidParams

if TYPE_CHECKING:
    from lofi_daemon.backends.kit.mel_diffusion.context import LyricIds
    from lofi_daemon.config import Settings


TASKS = (
    TaskOffer("variation", strength=True),
    TaskOffer("extend", files=True),
    TaskOffer("repaint", files=True, strength=True),
    TaskOffer("from_audio", files=True, strength=True),
    TaskOffer("flow", files=True),
)


class AceStepBackend(BundleBackend):
    """A bundle that sings, with the vocabulary that lies in its folder."""

    def resolve(self, request: GenerationRequest, terms: Terms | None = None) -> GenerationRequest:
        from lofi_daemon.backends.ace_step.lyrics import (
            LYRIC_TOKENIZER,
            marked_lines,
            raise_if_missing,
        )

        options = request.options_as(AceStepOptions)
        if options.lyrics is not None:
            marked_lines(options.lyrics, options.language)
            if terms is None:
                raise_if_missing(self._files.running_folder() / LYRIC_TOKENIZER)
        elif options.language is not None:
            raise InvalidParams(
                "language: there are no lyrics to sing.",
                hint="Give lyrics too, or leave the language out.",
                parameters=["language"],
            )
        return super().resolve(request, terms)

    def _singer(self, folder: Path) -> Composer:
        from lofi_daemon.backends.ace_step.lyrics import LYRIC_TOKENIZER, lyric_ids, marked_lines
        from lofi_daemon.backends.kit.mel_diffusion.context import instrumental_lyric

        def sing(request: GenerationRequest) -> LyricIds:
            options = request.options_as(AceStepOptions)
            if options.lyrics is None:
                return instrumental_lyric()
            lines = marked_lines(options.lyrics, options.language)
            return lyric_ids(lines, folder / LYRIC_TOKENIZER)

        return sing


def ace_step_backend(settings: Settings) -> AceStepBackend:
    """The full ACE-Step model, from the configured folder."""
    files = AceStepFiles.configured(settings)
    configuration = files.configuration
    return AceStepBackend(
        BackendInfo(
            type=files.type,
            name=files.title,
            sample_rate=48000,
            min_duration_sec=5.0,
            max_duration_sec=240.0,
            options=AceStepOptions,
            tasks=TASKS,
            files=files,
        ),
        files,
        configured=ConfiguredDefaults(
            configuration.steps, configuration.scheduler, configuration.guidance
        ),
    )
