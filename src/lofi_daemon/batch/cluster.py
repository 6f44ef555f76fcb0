"""A batch on the machines of a Ray cluster: one operator, an actor for each machine or GPU.

The driver checks every line, drops what is there and hands the rest out in blocks of a few songs;
Ray Data places them, takes back what a lost machine had and keeps nothing of its own. An actor is a
batch in one process. Imported only where --ray is given: it needs the extra `cluster`.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import Any

from lofi_daemon.batch.library import library_at
from lofi_daemon.batch.results import Result, Results
from lofi_daemon.batch.run import Batch, OnSong, Plan, Standing, registry_for
from lofi_daemon.batch.songs import Song, SongParameters
from lofi_daemon.cancellation import CancelToken
from lofi_daemon.config import Settings, load_settings
from lofi_daemon.errors import ConfigurationError
from lofi_daemon.parameters import parse

log = logging.getLogger(__name__)

# Songs a block, tries of a block whose actor died, and blocks that an actor is given at a time.
# What is lost in the first turn is tried alone in the second: a song that waits at an actor when
# another one ends it is lost with that one.
TURNS = ((8, 1, 2), (1, 0, 1))
LOST = "WORKER_DIED"
# A few songs are shared out in smaller blocks: at the end nobody waits long for the last one.
BLOCKS_EACH = 8
# How long one who cancels may wait.
CANCEL_SEC = 0.2


class Musician:
    """An actor: the models of its machine, and the library that all of them fill."""

    def __init__(self, output: str) -> None:
        self._registry = registry_for(load_settings(os.environ))
        self._library = library_at(output)
        self._library.prepare()
        self._model = self._registry.taking_options(SongParameters)

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        """Make the songs of a block; a result for each, as JSON."""
        batch = Batch(self._registry, None, self._library)
        results: list[str] = []
        for text in block["song"]:
            said = json.loads(str(text))
            song = Song(
                said["line"],
                said["id"],
                said["number"],
                parse(self._model, said["parameters"]),
                said["seed"],
                b"",
            )
            result = batch.carried_out(song, CancelToken())
            results.append(json.dumps(asdict(result)))
        return {"result": results}


class Cluster:
    """A Ray cluster for as long as a batch takes. address: of a running one, or "auto"."""

    def __init__(self, settings: Settings, address: str) -> None:
        """Raises ConfigurationError where Ray is not there, or no cluster at the address."""
        # No usage statistics, whatever the machine's own setting is.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # A thread of Ray's that outlives the end of the cluster would start another one.
        os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
        # What goes wrong with a song stands in its result, and with the cluster in our words.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            import ray
            from ray import data
        except ImportError as error:
            raise ConfigurationError(
                "--ray needs Ray, which is not installed.",
                hint="`pip install 'lofi-daemon[cluster]'` brings it; without --ray the batch runs "
                "in one process of this machine.",
            ) from error
        self._ray: Any = ray
        self._data: Any = data
        self._threads = settings.threads
        self._on_gpus = settings.device == "cuda"
        own = {name: value for name, value in os.environ.items() if name.startswith("LOFI_")}
        joined = address if address != "auto" else os.environ.get("RAY_ADDRESS")
        try:
            self._ray.init(
                address=joined,
                runtime_env={"env_vars": own},
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if joined else {"include_dashboard": False}),
            )
        except Exception as error:
            raise ConfigurationError(
                f"There is no Ray cluster at {joined or 'this machine'}: "
                f"{str(error).splitlines()[0] if str(error) else type(error).__name__}",
                hint="Start one (`ray start --head`), or leave the address out.",
            ) from error

    def close(self) -> None:
        """End every process of ours."""
        self._ray.shutdown()

    def make(
        self,
        batch: Batch,
        plan: Plan,
        results: Results,
        on_song: OnSong,
        cancel: CancelToken,
        output: str,
    ) -> None:
        """Make what is missing, and note every song of the file in the results.

        Raises Cancelled.
        """
        began = time.monotonic()
        missing = batch.missing(plan, results, cancel)
        waiting = {(song.line, song.number): song for song, _ in missing}
        done, total = 0, len(waiting)
        on_song(Standing(done, total, 0.0, ""))
        rest: list[Song] = list(waiting.values())
        for block, tries, in_flight in TURNS:
            if not rest:
                break
            results_of_turn = self._results(rest, output, block, tries, in_flight)
            for result in _as_they_come(results_of_turn, cancel):
                song = waiting.pop((result.line, result.number), None)
                if song is None:  # told twice, by an actor that died after its work
                    continue
                results.add(result, song.text)
                done += 1
                elapsed = time.monotonic() - began
                on_song(Standing(done, total, elapsed, song.parameters.prompt))
            rest = list(waiting.values())
        for song in rest:
            results.add(_lost(song), song.text)
        on_song(Standing(total, total, time.monotonic() - began, ""))

    def _results(
        self, songs: Sequence[Song], output: str, block: int, tries: int, in_flight: int
    ) -> Iterator[Result]:
        context = self._data.DataContext.get_current()
        context.max_errored_blocks = -1
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        rows = [{"song": json.dumps(_row(song))} for song in songs]
        needs, actors = self._places(self._ray.cluster_resources())
        block = min(block, max(1, len(rows) // (BLOCKS_EACH * max(1, actors))))
        blocks = -(-len(rows) // block)
        dataset = self._data.from_items(rows, override_num_blocks=blocks)
        made = dataset.map_batches(
            Musician,
            fn_constructor_args=(output,),
            batch_size=block,
            batch_format="numpy",
            compute=self._data.ActorPoolStrategy(
                min_size=1,
                initial_size=max(1, min(actors, blocks)),
                max_size=max(1, min(actors, blocks)),
                max_tasks_in_flight_per_actor=in_flight,
            ),
            max_restarts=-1,
            max_task_retries=tries,
            **needs,
        )
        for row in made.iter_rows():
            yield Result(**json.loads(row["result"]))

    def _places(self, total: dict[str, float]) -> tuple[dict[str, float], int]:
        """What an actor takes of the cluster, and how many there is room for."""
        if self._on_gpus:
            return {"num_gpus": 1}, int(total.get("GPU", 0))
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        cores = [int(node["Resources"].get("CPU", 0)) for node in nodes]
        each = self._threads or min((count for count in cores if count), default=1)
        return {"num_cpus": each}, sum(count // each for count in cores)


def _as_they_come(results: Iterator[Result], cancel: CancelToken) -> Iterator[Result]:
    """The same, and who cancels does not wait for the next one. Raises Cancelled.

    A block may take as long as eight songs do, and Ray waits for it without looking up.
    """
    inbox: SimpleQueue[Result | BaseException | None] = SimpleQueue()

    def hear() -> None:
        try:
            for result in results:
                inbox.put(result)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            inbox.put(error)
        else:
            inbox.put(None)

    threading.Thread(target=hear, name="results", daemon=True).start()
    while True:
        cancel.raise_if_cancelled()
        try:
            heard = inbox.get(timeout=CANCEL_SEC)
        except Empty:
            continue
        if heard is None:
            return
        if isinstance(heard, BaseException):
            raise heard
        yield heard


def _row(song: Song) -> dict[str, Any]:
    given = song.parameters.model_dump(exclude_none=True)
    known = {"line": song.line, "id": song.id, "number": song.number, "seed": song.seed}
    return {**known, "parameters": given}


def _lost(song: Song) -> Result:
    return Result(
        song.line,
        song.id,
        song.number,
        "failed",
        seed=song.seed,
        code=LOST,
        message="The process that made it ended, also when it made nothing else.",
        hint="Ask for it alone, without --ray, to see what happens; it may need more memory than "
        "the machine has.",
    )
