"""`lofi-daemon download`, `import`, `verify` and `quantize`: a model's files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lofi_daemon.backends.registry import Registry
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings
from lofi_daemon.errors import (
    ModelDownloadFailed,
    ModelLoadFailed,
    ModelNotFound,
)
from lofi_daemon.models import store
from lofi_daemon.models.file_set import FileSet, PrecisionName
from lofi_daemon.models.model_files import ModelFiles
from lofi_daemon.terminal.streams import can_draw
from lofi_daemon.text import say, shown

Action = Callable[[Settings, argparse.Namespace], int]
ShowShare = Callable[[str, float], None]
"""Gets what is being done and the share of all of it that is done, 0 to 1."""


def add_download_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", choices=_known().downloadable)
    parser.add_argument("--yes", action="store_true", help="do not ask before downloading")
    parser.add_argument(
        "--repository",
        metavar="OWNER/NAME[/FOLDER][@REVISION]",
        help="another repository of the Hub that has this model",
    )


def add_import_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", choices=_known().downloadable)
    parser.add_argument("folder", type=Path, help="the folder that holds the model's files")


def add_verify_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", choices=_known().downloadable)


def download_model(settings: Settings, options: argparse.Namespace) -> int:
    """Show licence and size, ask, download with a bar. Raises LofiError."""
    from lofi_daemon.models.hub import check_environment

    check_environment()
    from lofi_daemon.models.download import download, megabytes, plan_download

    files = Registry(settings).files(options.model)
    token = CancelToken()
    published = files.source(options.repository)
    say(f"Asking the Hub for {published.title} ...", file=sys.stderr)
    plan = plan_download(published, files.folder, token)
    say(f"{published.title} from {published.source}")
    say(f"Licence of the weights: {published.licence}")
    say(f"To fetch: {megabytes(plan.bytes_to_fetch)} of {megabytes(plan.bytes_total)}", end="")
    say(f" into {files.folder}")
    if plan.bytes_to_fetch and not (options.yes or _agreed()):
        return 1
    with share_display() as show:
        download(
            plan,
            files.folder,
            lambda progress: show(
                f"{progress.component}: {progress.file_name}",
                progress.bytes_downloaded / max(1, progress.bytes_total),
            ),
            token,
        )
    _prepare(files, token)
    say(f"{published.title} is complete in {files.folder}")
    return 0


def import_model(settings: Settings, options: argparse.Namespace) -> int:
    """Copy a model's files from a folder into its place. Raises LofiError."""
    files = Registry(settings).files(options.model)
    published = files.source()
    try:
        with share_display() as show:
            store.import_folder(
                published,
                options.folder,
                files.folder,
                CancelToken(),
                lambda name, done, total: show(name, done / max(1, total)),
            )
        _prepare(files, CancelToken())
    except OSError as error:
        raise ModelDownloadFailed(
            f"{options.folder} cannot be copied to {files.folder}: {error.strerror or error}",
            hint="Check permissions and free space.",
        ) from error
    say(f"{published.title} is complete in {files.folder}")
    return 0


def verify_model(settings: Settings, options: argparse.Namespace) -> int:
    """Read every file that would run and compare; status 1 when one is not whole.

    Raises LofiError.
    """
    files = Registry(settings).files(options.model)
    folder = files.running_folder()
    if not store.expected_files(folder):
        raise _nothing_to_compare(files)
    with share_display() as show:
        problems = store.verify(
            folder,
            CancelToken(),
            on_file=lambda name, done, total: show(name, done / max(1, total)),
        )
    if problems:
        repair = files.repair(None if folder == files.folder else files.choose())
        say(store.describe(folder, problems, repair), file=sys.stderr)
        return 1
    say(f"{files.source().title} is whole in {folder}")
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


def _nothing_to_compare(files: ModelFiles[Any]) -> ModelNotFound:
    return ModelNotFound(
        f"Nothing says how the files in {files.folder} should be.",
        hint=f"`lofi-daemon download {files.type}` compares them with the Hub's, "
        "and fetches what is missing or differs.",
    )


def add_quantize_flags(parser: argparse.ArgumentParser) -> None:
    known = _known()
    smaller = [name for name in known.downloadable if known.files(name).smaller]
    parser.add_argument("model", choices=smaller)
    parser.add_argument("--bits", type=int, choices=(8, 4), required=True)
    parser.add_argument(
        "--replace", action="store_true", help="delete the original files when it is done"
    )


def quantize(settings: Settings, options: argparse.Namespace) -> int:
    """Make a smaller set of files of an installed model. Raises LofiError."""
    files = Registry(settings).files(options.model)
    token = CancelToken()
    precision: PrecisionName = "int8" if options.bits == 8 else "int4"
    store.raise_if_damaged(files.folder, files.repair(), token)
    wanted = files.smaller_set(precision)
    with _making(wanted) as show:
        made = files.prepare(wanted, show, token)
    _tell(made, "complete")
    if options.replace:
        say(f"The original files are deleted: {files.remove_original() / 1e9:.2f} GB")
    elif files.choose() != made:
        say(f"It is used where {files.variable('variant')}={precision} is set.")
    return 0


def _prepare(files: ModelFiles[Any], cancel: CancelToken) -> None:
    """Make what runs of what was downloaded, for a model that is not run as it is published."""
    chosen = files.choose()
    if chosen is not None and not files.is_made(chosen):
        with _making(chosen) as show:
            made = files.prepared(show, cancel)
        if made is not None and made.folder != files.folder:
            _tell(made, "made of it")


@contextmanager
def _making(wanted: FileSet) -> Generator[ShowShare]:
    try:
        with share_display() as show:
            yield show
    except OSError as error:
        raise ModelLoadFailed(
            f"{error.filename or wanted.folder} cannot be written: {error.strerror or error}",
            hint="Free some space and ask again; it goes on where it stopped.",
        ) from error


def _tell(made: FileSet, what: str) -> None:
    size = sum(facts.bytes for facts in store.expected_files(made.folder).values())
    say(f"{made.version} is {what} in {made.folder}: {size / 1e9:.2f} GB")


def _known() -> Registry:
    """The backends there are, whatever is configured for them."""
    return Registry(Settings())


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
