"""Where the files of MusicGen come from and lie, and which of them run.

Published files are turned once into the native form, in a folder inside; the precision is that of
the source, or the one that the configuration names. Light on imports: asking loads neither numpy
nor onnxruntime.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal, cast

from pydantic import Field

from lofi_daemon.backends.musicgen.bundle import (
    MANIFEST,
    NATIVE_FILES,
    PUBLISHED_FILES,
    USUAL_BLOCK,
    DecoderConfig,
    Manifest,
    Precision,
    missing_files,
    read_config,
    read_manifest,
)
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models import making, store
from lofi_daemon.models.file_set import FileSet, PrecisionName
from lofi_daemon.models.model_files import ModelConfiguration, ModelFiles, OnProgress

VariantName = Literal["original", "int8", "int4"]

# The native form is the processor's.
PROCESSOR = ("cpu", "auto")
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8", "int4")
# Layers and width of the published checkpoints.
SIZES = {(24, 1024): "small", (48, 1536): "medium", (48, 2048): "large"}
BYTES_OF_FLOAT = 4
# What making a set takes besides the decoders.
MAKING_BYTES = 500_000_000


class MusicGenConfiguration(ModelConfiguration):
    """Which of the sets runs."""

    variant: VariantName | None = Field(
        default=None,
        title="VARIANT",
        description="Which MusicGen files run: original, int8 or int4; if not set, as precise as "
        "the installed ones (int8 for fp16 on a processor).",
    )


class MusicGenFiles(ModelFiles[MusicGenConfiguration]):
    """The published files, and the native sets that are made of them.

    A device that was asked for by name, and not a processor, runs published files as they are.
    """

    type = "musicgen"
    title = "MusicGen"
    default_folder = "musicgen"
    configuration_class = MusicGenConfiguration
    old_variables: ClassVar = {"LOFI_MUSICGEN_MODEL_PATH": "LOFI_MODEL_PATH"}
    smaller = ("int8", "int4")

    @property
    def published(self) -> Path | None:
        return Path(__file__).parent / "published.json"

    def choose(self) -> FileSet | None:
        names = {*PUBLISHED_FILES, *NATIVE_FILES}
        folders = (self.folder, *(self._native_folder(each) for each in PRECISIONS))
        if not any(store.exists(folder / name) for folder in folders for name in names):
            return None
        manifest = read_manifest(self.folder)
        as_it_lies = FileSet(self.folder, manifest.precision, manifest.model_version)
        if missing_files(self.folder, manifest):
            # Where nothing else runs, who looks finds what is missing.
            return self._made_before() or as_it_lies
        if manifest.form == "native":
            self._check(manifest)
            return as_it_lies
        published = self.as_they_came()
        if self.device not in PROCESSOR or self.configuration.variant == "original":
            return published
        native = self._planned(self._precision())
        refused = not self.is_made(native) and making.is_refused(native.folder, self.folder)
        return published if refused else native

    def as_they_came(self) -> FileSet:
        name = size_name(read_config(self.folder).decoder)
        return FileSet(self.folder, Manifest().precision, f"{name}-published")

    def smaller_set(self, precision: PrecisionName) -> FileSet:
        missing = missing_files(self.folder, Manifest())
        if missing:
            raise ModelLoadFailed(
                f"{self.folder} has no {', '.join(missing)}: {precision} is made of the published "
                "files.",
                hint=f"Run `lofi-daemon download {self.type}`, or export the model in that "
                "precision.",
            )
        return self._planned(cast("Precision", precision))

    def make(self, files: FileSet, on_progress: OnProgress, cancel: CancelToken) -> None:
        from lofi_daemon.backends.musicgen.native.convert import convert
        from lofi_daemon.backends.musicgen.native.decoder_graph import Forms
        from lofi_daemon.backends.musicgen.native.fastest_forms import fastest_forms
        from lofi_daemon.onnx.external_weights import external_files, read_model
        from lofi_daemon.onnx.session import SessionSettings

        graphs = [name for name in PUBLISHED_FILES if name.endswith(".onnx")]
        weights = {
            weights.name
            for name in graphs
            for weights in external_files(read_model(self.folder / name), self.folder)
        }
        source = making.source_of(self.folder, (*PUBLISHED_FILES, *sorted(weights)), cancel)
        precision = cast("Precision", files.precision)
        config = read_config(self.folder).decoder
        forms = Forms() if precision == "fp32" else fastest_forms(config, self.threads)
        block = forms.block(precision)
        planned = Manifest(
            form="native",
            precision=precision,
            model_version=native_version(config, precision, block),
            block=block,
            source=dict(source),
        )
        session = SessionSettings(threads=self.threads)
        convert(
            self.folder,
            files.folder,
            planned,
            forms,
            session,
            lambda share: on_progress("decoder.onnx", share),
            cancel,
        )

    def making_bytes(self, files: FileSet) -> int:
        """The published form is run once, to compare: both of its decoders, widened to fp32."""
        decoder = read_config(self.folder).decoder.weights_per_step * BYTES_OF_FLOAT
        return 2 * decoder + MAKING_BYTES

    def _check(self, exported: Manifest) -> None:
        """Raises ModelLoadFailed where files in the native form cannot run as is configured."""
        if self.device not in PROCESSOR:
            raise ModelLoadFailed(
                f"{self.folder} holds MusicGen in the form for processors, which "
                f"LOFI_DEVICE={self.device} cannot run.",
                hint="Use LOFI_DEVICE=cpu, or the published files.",
            )
        variant = self.configuration.variant
        if variant not in (None, "original", exported.precision):
            raise ModelLoadFailed(
                f"{self.folder} holds MusicGen in {exported.precision} only, and "
                f"LOFI_MUSICGEN_VARIANT asks for {variant}.",
                hint="Leave the variable unset, or export the model again in that precision.",
            )

    def _made_before(self) -> FileSet | None:
        """What was made of files that are gone: what is configured, else the most precise."""
        if self.device not in PROCESSOR:
            return None
        for precision in PRECISIONS:
            folder = self._native_folder(precision)
            asked = self.configuration.variant in (None, precision)
            if asked and (folder / MANIFEST).is_file():
                manifest = read_manifest(folder)
                if manifest.form == "native":
                    return FileSet(folder, manifest.precision, manifest.model_version)
        return None

    def _planned(self, precision: Precision) -> FileSet:
        folder = self._native_folder(precision)
        version = ""
        if store.exists(folder / MANIFEST):
            with suppress(ModelLoadFailed):  # a broken manifest: the set is made again
                version = making.read_version(folder)
        version = version or native_version(read_config(self.folder).decoder, precision)
        return FileSet(folder, precision, version, self.folder)

    def _native_folder(self, precision: Precision) -> Path:
        return self.folder / f"native-{precision}"

    def _precision(self) -> Precision:
        """What is configured, else int8 for fp16 files and fp32 for fp32 files: told apart by
        their size."""
        variant = self.configuration.variant
        if variant is not None and variant != "original":
            return variant
        files = self.folder.glob("decoder_with_past_model.*")
        weights = read_config(self.folder).decoder.weights_per_step
        return "int8" if sum(path.stat().st_size for path in files) / weights < 3.0 else "fp32"


def native_version(decoder: DecoderConfig, precision: Precision, block: int = USUAL_BLOCK) -> str:
    """Of a native set: another block gives other tokens."""
    usual = f"{size_name(decoder)}-native-{precision}"
    return usual if block == USUAL_BLOCK else f"{usual}-{block}"


def size_name(decoder: DecoderConfig) -> str:
    """small, medium or large, with -stereo where it is; layers x width of any other."""
    shape = (decoder.num_hidden_layers, decoder.hidden_size)
    name = SIZES.get(shape, f"{shape[0]}x{shape[1]}")
    return f"{name}-stereo" if decoder.audio_channels == 2 else name
