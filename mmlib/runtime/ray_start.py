"""The Ray cluster that a stage's items go to: one that is there, or one of this process's own."""

import logging
import os
import secrets
from typing import Any

from mmlib.runtime.errors import UserError
from mmlib.runtime.workers import worker_count

# Of results that travel, Ray's smallest store holds more than enough.
_STORE_BYTES = 100 << 20


def package() -> Any:
    """The package ray; UserError where it is absent."""
    try:
        import ray
    except ImportError:
        raise UserError(
            "the package ray is absent: pip install -e '.[cluster]', with the constraints of "
            "constraints.txt, on every machine; or unset MMLIB_EXECUTOR to do without"
        ) from None
    return ray


def connected() -> Any:
    """The package ray, connected to the cluster; UserError when there is none.

    RAY_ADDRESS names the cluster; without it one starts on this machine, and ends with the process.
    """
    address = os.environ.get("RAY_ADDRESS")
    if not address and "RAY_AUTH_MODE" not in os.environ:
        # Ray reads these as it is imported. By itself it would leave a token in the user's home,
        # which clusters that `ray start` starts then ask for, and drivers do not give.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    ray = package()
    if ray.is_initialized():
        return ray
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own: dict[str, Any] = {"num_cpus": worker_count(), "object_store_memory": _STORE_BYTES}
    try:
        ray.init(
            address or "local",
            include_dashboard=None if address else False,
            # Tracebacks of the dead would drown the one line.
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else own),
        )
    except Exception as error:  # Ray raises no class of its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise UserError(
            f"no Ray cluster at RAY_ADDRESS={address or '(not set)'} ({reason}); start one "
            "(docs/scaling.md), or unset RAY_ADDRESS for one on this machine"
        ) from None
    return ray
