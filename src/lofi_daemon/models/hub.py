"""What the user's environment says of the Hub and of the way there, asked before anything is.

Imports neither huggingface_hub nor an HTTP library: some values end the import of the first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from lofi_daemon.errors import ModelDownloadFailed

TIMEOUTS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


def check_environment(environment: Mapping[str, str] = os.environ) -> None:
    """Raises ModelDownloadFailed naming the variable that no download can work with."""
    for name in TIMEOUTS:
        value = environment.get(name, "").strip()
        if value and not (value.isascii() and value.isdigit() and 0 < int(value) < 100_000):
            raise _wrong(name, value, "is no whole number of seconds")
    endpoint = environment.get("HF_ENDPOINT", "").strip()
    if endpoint and not _is_address(endpoint, ("http", "https")):
        raise _wrong("HF_ENDPOINT", endpoint, "is no address that begins with http:// or https://")
    for name in TOKENS:
        value = environment.get(name, "").strip()
        if not (value.isascii() and (not value or value.isprintable())) or " " in value:
            # not shown: it is a secret all the same
            raise ModelDownloadFailed(
                f"{name} has characters that no token has.",
                hint="Copy the token again from https://huggingface.co/settings/tokens.",
            )
    for name in CERTIFICATES:
        value = environment.get(name, "")
        if value and not _is_readable(Path(value), folder=name == "SSL_CERT_DIR"):
            raise _wrong(name, value, "cannot be read")
    for name in (*PROXIES, *(each.lower() for each in PROXIES)):
        value = environment.get(name, "").strip()
        if not value:
            continue
        # without a scheme it is a proxy by HTTP
        address = value if "://" in value else f"http://{value}"
        if not _is_address(address, ("http", "https", "socks5", "socks5h")):
            raise _wrong(name, value, "is no proxy that is known here (http, https, socks5)")
        if address.startswith("socks") and find_spec("socksio") is None:
            raise ModelDownloadFailed(
                f"{name}={value:.120} asks for a SOCKS proxy, which needs the package socksio.",
                hint="Install that beside lofi-daemon (`pip install socksio`), or unset it.",
            )


def _wrong(name: str, value: str, what: str) -> ModelDownloadFailed:
    return ModelDownloadFailed(
        f"{name}={value:.120} {what}.", hint="Correct the variable, or unset it."
    )


def _is_address(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_readable(path: Path, *, folder: bool) -> bool:
    try:
        return (path.is_dir() if folder else path.is_file()) and os.access(path, os.R_OK)
    except OSError:
        return False
