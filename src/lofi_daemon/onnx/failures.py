"""What onnxruntime's exceptions mean: one place where its words are read.

Its classes say little (running out of memory is a RuntimeException, or a Fail, or bad_alloc as a
plain text), so what tells is the message.
"""

from __future__ import annotations

from pathlib import Path

from lofi_daemon.errors import ModelInferenceFailed, ModelLoadFailed

# std::bad_alloc and its kin: of the C++ library (Microsoft's says "bad allocation"), of
# onnxruntime's arena, of the system that should have mapped a file, of a graphics card.
_NO_MEMORY = (
    "bad_alloc",
    "bad allocation",
    "failed to allocate memory",
    "available memory of",
    "cannot allocate memory",
    "out of memory",
    "out_of_memory",
    "not enough memory",
)
_DAMAGED = ("protobuf", "invalid_graph", "out of bounds", "external data", "external_data")
_FORBIDDEN = ("permission denied", "access is denied")

MEMORY_HINT = (
    "Close other programs, ask for a shorter track, or make the model smaller with "
    "`lofi-daemon quantize`."
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failure of a library means that memory did not suffice."""
    return isinstance(error, MemoryError) or _says(error, _NO_MEMORY)


def load_failure(path: Path, error: Exception) -> ModelLoadFailed:
    """Why a graph could not be loaded, and what to do."""
    if is_out_of_memory(error):
        return ModelLoadFailed(
            f"There is not enough memory to load {path}.", hint=MEMORY_HINT, out_of_memory=True
        )
    reason = first_line(error)
    if _says(error, _FORBIDDEN):
        return ModelLoadFailed(
            f"Model file {path} cannot be read: {reason}",
            hint="Give yourself the right to read it, or point its variable at another folder.",
        )
    if _says(error, _DAMAGED):
        return ModelLoadFailed(f"Model file {path} cannot be loaded, it is damaged: {reason}")
    return ModelLoadFailed(f"Model file {path} cannot be loaded: {reason}")


def run_failure(path: Path, error: Exception) -> ModelInferenceFailed:
    """Why a call of a loaded graph failed, and what to do."""
    if is_out_of_memory(error):
        return ModelInferenceFailed(
            f"There is not enough memory to run {path.name}.", hint=MEMORY_HINT, out_of_memory=True
        )
    return ModelInferenceFailed(
        f"{path.name} failed: {first_line(error)}",
        hint="If another seed fails too, download the model again.",
    )


def first_line(error: Exception) -> str:
    """The error's message, or the name of its class where it has none."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(word in text for word in words)
