"""The tests; like every process of the repository, they send nothing (see there)."""

import lofi_daemon  # noqa: F401
