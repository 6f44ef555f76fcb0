"""`lofi-daemon download`, `import`, `verify` and `quantize`: a model's files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.errors import (
    ModelDownloadFailed,
    ModelLoadFailed,
    ModelNotFound,
)
from lofi_daemon.models import store, variants
from lofi_daemon.models.catalogue import CatalogueEntry, find_model
from lofi_daemon.models.manifest import DOWNLOADABLE
from lofi_daemon.models.variants import Variant, variant_repair
from lofi_daemon.terminal.streams import can_draw
from lofi_daemon.text import say, shown

Action = Callable[[Settings, argparse.Namespace], int]
ShowShare = Callable[[str, float], None]
"""Gets what is being done and the share of all of it that is done, 0 to 1."""


def add_download_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", choices=DOWNLOADABLE)
    parser.add_argument("--yes", action="store_true", help="do not ask before downloading")
    parser.add_argument(
        "--repository",
        metavar="OWNER/NAME[/FOLDER][@REVISION]",
        help="another repository of the Hub that has this model",
    )


def add_import_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", choices=DOWNLOADABLE)
    parser.add_argument("folder", type=Path, help="the folder that holds the model's files")


def add_verify_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", choices=DOWNLOADABLE)


def download_model(settings: Settings, options: argparse.Namespace) -> int:
    """Show licence and size, ask, download with a bar. Raises LofiError."""
    from lofi_daemon.models.hub import check_environment

    check_environment()
    from lofi_daemon.models.download import download, megabytes, plan_download

    entry = find_model(settings, options.model, options.repository)
    token = CancelToken()
    say(f"Asking the Hub for {entry.manifest.title} ...", file=sys.stderr)
    plan = plan_download(entry.manifest, entry.folder, token)
    say(f"{entry.manifest.title} from {plan.manifest.source}")
    say(f"Licence of the weights: {entry.manifest.licence}")
    say(f"To fetch: {megabytes(plan.bytes_to_fetch)} of {megabytes(plan.bytes_total)}", end="")
    say(f" into {entry.folder}")
    if plan.bytes_to_fetch and not (options.yes or _agreed()):
        return 1
    with share_display() as show:
        download(
            plan,
            entry.folder,
            lambda progress: show(
                f"{progress.component}: {progress.file_name}",
                progress.bytes_downloaded / max(1, progress.bytes_total),
            ),
            token,
        )
    _prepare(settings, entry, token)
    say(f"{entry.manifest.title} is complete in {entry.folder}")
    return 0


def import_model(settings: Settings, options: argparse.Namespace) -> int:
    """Copy a model's files from a folder into its place. Raises LofiError."""
    entry = find_model(settings, options.model)
    try:
        with share_display() as show:
            store.import_folder(
                entry.manifest,
                options.folder,
                entry.folder,
                CancelToken(),
                lambda name, done, total: show(name, done / max(1, total)),
            )
        _prepare(settings, entry, CancelToken())
    except OSError as error:
        raise ModelDownloadFailed(
            f"{options.folder} cannot be copied to {entry.folder}: {error.strerror or error}",
            hint="Check permissions and free space.",
        ) from error
    say(f"{entry.manifest.title} is complete in {entry.folder}")
    return 0


def verify_model(settings: Settings, options: argparse.Namespace) -> int:
    """Read every file that would run and compare; status 1 when one is not whole.

    Raises LofiError.
    """
    entry = find_model(settings, options.model)
    folder = _folder_in_use(settings, entry)
    if not store.expected_files(folder):
        raise _nothing_to_compare(entry)
    with share_display() as show:
        problems = store.verify(
            folder,
            CancelToken(),
            on_file=lambda name, done, total: show(name, done / max(1, total)),
        )
    if problems:
        repair = (
            store.repair_command(options.model)
            if folder == entry.folder
            else variant_repair(options.model, folder)
        )
        say(store.describe(folder, problems, repair), file=sys.stderr)
        return 1
    say(f"{entry.manifest.title} is whole in {folder}")
    return 0


@contextmanager
def share_display() -> Generator[ShowShare]:
    """A bar on a terminal that can draw one; otherwise a line for every tenth."""
    if not can_draw(sys.stderr):
        yield _plain_lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    # A name is no markup.
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=shown(what), completed=share)


def _plain_lines() -> ShowShare:
    told = 0

    def show(what: str, share: float) -> None:
        nonlocal told
        if int(10 * share) > told:
            told = int(10 * share)
            say(f"{10 * told:3d} % {what}", file=sys.stderr)

    return show


def _agreed() -> bool:
    if not sys.stdin.isatty():
        say("Say --yes to download without being asked.", file=sys.stderr)
        return False
    try:
        return input("Download it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _nothing_to_compare(entry: CatalogueEntry) -> ModelNotFound:
    return ModelNotFound(
        f"Nothing says how the files in {entry.folder} should be.",
        hint=f"`lofi-daemon download {entry.manifest.model}` compares them with the Hub's, "
        "and fetches what is missing or differs.",
    )


def add_quantize_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", choices=tuple(MAKERS))
    parser.add_argument("--bits", type=int, choices=(8, 4), required=True)
    parser.add_argument(
        "--replace", action="store_true", help="delete the original files when it is done"
    )


def quantize(settings: Settings, options: argparse.Namespace) -> int:
    """Make a smaller set of files of an installed model. Raises LofiError."""
    folder = find_model(settings, options.model).folder
    token = CancelToken()
    store.raise_if_damaged(folder, store.repair_command(options.model), token)
    variant: variants.Variant = "int8" if options.bits == 8 else "int4"
    try:
        with share_display() as show:
            made = MAKERS[options.model](settings, folder, variant, show, token)
    except OSError as error:
        raise ModelLoadFailed(
            f"{error.filename or folder} cannot be written: {error.strerror or error}",
            hint="Free some space and ask again; it goes on where it stopped.",
        ) from error
    facts = variants.describe(made)
    say(f"{facts.model_version} is complete in {made}: {facts.bytes / 1e9:.2f} GB")
    variable = f"{options.model.upper()}_VARIANT"
    if options.replace:
        say(f"The original files are deleted: {variants.remove_original(folder) / 1e9:.2f} GB")
    elif getattr(settings, variable.lower()) != variant:
        say(f"It is used where LOFI_{variable}={variant} is set.")
    return 0


def _make_ace_step(
    settings: Settings, folder: Path, variant: Variant, show: ShowShare, cancel: CancelToken
) -> Path:
    from lofi_daemon.models.quantize.model import QuantizeOptions, quantize_model

    return quantize_model(folder, variant, QuantizeOptions(threads=settings.threads), show, cancel)


def _make_musicgen(
    settings: Settings, folder: Path, variant: Variant, show: ShowShare, cancel: CancelToken
) -> Path:
    from lofi_daemon.backends.musicgen.forms import make_variant
    from lofi_daemon.onnx.session import SessionSettings

    def on_fraction(fraction: float) -> None:
        show("decoder.onnx", fraction)

    session = SessionSettings(threads=settings.threads)
    return make_variant(folder, variant, session, on_fraction, cancel).folder


def _make_ace_step_15(
    settings: Settings, folder: Path, variant: Variant, show: ShowShare, cancel: CancelToken
) -> Path:
    from lofi_daemon.backends.ace_step_15.sets import make

    return make(folder, variant, settings.threads, show, cancel)


def _prepare_ace_step_15(
    settings: Settings, folder: Path, show: ShowShare, cancel: CancelToken
) -> Path:
    from lofi_daemon.backends.ace_step_15.sets import ensure

    repair = store.repair_command("ace_step_15")
    wanted = settings.ace_step_15_variant
    return ensure(folder, wanted, settings.threads, show, cancel, repair=repair)


def _prepare(settings: Settings, entry: CatalogueEntry, cancel: CancelToken) -> None:
    """Make what runs of what was downloaded, for a model that is not run as it is published."""
    prepare = PREPARE.get(entry.manifest.model)
    if prepare is None:
        return
    with share_display() as show:
        folder = prepare(settings, entry.folder, show, cancel)
    facts = variants.describe(folder)
    say(f"{facts.model_version} is made of it in {folder}: {facts.bytes / 1e9:.2f} GB")


def _ace_step_folder(settings: Settings, folder: Path) -> Path:
    return variants.variant_folder(folder, settings.ace_step_variant)


def _ace_step_15_folder(settings: Settings, folder: Path) -> Path:
    from lofi_daemon.backends.ace_step_15.sets import find_set

    repair = store.repair_command("ace_step_15")
    found = find_set(folder, settings.ace_step_15_variant, repair)
    return folder if found is None or not found.made else found.folder


def _musicgen_folder(settings: Settings, folder: Path) -> Path:
    from lofi_daemon.backends.musicgen.forms import chosen_form

    return chosen_form(folder, settings.device, settings.musicgen_variant).installed


def _folder_in_use(settings: Settings, entry: CatalogueEntry) -> Path:
    """Where the files lie that would run."""
    return FOLDERS_IN_USE[entry.manifest.model](settings, entry.folder)


MakeVariant = Callable[[Settings, Path, Variant, ShowShare, CancelToken], Path]
Prepare = Callable[[Settings, Path, ShowShare, CancelToken], Path]
MAKERS: dict[str, MakeVariant] = {
    "ace_step_15": _make_ace_step_15,
    "ace_step": _make_ace_step,
    "musicgen": _make_musicgen,
}
PREPARE: dict[str, Prepare] = {"ace_step_15": _prepare_ace_step_15}
FOLDERS_IN_USE: dict[str, Callable[[Settings, Path], Path]] = {
    "ace_step_15": _ace_step_15_folder,
    "ace_step": _ace_step_folder,
    "musicgen": _musicgen_folder,
}


def _told(action: Action) -> Action:
    """The action; files that cannot be read or written are told as what they are."""

    def run(settings: Settings, options: argparse.Namespace) -> int:
        try:
            return action(settings, options)
        except BrokenPipeError:
            raise  # of who reads what is printed
        except OSError as error:
            raise ModelLoadFailed(
                f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.",
                hint="Check permissions, free space and the model's environment variable.",
            ) from error

    return run


FLAGS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "download": add_download_flags,
    "import": add_import_flags,
    "verify": add_verify_flags,
    "quantize": add_quantize_flags,
}
ACTIONS: dict[str, Action] = {
    "download": _told(download_model),
    "import": _told(import_model),
    "verify": _told(verify_model),
    "quantize": _told(quantize),
}
