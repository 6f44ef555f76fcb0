"""All there is to know of one model's files: each backend declares it once, in its own folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import DeviceName, Settings, absolute, default_cache_folder
from lofi_daemon.errors import ConfigurationError, ModelLoadFailed
from lofi_daemon.memory import available_memory, check_memory
from lofi_daemon.models import making, store
from lofi_daemon.models.file_set import FileSet, PrecisionName
from lofi_daemon.models.making import CannotBeMade
from lofi_daemon.models.published import Published, from_source, parse_source, read_published

log = logging.getLogger(__name__)

REMEDY = "Close other programs; what is made once needs less afterwards."
HUB_SOURCE = r"^[\w.-]+/[\w.-]+(/[\w./-]+)?(@[\w./-]+)?$"

OnProgress = Callable[[str, float], None]
"""Gets the file that is being written and the share of the whole work that is done."""


class ModelConfiguration(BaseModel):
    """What the user's environment says of one model.

    A field's title is the end of its variable's name, which begins with LOFI_ and the backend's
    type in capitals.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    folder: Path | None = Field(
        default=None, title="MODEL_PATH", description="Where the files of {title} lie."
    )
    repository: str | None = Field(
        default=None,
        pattern=HUB_SOURCE,
        title="REPOSITORY",
        description="Where {title} is downloaded from: owner/name[/folder][@revision] of the Hub.",
    )

    @field_validator("folder")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return None if folder is None else absolute(folder)


ConfigurationT = TypeVar("ConfigurationT", bound=ModelConfiguration)
FilesT = TypeVar("FilesT", bound="ModelFiles[Any]")


class ModelFiles(Generic[ConfigurationT]):
    """One model's files: where they come from, where they lie, and which of them run.

    A backend subclasses it: `type` is the backend's, `title` the model's name for people, `bundled`
    the folder of files that come with the package, `default_folder` the folder's name below the
    cache, `configuration_class` the variables of the environment, `old_variables` their former
    names, which still count, and `smaller` the precisions that `quantize` makes.
    """

    type: ClassVar[str]
    title: ClassVar[str]
    bundled: ClassVar[Path | None] = None
    default_folder: ClassVar[str] = ""
    configuration_class: type[ConfigurationT]
    old_variables: ClassVar[Mapping[str, str]] = {}
    smaller: ClassVar[tuple[PrecisionName, ...]] = ()

    def __init__(
        self,
        folder: Path,
        configuration: ConfigurationT,
        *,
        device: DeviceName = "cpu",
        threads: int | None = None,
    ) -> None:
        self.folder = folder
        self.configuration = configuration
        self.device: DeviceName = device
        self.threads = threads

    @property
    def published(self) -> Path | None:
        """The document that says what can be downloaded; None where the files are bundled."""
        return None

    @classmethod
    def configured(cls: type[FilesT], settings: Settings) -> FilesT:
        """As the user's settings have it. Raises ConfigurationError naming the variable."""
        values = {} if cls.bundled else cls._values(settings.backend_variables)
        try:
            configuration = cls.configuration_class(**values)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            name = cls._spelt(str(problem["loc"][0]), settings.backend_variables)
            message = problem["msg"]
            raise ConfigurationError(
                f"{name}={problem['input']!s:.80}: {message[:1].lower()}{message[1:]}"
            ) from None
        folder = cls.bundled or configuration.folder
        folder = folder or default_cache_folder() / cls.folder_name(configuration)
        return cls(folder, configuration, device=settings.device, threads=settings.threads)

    @classmethod
    def folder_name(cls, configuration: ConfigurationT) -> str:
        """Of the model's folder below the cache, where the user names no other."""
        return cls.default_folder

    @classmethod
    def variables(cls) -> Iterator[tuple[str, str, FieldInfo]]:
        """Name of the variable, of the configuration's field, and the field."""
        if cls.bundled is None:
            for name, field in cls.configuration_class.model_fields.items():
                yield f"LOFI_{cls.type.upper()}_{field.title}", name, field

    @classmethod
    def _values(cls, variables: Mapping[str, str]) -> dict[str, Any]:
        spelt = ((name, cls._spelt(name, variables)) for _, name, _ in cls.variables())
        return {name: variables[variable] for name, variable in spelt if variable in variables}

    @classmethod
    def _spelt(cls, field: str, variables: Mapping[str, str]) -> str:
        """The field's variable by the name that is set, the new one where both are or none is."""
        variable = next(variable for variable, name, _ in cls.variables() if name == field)
        old = cls.old_variables.get(variable)
        return (
            old if old is not None and old in variables and variable not in variables else variable
        )

    def variable(self, field: str) -> str:
        """The variable of the environment that sets this field of the configuration."""
        return next(variable for variable, name, _ in self.variables() if name == field)

    def source(self, repository: str | None = None) -> Published:
        """What is downloaded: from the named repository, else the configured one, else its own.

        repository: owner/name[/folder][@revision]. For a model that can be downloaded.
        Raises ConfigurationError.
        """
        assert self.published is not None, "somebody asked whether it can be downloaded"
        published = read_published(self.published)
        chosen = repository or self.configuration.repository
        return published if chosen is None else from_source(published, parse_source(chosen))

    @property
    def published_bytes(self) -> int:
        """About what the model takes on the disk, where it is not here yet."""
        return 0 if self.published is None else read_published(self.published).bytes

    @property
    def licence(self) -> str | None:
        """The terms of the weights as they are published."""
        return None if self.published is None else str(read_published(self.published).licence)

    def repair(self, files: FileSet | None = None) -> str:
        """What to do about files of this set that are missing or damaged."""
        if self.published is None:
            return "Install lofi-daemon again: these files are part of the package."
        download = store.repair_command(self.type)
        if files is None or files.folder == self.folder or files.precision not in self.smaller:
            return download
        bits = files.precision.removeprefix("int")
        return f"Make these files again: `lofi-daemon quantize {self.type} --bits {bits}`."

    def choose(self) -> FileSet | None:
        """The files that run, or would when they are made; None where there is nothing to run.

        Light: asked at every request. Raises ModelLoadFailed.
        """
        raise NotImplementedError

    def smaller_set(self, precision: PrecisionName) -> FileSet:
        """The set of a precision among `smaller`, made or not. Raises ModelLoadFailed,
        ModelNotFound where there is nothing to make it of."""
        raise NotImplementedError

    def make(self, files: FileSet, on_progress: OnProgress, cancel: CancelToken) -> None:
        """Make the set of what it is made of (see making.make_set).

        Raises CannotBeMade, ModelLoadFailed, OSError, Cancelled.
        """
        raise NotImplementedError

    def making_bytes(self, files: FileSet) -> int:
        """Memory that making the set takes."""
        return 0

    def as_they_came(self) -> FileSet | None:
        """What runs where nothing can be made; None: nothing does."""
        return None

    def is_made(self, files: FileSet) -> bool:
        """Whether the set can run as it lies: whole, and of the files that it is made of."""
        return files.made_of is None or making.is_made(files.folder, files.made_of)

    def needed_folder(self, files: FileSet) -> Path:
        """The folder whose files must be whole: the set's own, or, where that has to be made, of
        what it is made of."""
        return files.made_of if files.made_of and not self.is_made(files) else files.folder

    def running_folder(self) -> Path:
        """The same of the chosen set; the model's folder where there is none."""
        files = self.choose()
        return self.folder if files is None else self.needed_folder(files)

    def prepare(self, files: FileSet, on_progress: OnProgress, cancel: CancelToken) -> FileSet:
        """The set with its files on the disk, whole: made, or made again, if need be.

        Every file whose sum is known has it then. Raises ModelLoadFailed, naming the file, and
        where memory does not suffice; OSError, Cancelled.
        """
        try:
            return self._prepare(files, on_progress, cancel)
        except CannotBeMade as reason:
            raise ModelLoadFailed(
                f"{files.precision} cannot be made of the files in {files.made_of}: {reason}.",
                hint="The files run as they are; nothing needs to be done.",
            ) from reason

    def prepared(self, on_progress: OnProgress, cancel: CancelToken) -> FileSet | None:
        """The chosen set, prepared; where it cannot be, what runs instead, with the reason in the
        log. None where there is nothing.

        That a set cannot be made of these files is remembered. Raises what `prepare` raises.
        """
        files = self.choose()
        if files is None:
            return None
        try:
            return self._prepare(files, on_progress, cancel)
        except (CannotBeMade, OSError) as problem:
            instead = self.as_they_came()
            if instead is None or files.made_of is None:
                raise
            reason = str(problem)
            if isinstance(problem, OSError):
                reason = f"{files.folder} cannot be written: {problem}"
            log.warning("%s is run as it is: %s.", files.made_of, reason)
            if isinstance(problem, CannotBeMade):
                self._remember(files.folder, files.made_of, reason)
            return instead

    def remove_original(self) -> int:
        """Delete what sets are made of, the sets staying; how many bytes that frees.

        Raises ModelLoadFailed, OSError.
        """
        return store.remove_files(self.folder, self.original_names())

    def original_names(self) -> Iterator[str]:
        """Names of files below the model's folder that are not of its sets, beside those in it."""
        record = store.read_record(self.folder)
        yield from () if record is None else record.files

    def _prepare(self, files: FileSet, on_progress: OnProgress, cancel: CancelToken) -> FileSet:
        if files.made_of is None:
            store.raise_if_damaged(files.folder, self.repair(files), cancel)
            return files
        if not self.is_made(files):
            with suppress(ModelLoadFailed):  # a broken manifest: the set is made again
                making.read_touched(files.folder, files.made_of, cancel)
        if self.is_made(files) and not store.verify(files.folder, cancel, only_changed=True):
            return files
        store.raise_if_damaged(files.made_of, self.repair(), cancel)
        what = f"Making {files.version} of {files.made_of}"
        check_memory(what, self.making_bytes(files), available_memory(), REMEDY)
        self.make(files, on_progress, cancel)
        return replace(files, version=making.read_version(files.folder))

    def _remember(self, target: Path, made_of: Path, reason: str) -> None:
        try:
            making.refuse(target, made_of, reason)
        except OSError as error:
            log.warning("This is found out again at the next load: %s", error)
