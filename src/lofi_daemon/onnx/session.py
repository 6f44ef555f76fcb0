"""One ONNX graph: loaded with its declared interface checked, run with its declared types.

Nothing here knows which model it runs. Names, element types and fixed axes are read from the
session, so that a graph of other sizes or another precision runs through the same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from lofi_daemon.cancellation import Cancelled, CancelToken
from lofi_daemon.errors import ModelLoadFailed, ModelNotFound
from lofi_daemon.onnx.devices import choose_device, device_in_use
from lofi_daemon.onnx.failures import load_failure, run_failure
from lofi_daemon.onnx.processor import multiply_bytes_exactly

Array = NDArray[Any]

_ResultT = TypeVar("_ResultT")

_NUMPY_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class TensorSpec:
    """A declared input or output: an axis is an int where the graph fixes it, else None."""

    name: str
    dtype: type[np.generic]
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class SessionSettings:
    """How sessions are made: the device (see devices.py), and threads (None: one a core).

    arena: scratch memory is kept for the next call. It pays for thousands of short calls; for few
    long ones it doubles the peak and is never given back.
    """

    device: str = "cpu"
    threads: int | None = None
    arena: bool = True


class OnnxModel:
    """A loaded graph.

    Raises ModelNotFound when the file is missing, ModelLoadFailed when onnxruntime refuses it or
    an expected input is not there (both name the file), and when the device is not there.
    """

    def __init__(
        self, path: Path, settings: SessionSettings, *, required_inputs: Iterable[str] = ()
    ) -> None:
        self.path = path
        self.settings = settings
        if not path.is_file():
            raise ModelNotFound(f"Model file {path} is missing.")
        choice = choose_device(settings.device, ort.get_available_providers())
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if settings.threads is not None:
            options.intra_op_num_threads = settings.threads
        options.enable_cpu_mem_arena = settings.arena
        # Spinning threads would keep the cores from the player and from the event loop.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        multiply_bytes_exactly(options)
        try:
            if choice.plug_in_devices:
                options.add_provider_for_devices(list(choice.plug_in_devices), {})
                self._session = ort.InferenceSession(str(path), options)
            else:
                self._session = ort.InferenceSession(
                    str(path), options, providers=list(choice.providers)
                )
        except Exception as error:
            raise load_failure(path, error) from error
        self.device = device_in_use(choice, self._session.get_providers())
        self.inputs = {spec.name: spec for spec in map(self._spec, self._session.get_inputs())}
        self.outputs = tuple(map(self._spec, self._session.get_outputs()))
        missing = [name for name in required_inputs if name not in self.inputs]
        if missing:
            raise ModelLoadFailed(
                f"Model file {path} has no input {', '.join(missing)}; "
                f"it has {', '.join(self.inputs)}.",
                hint="The file belongs to another model or interface version; download it again.",
            )

    def accepts(self, name: str) -> bool:
        return name in self.inputs

    def run(self, feeds: Mapping[str, Array], cancel: CancelToken) -> list[Array]:
        """All outputs, floating ones as float32.

        feeds: arrays by input name, cast here to the declared types. Cancelling stops the call at
        the next operator. Raises Cancelled, ModelInferenceFailed (naming the file).
        """
        cast = {name: _cast(value, self.inputs[name].dtype) for name, value in feeds.items()}

        def call(run_options: Any) -> list[Any]:
            return list(self._session.run(None, cast, run_options))

        outputs = self._guarded(call, cancel)
        return [_as_float32(np.asarray(output)) for output in outputs]

    def binding(self) -> Binding:
        """A call whose tensors stay where they are: nothing is copied between calls."""
        return Binding(self._session.io_binding(), self)

    def run_bound(self, io_binding: Any, cancel: CancelToken) -> None:
        """What `Binding.run` does. Raises Cancelled, ModelInferenceFailed (naming the file)."""

        def call(run_options: Any) -> None:
            self._session.run_with_iobinding(io_binding, run_options)

        self._guarded(call, cancel)

    def _guarded(self, call: Callable[[Any], _ResultT], cancel: CancelToken) -> _ResultT:
        """The call with run options that `cancel` can terminate; its errors translated."""
        run_options = ort.RunOptions()

        def terminate() -> None:
            run_options.terminate = True

        with cancel.on_cancel(terminate):
            try:
                return call(run_options)
            except Exception as error:
                if cancel.cancelled:
                    raise Cancelled from error
                raise run_failure(self.path, error) from error

    def _spec(self, argument: Any) -> TensorSpec:
        dtype = _NUMPY_TYPES.get(argument.type)
        if dtype is None:
            raise ModelLoadFailed(
                f"Model file {self.path}: tensor {argument.name} has type {argument.type}, "
                "which no model here uses.",
            )
        shape = tuple(axis if isinstance(axis, int) else None for axis in argument.shape)
        return TensorSpec(argument.name, dtype, shape)


class Binding:
    """Inputs and outputs of repeated calls of one graph, each bound to memory once.

    An array bound as an input is read where it lies at every run, so writing into it is how the
    next call gets other values; an array bound as an output is written in place. The same array
    may be both (a cache). Arrays must be contiguous and of the declared type.
    """

    def __init__(self, io_binding: Any, model: OnnxModel) -> None:
        self._io_binding = io_binding
        self._model = model
        self._outputs: list[str] = []

    def input(self, name: str, value: Array | Tensor) -> None:
        self._io_binding.bind_ortvalue_input(name, _ort_value(value))

    def output(self, name: str, value: Array) -> None:
        self._io_binding.bind_ortvalue_output(name, _ort_value(value))
        self._remember(name)

    def free_output(self, name: str) -> None:
        """The next run allocates this output; its shape may differ from run to run."""
        self._io_binding.bind_output(name)
        self._remember(name)

    def run(self, cancel: CancelToken) -> None:
        """Raises Cancelled, ModelInferenceFailed (naming the file)."""
        self._model.run_bound(self._io_binding, cancel)

    def results(self) -> dict[str, Tensor]:
        """The outputs of the last run by name, not copied."""
        return {
            name: Tensor(value)
            for name, value in zip(self._outputs, self._io_binding.get_outputs(), strict=True)
        }

    def _remember(self, name: str) -> None:
        if name not in self._outputs:
            self._outputs.append(name)


@dataclass(frozen=True)
class Tensor:
    """A value that stays with onnxruntime."""

    ort_value: Any

    def numpy(self) -> Array:
        return np.asarray(self.ort_value.numpy())


def _ort_value(value: Array | Tensor) -> Any:
    return value.ort_value if isinstance(value, Tensor) else ort.OrtValue.ortvalue_from_numpy(value)


def _cast(value: Array, dtype: type[np.generic]) -> Array:
    return np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))


def _as_float32(value: Array) -> Array:
    if value.dtype.kind == "f":
        return value.astype(np.float32, copy=False)
    return value
