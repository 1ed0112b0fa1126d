"""Each namespace that scales to zero pays for activators: they stay small."""

import subprocess
import sys


def test_nothing_heavy_is_loaded_by_the_activator() -> None:
    code = "import sys, modelscaler.cli.activator; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout
    assert "'aiohttp'" in loaded
    assert not [name for name in ("kopf", "kubernetes", "numpy", "pydantic", "scipy", "torch") if f"'{name}'" in loaded]
