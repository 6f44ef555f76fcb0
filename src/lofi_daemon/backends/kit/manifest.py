"""What the manifests of all models have in common. Light on imports."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lofi_daemon.errors import ModelLoadFailed

EXPORT_AGAIN = "export the model again with its own export script"


class Section(BaseModel):
    """Part of a manifest: what a newer version has written besides is not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Mastering(Section):
    """The finish of a bundle whose raw output needs one; see mastering.py."""

    high_pass_hz: float = 25.0
    loudness_lufs: float = -16.0
    true_peak_db: float = -1.0
    fade_in_sec: float = 0.0
    fade_out_sec: float = 0.05


def check_interface(path: Path, found: int, expected: int, instead: str = EXPORT_AGAIN) -> None:
    """Raises ModelLoadFailed for a manifest of another interface; instead: what else may help."""
    if found != expected:
        raise ModelLoadFailed(
            f"Model file {path} has interface {found}; this version runs {expected}.",
            hint=f"Update lofi-daemon, or {instead}.",
        )
