"""Which form of a folder's files runs here, and what it is called.

Published files are turned once into the native form, in a folder beside them; the precision is
that of the source, or the one that the configuration names. Light on imports: asking loads neither
numpy nor onnxruntime.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lofi_daemon.backends.musicgen.bundle import (
    MANIFEST,
    PUBLISHED_FILES,
    DecoderConfig,
    Manifest,
    Precision,
    missing_files,
    read_config,
    read_manifest,
)
from lofi_daemon.backends.musicgen.refusal import forget, is_refused, refuse
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models import store

if TYPE_CHECKING:
    from lofi_daemon.onnx.session import SessionSettings

logger = logging.getLogger(__name__)

PROCESSOR = ("cpu", "auto")
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8", "int4")
# Layers and width of the published checkpoints.
SIZES = {(24, 1024): "small", (48, 1536): "medium", (48, 2048): "large"}


@dataclass(frozen=True)
class Form:
    """Files that run as they lie: the folder, its manifest, and the version a track records.

    made_of: the folder of the published files that these are made of, once; None where nothing
    has to be made.
    """

    folder: Path
    manifest: Manifest
    model_version: str
    made_of: Path | None = None

    @property
    def installed(self) -> Path:
        """The folder whose files must be whole: a form that has to be made is made again."""
        return self.made_of or self.folder


def chosen_form(folder: Path, device: str = "cpu", variant: str | None = None) -> Form:
    """The form that will run, made already or not; its manifest is read, or what will be written.

    device: as in LOFI_DEVICE. The native form is the processor's; another device that was asked
    for by name runs published files as they are. variant: original (published files as they are),
    int8 or int4; None: as precise as the source is, and int8 where that is fp16. Where the
    published files are gone, what was made of them runs.
    Raises ModelLoadFailed when config.json or a manifest is broken, or the device or variant
    cannot be had from these files.
    """
    manifest = read_manifest(folder)
    on_processor = device in PROCESSOR
    if missing_files(folder, manifest):
        made = _made_form(folder, variant)
        if made is not None and on_processor:
            return made
        return Form(folder, manifest, manifest.model_version)  # who looks finds what is missing
    decoder = read_config(folder).decoder
    if manifest.form == "native":
        if not on_processor:
            raise ModelLoadFailed(
                f"{folder} holds MusicGen in the form for processors, which LOFI_DEVICE={device} "
                "cannot run.",
                hint="Use LOFI_DEVICE=cpu, or the published files.",
            )
        if variant not in (None, "original", manifest.precision):
            raise ModelLoadFailed(
                f"{folder} holds MusicGen in {manifest.precision} only, and LOFI_MUSICGEN_VARIANT "
                f"asks for {variant}.",
                hint="Leave the variable unset, or export the model again in that precision.",
            )
        return Form(folder, manifest, manifest.model_version)
    as_it_is = Form(folder, manifest, f"{size_name(decoder)}-published")
    if not on_processor or variant == "original":
        return as_it_is
    native = _planned_form(folder, decoder, variant)
    return as_it_is if not is_made(native) and is_refused(native.folder, folder) else native


def make_runnable(
    form: Form,
    settings: SessionSettings,
    on_fraction: Callable[[float], None],
    cancel: CancelToken,
) -> Form:
    """The form with its files on disk: the native one is made of the published ones if need be.

    A made form that is no longer whole is made again. Where none can be made (graphs built
    otherwise, no room on the disk) it is the published form, with the reason in the log.
    Raises ModelLoadFailed, Cancelled.
    """
    if form.made_of is None:
        return form
    if is_made(form) and not store.verify(form.folder, cancel, only_changed=True):
        return form
    from lofi_daemon.backends.musicgen.native.convert import NotConvertible, convert

    folder = form.made_of
    try:
        convert(folder, form.folder, form.manifest, settings, on_fraction, cancel)
    except NotConvertible as reason:
        logger.warning("%s is run as it is: %s.", folder, reason)
        try:
            refuse(form.folder, folder, str(reason))
        except OSError as error:
            logger.warning("This is found out again at the next load: %s", error)
    except OSError as error:
        logger.warning("%s is run as it is: %s cannot be written: %s", folder, form.folder, error)
    else:
        forget(form.folder)
        return form
    return Form(folder, Manifest(), f"{size_name(read_config(folder).decoder)}-published")


def planned_form(folder: Path, precision: str) -> Form:
    """The native form in a precision, of the published files in `folder`, made or not.

    Raises ModelLoadFailed where these are not there.
    """
    missing = missing_files(folder, Manifest())
    if missing:
        raise ModelLoadFailed(
            f"{folder} has no {', '.join(missing)}: {precision} is made of the published files.",
            hint="Run `lofi-daemon download musicgen`, or export the model in that precision.",
        )
    return _planned_form(folder, read_config(folder).decoder, precision)


def is_made(form: Form) -> bool:
    """Whether the native form's files are there, whole, and made of the files they lie beside."""
    try:
        made = read_manifest(form.folder)
        return (
            made.form == "native"
            and made.source == form.manifest.source
            and not missing_files(form.folder, made)
            and not store.inspect(form.folder)
        )
    except ModelLoadFailed:
        return False


def size_name(decoder: DecoderConfig) -> str:
    """small, medium or large, with -stereo where it is; layers x width of any other."""
    shape = (decoder.num_hidden_layers, decoder.hidden_size)
    name = SIZES.get(shape, f"{shape[0]}x{shape[1]}")
    return f"{name}-stereo" if decoder.audio_channels == 2 else name


def native_folder(folder: Path, precision: Precision) -> Path:
    """Where the native form that is made of the files in `folder` lies."""
    return folder / f"native-{precision}"


def _planned_form(folder: Path, decoder: DecoderConfig, variant: str | None) -> Form:
    if variant is None or variant == "original":
        precision = _native_precision(folder, decoder)
    else:
        precision = cast("Precision", variant)
    manifest = Manifest(
        form="native",
        precision=precision,
        model_version=f"{size_name(decoder)}-native-{precision}",
        source={name: (folder / name).stat().st_size for name in PUBLISHED_FILES},
    )
    return Form(native_folder(folder, precision), manifest, manifest.model_version, folder)


def _made_form(folder: Path, variant: str | None) -> Form | None:
    """What was made of files that are gone: the variant, or (None) the most precise there is."""
    for precision in PRECISIONS:
        made = native_folder(folder, precision)
        if (variant is None or variant == precision) and (made / MANIFEST).is_file():
            manifest = read_manifest(made)
            return Form(made, manifest, manifest.model_version)
    return None


def _native_precision(folder: Path, decoder: DecoderConfig) -> Precision:
    """int8 for fp16 files, fp32 for fp32 files: told apart by their size."""
    files = folder.glob("decoder_with_past_model.*")
    bytes_per_weight = sum(path.stat().st_size for path in files) / decoder.weights_per_step
    return "int8" if bytes_per_weight < 3.0 else "fp32"
