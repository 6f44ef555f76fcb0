"""`lofi-daemon --prompt …`: one track, then the end."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from lofi_daemon.backends.registry import Registry
from lofi_daemon.config import Settings
from lofi_daemon.errors import ConfigurationError, OutputFailed, TrackError
from lofi_daemon.files.temporary import replace_file, temporary_file
from lofi_daemon.house import open_house
from lofi_daemon.jobs.events import JobAdvanced, JobCompleted, JobEvent, JobFailed, LastWord
from lofi_daemon.jobs.jobs import Jobs
from lofi_daemon.jobs.tasks import with_source
from lofi_daemon.parameters import GenerationParameters, parse
from lofi_daemon.sound.clip import AudioClip
from lofi_daemon.terminal.flags import given_parameters
from lofi_daemon.terminal.hearing import Hearing
from lofi_daemon.terminal.progress import progress_display
from lofi_daemon.terminal.streams import has_blocks
from lofi_daemon.text import say


def generate(settings: Settings, options: argparse.Namespace) -> int:
    """Make one track, showing progress; the exit status. Raises LofiError."""
    output = _checked_file("--output", options.output, (".wav", ".flac"))
    picture = _checked_file("--picture", options.picture, (".png",))
    if output is not None and output.suffix.lower() == ".flac":
        settings = settings.model_copy(update={"track_format": "flac"})
    registry = Registry(settings)
    registry.introduce()
    model = registry.taking_options(GenerationParameters)
    parameters = parse(model, given_parameters(options, model))
    return asyncio.run(
        _generate(settings, registry, parameters, output, picture, play=options.play is not None)
    )


async def _generate(
    settings: Settings,
    registry: Registry,
    parameters: GenerationParameters,
    output: Path | None,
    picture: Path | None,
    *,
    play: bool,
) -> int:
    hearing = Hearing(settings, registry) if play else None
    house = (
        open_house(settings, registry, in_background=False) if hearing is None else hearing.house
    )
    await asyncio.to_thread(house.tracks.prepare)
    if hearing is not None:
        await hearing.open()
    jobs = house.jobs
    end: asyncio.Future[LastWord] = asyncio.get_running_loop().create_future()
    with progress_display() as show:

        def listen(event: JobEvent) -> None:
            if isinstance(event, JobAdvanced):
                show(event.percent / 100, _told(event))
            elif isinstance(event, LastWord) and not end.done():
                end.set_result(event)

        jobs.subscribe(listen)
        origin = None
        if parameters.task is not None:
            parameters, origin = with_source(house.tracks, parameters)
        ticket = jobs.submit(parameters, origin=origin, early=play)
        if hearing is not None:
            hearing.want(ticket.track_id)
        _cancel_on_interrupt(jobs, ticket.track_id, hearing)
        event = await end
    try:
        return await _end(event, registry, parameters, output, picture, hearing)
    finally:
        if hearing is not None:
            await hearing.close()
        else:
            await jobs.close(timeout_sec=1.0)


async def _end(
    event: LastWord,
    registry: Registry,
    parameters: GenerationParameters,
    output: Path | None,
    picture: Path | None,
    hearing: Hearing | None,
) -> int:
    if isinstance(event, JobFailed):
        raise event.error
    if not isinstance(event, JobCompleted):
        return 130
    path = event.path
    if output is not None:
        from lofi_daemon.tracks.encoding import copy_audio

        copy_audio(path, output)
        path = output
    clip = None if picture is None else _save_picture(event.path, picture, made=path)
    _report(event, registry, path, named=parameters.backend is not None)
    if clip is not None:
        _draw(clip)
        say(str(picture))
    return 0 if hearing is None else await hearing.to_the_end()


def _report(event: JobCompleted, registry: Registry, path: Path, *, named: bool) -> None:
    track = event.track
    say(f"backend: {track.backend}   seed: {track.seed}   {track.duration_sec:g} s", end="")
    say(f", made in {event.generation_time_sec:.1f} s" if event.generation_time_sec else ", cached")
    backend = registry.get(track.backend)
    if not named and not backend.info.full_model:
        away = [each.availability.error for each in registry.survey() if each.availability.away]
        reason = away[0] if away else "No full model is installed."
        say(
            f"{backend.info.name} was used. {reason} "
            "`lofi-daemon backends` lists them; the README says how to get one."
        )
    if event.understood is not None:
        say(event.understood.text)
    say(str(path))


def _save_picture(track: Path, picture: Path, *, made: Path) -> AudioClip:
    """Save the picture and give the sound it shows. Raises OutputFailed naming the track."""
    from lofi_daemon.sound.picture import png, read_clip

    clip = read_clip(track)
    try:
        replace_file(picture, png(clip), mode=0o666)
    except OSError as error:
        raise OutputFailed(
            f"{picture} cannot be written: {error.strerror or error}.",
            hint=f"Choose another --picture. The track is made: {made}",
        ) from error
    return clip


def _draw(clip: AudioClip) -> None:
    """The picture in the terminal, where it has the characters for it."""
    if not has_blocks(sys.stdout):
        return
    from rich.console import Console

    from lofi_daemon.sound.picture import terminal_picture

    console = Console()
    columns = min(console.width, 100)
    console.print(
        terminal_picture(clip, columns=columns, coloured=console.color_system is not None)
    )


def _cancel_on_interrupt(jobs: Jobs, track_id: str, hearing: Hearing | None) -> None:
    loop = asyncio.get_running_loop()

    def cancel() -> None:
        if hearing is not None:
            hearing.interrupt()
        with suppress(TrackError):  # finished in this moment
            jobs.cancel(track_id)

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, cancel)
        except NotImplementedError:  # Windows: the interrupt ends the process as usual
            return


def _checked_file(flag: str, name: str | None, suffixes: tuple[str, ...]) -> Path | None:
    """The flag's file, if given. Raises ConfigurationError where it could not be written."""
    if name is None:
        return None
    file = Path(name)
    folder = file.absolute().parent
    if file.suffix.lower() not in suffixes:
        raise ConfigurationError(
            f"{flag} {file}: the name must end in {' or '.join(suffixes)}.",
            hint="Choose another name.",
        )
    if not os.path.isdir(folder):  # noqa: PTH112 - this one never raises
        raise ConfigurationError(
            f"{flag} {file}: there is no folder {folder}.", hint="Make the folder first."
        )
    try:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with temporary_file(folder, file.name, mode=0o666):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"{flag} {file} cannot be written: {error.strerror or error}.",
            hint="Choose another place.",
        ) from error
    return file


def _told(progress: JobAdvanced) -> str:
    return f"{_phase(progress)}, {progress.eta_sec:.0f} s left"


def _phase(progress: JobAdvanced) -> str:
    phase = progress.phase.value.replace("_", " ")
    if progress.total_steps and 0 < progress.step < progress.total_steps:
        return f"{phase}, step {progress.step} of {progress.total_steps}"
    return phase
