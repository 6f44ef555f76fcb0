"""Where the files of MusicGen come from and lie, and which of them run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lofi_daemon.backends.musicgen.bundle import NATIVE_FILES, PUBLISHED_FILES
from lofi_daemon.backends.musicgen.forms import (
    PRECISIONS,
    Form,
    chosen_form,
    is_made,
    make_runnable,
    native_folder,
    planned_form,
)
from lofi_daemon.backends.musicgen.refusal import forget
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.errors import ModelLoadFailed
from lofi_daemon.models import store
from lofi_daemon.models.file_set import FileSet, PrecisionName
from lofi_daemon.models.model_files import ModelConfiguration, ModelFiles, OnProgress

if TYPE_CHECKING:
    from lofi_daemon.onnx.session import SessionSettings

VariantName = Literal["original", "int8", "int4"]


class MusicGenConfiguration(ModelConfiguration):
    """Which of the sets runs."""

    variant: VariantName | None = Field(
        default=None,
        title="VARIANT",
        description="Which MusicGen files run: original, int8 or int4; if not set, as precise as "
        "the installed ones (int8 for fp16 on a processor).",
    )


class MusicGenFiles(ModelFiles[MusicGenConfiguration]):
    """The published files, and the native sets that are made of them in folders inside."""

    type = "musicgen"
    title = "MusicGen"
    published: ClassVar[Path | None] = Path(__file__).parent / "published.json"
    default_folder = "musicgen"
    configuration_class = MusicGenConfiguration
    old_variables: ClassVar = {"LOFI_MUSICGEN_MODEL_PATH": "LOFI_MODEL_PATH"}
    smaller = ("int8", "int4")

    def choose(self) -> FileSet | None:
        names = {*PUBLISHED_FILES, *NATIVE_FILES}
        folders = (self.folder, *(native_folder(self.folder, each) for each in PRECISIONS))
        if not any(store.exists(folder / name) for folder in folders for name in names):
            return None
        return _set(self.form())

    def form(self) -> Form:
        return chosen_form(self.folder, self.device, self.configuration.variant)

    def smaller_set(self, precision: PrecisionName) -> FileSet:
        return _set(planned_form(self.folder, precision))

    def is_made(self, files: FileSet) -> bool:
        if files.made_of is None:
            return True
        return is_made(planned_form(files.made_of, files.precision))

    def prepare(self, files: FileSet, on_progress: OnProgress, cancel: CancelToken) -> FileSet:
        if files.made_of is None or self.is_made(files):
            return files
        from lofi_daemon.backends.musicgen.native.convert import NotConvertible, convert

        folder, form = files.made_of, planned_form(files.made_of, files.precision)
        try:
            convert(folder, form.folder, form.manifest, self._session, _told(on_progress), cancel)
        except NotConvertible as reason:
            raise ModelLoadFailed(
                f"{files.precision} cannot be made of the files in {folder}: {reason}.",
                hint="The published files run as they are; nothing needs to be done.",
            ) from reason
        forget(form.folder)
        return files

    def prepared(self, on_progress: OnProgress, cancel: CancelToken) -> FileSet | None:
        if self.choose() is None:
            return None
        return _set(make_runnable(self.form(), self._session, _told(on_progress), cancel))

    @property
    def _session(self) -> SessionSettings:
        from lofi_daemon.onnx.session import SessionSettings

        return SessionSettings(device=self.device, threads=self.threads)


def _told(on_progress: OnProgress) -> Callable[[float], None]:
    return lambda share: on_progress("decoder.onnx", share)


def _set(form: Form) -> FileSet:
    return FileSet(form.folder, form.manifest.precision, form.model_version, form.made_of)
