"""ACE-Step 3.5B behind the backend protocol: the shared pipeline, with its own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lofi_daemon.backends.kit.diffusion_options import DiffusionOptions
from lofi_daemon.backends.kit.mel_diffusion.backend import BundleBackend, ConfiguredDefaults
from lofi_daemon.backends.protocol import BackendInfo
from lofi_daemon.models import store

if TYPE_CHECKING:
    from lofi_daemon.config import Settings


def ace_step_backend(settings: Settings) -> BundleBackend:
    """The full ACE-Step model, from the configured folder."""
    return BundleBackend(
        BackendInfo(
            type="ace_step",
            name="ACE-Step 3.5B",
            sample_rate=48000,
            min_duration_sec=5.0,
            max_duration_sec=240.0,
            options=DiffusionOptions,
        ),
        settings.ace_step_folder,
        variant=settings.ace_step_variant,
        device=settings.device,
        threads=settings.threads,
        configured=ConfiguredDefaults(
            settings.ace_step_steps, settings.ace_step_scheduler, settings.ace_step_guidance
        ),
        repair=store.repair_command("ace_step"),
    )
