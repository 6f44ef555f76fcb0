"""Which form of a folder's files runs here, and what it is called.

Published files are turned once into the native form, in a folder beside them. Light on imports:
asking loads neither numpy nor onnxruntime.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
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

PROCESSOR = ("cpu", "auto")
# Layers and width of the published checkpoints.
SIZES = {(24, 1024): "small", (48, 1536): "medium", (48, 2048): "large"}


@dataclass(frozen=True)
class Form:
    """Files that run as they lie: the folder, its manifest, and the version a track records."""

    folder: Path
    manifest: Manifest
    model_version: str


def chosen_form(folder: Path, device: str = "cpu") -> Form:
    """The form that will run, made already or not; its manifest is read, or what will be written.

    device: as in LOFI_DEVICE. The native form is the processor's; another device that was asked
    for by name runs published files as they are.
    Raises ModelLoadFailed when config.json or the manifest is broken, or the device cannot do it.
    """
    manifest = read_manifest(folder)
    decoder = read_config(folder).decoder
    on_processor = device in PROCESSOR
    if manifest.form == "native":
        if not on_processor:
            raise ModelLoadFailed(
                f"{folder} holds MusicGen in the form for processors, which LOFI_DEVICE={device} "
                "cannot run.",
                hint="Use LOFI_DEVICE=cpu, or the published files.",
            )
        return Form(folder, manifest, manifest.model_version)
    as_it_is = Form(folder, manifest, f"{size_name(decoder)}-published")
    if not on_processor:
        return as_it_is
    precision = _native_precision(folder, decoder)
    planned = Manifest(
        form="native",
        precision=precision,
        model_version=f"{size_name(decoder)}-native-{precision}",
        source={name: (folder / name).stat().st_size for name in PUBLISHED_FILES},
    )
    native = Form(folder / f"native-{precision}", planned, planned.model_version)
    return native if is_made(native) or _can_be_made(native) else as_it_is


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
    if form.folder == folder or is_made(form):
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


def is_made(form: Form) -> bool:
    """Whether the native form's files are there, whole, and made of the files they lie beside."""
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


def size_name(decoder: DecoderConfig) -> str:
    """small, medium or large, with -stereo where it is; layers x width of any other."""
    shape = (decoder.num_hidden_layers, decoder.hidden_size)
    name = SIZES.get(shape, f"{shape[0]}x{shape[1]}")
    return f"{name}-stereo" if decoder.audio_channels == 2 else name


def _can_be_made(form: Form) -> bool:
    return not _refusal(form.folder).exists() and find_spec("onnx") is not None


def _native_precision(folder: Path, decoder: DecoderConfig) -> Precision:
    """int8 for fp16 files, fp32 for fp32 files: told apart by their size."""
    files = folder.glob("decoder_with_past_model.*")
    bytes_per_weight = sum(path.stat().st_size for path in files) / decoder.weights_per_step
    return "int8" if bytes_per_weight < 3.0 else "fp32"


def _refusal(native: Path) -> Path:
    """Says that the native form cannot be made, so that it is not tried at every load."""
    return native.with_suffix(".refused")
