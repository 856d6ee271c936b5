"""What was measured, with the machine and the versions that it was measured on."""

import json
import os
import platform
from datetime import date
from pathlib import Path

import torch


def write(path: Path, result: dict) -> None:
    """Write `result` as JSON, with where and when it was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(result | circumstances(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def circumstances() -> dict:
    """The date, the machine and the versions."""
    return {
        "date": date.today().isoformat(),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def _cpu() -> str:
    """The processor's name, or at least its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
