"""ACE-Step 3.5B behind the backend protocol: the shared pipeline, with its own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lofi_daemon.backends.ace_step.files import AceStepFiles
from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.backend import TASKS, BundleBackend, ConfiguredDefaults
from lofi_daemon.backends.protocol import BackendInfo

if TYPE_CHECKING:
    from lofi_daemon.config import Settings


def ace_step_backend(settings: Settings) -> BundleBackend:
    """The full ACE-Step model, from the configured folder."""
    files = AceStepFiles.configured(settings)
    configuration = files.configuration
    return BundleBackend(
        BackendInfo(
            type=files.type,
            name=files.title,
            sample_rate=48000,
            min_duration_sec=5.0,
            max_duration_sec=240.0,
            options=DiffusionOptions,
            tasks=TASKS,
            files=files,
        ),
        files,
        configured=ConfiguredDefaults(
            configuration.steps, configuration.scheduler, configuration.guidance
        ),
    )
