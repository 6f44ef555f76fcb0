"""Which form of a folder's files runs here, and what it is called.

Published files are turned once into the native form, in a folder beside them. Light on imports:
asking loads neither numpy nor onnxruntime.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lofi_daemon.backends.musicgen.bundle import (
    PUBLISHED_FILES,
    DecoderConfig,
    Manifest,
    Precision,
    damaged_files,
    missing_files,
    read_config,
    read_manifest,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed

if TYPE_CHECKING:
    from lofi_daemon.onnx.session import SessionSettings

logger = logging.getLogger(__name__)

# Layers and width of the published checkpoints.
SIZES = {(24, 1024): "small", (48, 1536): "medium", (48, 2048): "large"}


@dataclass(frozen=True)
class Form:
    """Files that run as they lie: the folder, its manifest, and the version a track records."""

    folder: Path
    manifest: Manifest
    model_version: str


def chosen_form(folder: Path) -> Form:
    """The form that will run, made already or not; its manifest is read, or what will be written.

    Raises ModelLoadFailed when config.json or the manifest is broken.
    """
    manifest = read_manifest(folder)
    decoder = read_config(folder).decoder
    if manifest.form == "native":
        return Form(folder, manifest, manifest.model_version)
    precision = _native_precision(folder, decoder)
    native = folder / f"native-{precision}"
    if _refusal(native).exists():
        return Form(folder, manifest, f"{size_name(decoder)}-published")
    planned = Manifest(
        form="native",
        precision=precision,
        model_version=f"{size_name(decoder)}-native-{precision}",
        source={name: (folder / name).stat().st_size for name in PUBLISHED_FILES},
    )
    return Form(native, planned, planned.model_version)


def make_runnable(
    form: Form,
    folder: Path,
    settings: SessionSettings,
    on_fraction: Callable[[float], None],
    cancel: CancelToken,
) -> Form:
    """The form with its files on disk: the native one is made of the published ones if need be.

    Where that cannot be done (graphs built otherwise, no room on the disk) it is the published
    form, with the reason in the log. Raises ModelLoadFailed, Cancelled.
    """
    if form.folder == folder or _is_made(form):
        return form
    from lofi_daemon.backends.musicgen.native.convert import NotConvertible, convert

    try:
        convert(folder, form.folder, form.manifest, settings, on_fraction, cancel)
    except NotConvertible as reason:
        logger.warning("%s is run as it is: %s.", folder, reason)
        _refusal(form.folder).write_text(f"{reason}\n", encoding="utf-8")
    except OSError as error:
        logger.warning("%s is run as it is: %s cannot be written: %s", folder, form.folder, error)
    else:
        return form
    return Form(folder, Manifest(), f"{size_name(read_config(folder).decoder)}-published")


def size_name(decoder: DecoderConfig) -> str:
    """ "small", "medium", "large", with "-stereo" where it is; layers × width of any other."""
    shape = (decoder.num_hidden_layers, decoder.hidden_size)
    name = SIZES.get(shape, f"{shape[0]}x{shape[1]}")
    return f"{name}-stereo" if decoder.audio_channels == 2 else name


def _is_made(form: Form) -> bool:
    try:
        made = read_manifest(form.folder)
    except ModelLoadFailed:
        return False
    return (
        made.form == "native"
        and made.source == form.manifest.source
        and not missing_files(form.folder, made)
        and not damaged_files(form.folder, made)
    )


def _native_precision(folder: Path, decoder: DecoderConfig) -> Precision:
    """int8 for fp16 files, fp32 for fp32 files: told apart by their size."""
    files = folder.glob("decoder_with_past_model.onnx*")
    bytes_per_weight = sum(path.stat().st_size for path in files) / decoder.weights_per_step
    return "int8" if bytes_per_weight < 3.0 else "fp32"


def _refusal(native: Path) -> Path:
    """Says that the native form cannot be made, so that it is not tried at every load."""
    return native.with_suffix(".refused")
