"""Programs of the repository; like every process of it, they send nothing (see there)."""

import lofi_daemon  # noqa: F401
