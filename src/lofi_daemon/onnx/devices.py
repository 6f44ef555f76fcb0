"""From the name of a device to onnxruntime's execution providers.

A provider is part of onnxruntime's wheel, or comes as a plug-in: a package of its own, whose
library is registered when it is asked for.

What is asked for by name is used or refused, never replaced. `auto` takes the best there is and
falls back to the processor, with one warning, when that does not work.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lofi_daemon.errors import ModelLoadFailed

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"

Provider = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Device:
    """An execution provider, its options, how to get it; plug_in: the module that brings it."""

    provider: str
    install: str
    options: Mapping[str, str]
    plug_in: str | None = None


# Two wheels of onnxruntime in one environment overwrite each other, hence the order.
DEVICES: Mapping[str, Device] = {
    "cuda": Device(
        "CUDAExecutionProvider", "`pip uninstall onnxruntime`, `pip install onnxruntime-gpu`", {}
    ),
    # The neural engine computes in half precision, in which these models overflow.
    "metal": Device(
        "CoreMLExecutionProvider",
        "use onnxruntime's wheel for macOS",
        {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"},
    ),
    "directml": Device(
        "DmlExecutionProvider",
        "`pip uninstall onnxruntime`, `pip install onnxruntime-directml`",
        {},
    ),
    "webgpu": Device(
        "WebGpuExecutionProvider",
        "`pip install 'lofi-daemon[webgpu]'`",
        {},
        plug_in="onnxruntime_ep_webgpu",
    ),
}
# CoreML and WebGPU recompile whenever a length changes, so they are for those who ask for them.
AUTOMATIC = ("cuda", "directml")


@dataclass(frozen=True)
class DeviceChoice:
    """providers: in order, the processor last. required: a fallback is an error.

    plug_in_devices: what a session is made with instead, where the provider is a plug-in.
    """

    device: str
    providers: tuple[Provider, ...]
    required: bool
    plug_in_devices: tuple[Any, ...] = ()


def choose_device(name: str, available: Sequence[str]) -> DeviceChoice:
    """What LOFI_DEVICE means here; available: what onnxruntime.get_available_providers() says.

    Raises ModelLoadFailed when the device is not there, naming those that are.
    """
    processor: Provider = (CPU, {})
    if name == "cpu":
        return DeviceChoice("cpu", (processor,), required=True)
    if name == "auto":
        for each in AUTOMATIC:
            if DEVICES[each].provider in available:
                providers = ((DEVICES[each].provider, dict(DEVICES[each].options)), processor)
                return DeviceChoice(each, providers, required=False)
        return DeviceChoice("cpu", (processor,), required=False)
    device = DEVICES[name]
    providers = ((device.provider, dict(device.options)), processor)
    if device.provider not in available and device.plug_in and find_spec(device.plug_in):
        found = plug_in_devices(device.plug_in, device.provider)
        return DeviceChoice(name, providers, required=True, plug_in_devices=found)
    if device.provider not in available:
        there = [each for each, known in DEVICES.items() if known.provider in available]
        raise ModelLoadFailed(
            f"LOFI_DEVICE={name}: onnxruntime has no {device.provider} here.",
            hint=f"To get it: {device.install}. Or use one of {', '.join([*there, 'cpu'])}.",
        )
    return DeviceChoice(name, providers, required=True)


@cache
def plug_in_devices(module: str, provider: str) -> tuple[Any, ...]:
    """What the plug-in of that module computes on; its library is registered once a process.

    Raises ModelLoadFailed where the library cannot be loaded, or finds nothing it can use.
    """
    import onnxruntime as ort

    plug_in = import_module(module)
    try:
        ort.register_execution_provider_library(module, plug_in.get_library_path())
    except Exception as error:
        raise ModelLoadFailed(
            f"The plug-in {module} cannot be loaded: {str(error).strip()}",
            hint="On Linux WebGPU needs libvulkan.so.1 and a driver. LOFI_DEVICE=cpu works "
            "everywhere.",
        ) from error
    found = tuple(each for each in ort.get_ep_devices() if each.ep_name == provider)
    if not found:
        raise ModelLoadFailed(
            f"The plug-in {module} finds no device here.",
            hint="Its driver may be missing. LOFI_DEVICE=cpu works everywhere.",
        )
    return found


def device_in_use(choice: DeviceChoice, active: Sequence[str]) -> str:
    """The device that a session runs on; active: what its get_providers() says.

    onnxruntime itself falls back when a device's libraries cannot be loaded, and says so only in
    its log. Raises ModelLoadFailed where the device was asked for by name.
    """
    wanted = choice.providers[0][0]
    if wanted in active:
        return choice.device
    if choice.required:
        raise ModelLoadFailed(
            f"LOFI_DEVICE={choice.device}: onnxruntime cannot use {wanted} here.",
            hint="Its libraries or its driver may be missing; the log on stderr says more. "
            "LOFI_DEVICE=cpu works everywhere.",
        )
    _warn_once(choice.device)
    return "cpu"


_warned: set[str] = set()


def _warn_once(device: str) -> None:
    if device not in _warned:
        _warned.add(device)
        log.warning("%s is here but cannot be used; the processor computes instead.", device)
