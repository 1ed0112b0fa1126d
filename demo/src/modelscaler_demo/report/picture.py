"""A picture of the live screen as SVG that loads nothing, fonts included."""

import io
import re
from collections.abc import Sequence

from rich.console import Console

from modelscaler_demo.snapshot import Snapshot
from modelscaler_demo.view.scene import Scene
from modelscaler_demo.view.screen import Screen

WIDTH_COLUMNS = 116


def picture(snapshots: Sequence[Snapshot], scene: Scene, title: str) -> str:
    """Draw the screen as it stood at the last of these moments."""
    console = Console(record=True, width=WIDTH_COLUMNS, file=io.StringIO(), force_terminal=True)
    screen = Screen(scene, console)
    for snapshot in snapshots:
        screen.remember(snapshot)
    console.print(screen.panel(snapshots[-1]))
    # Rich asks a server for its font; the viewer's own monospace font does as well.
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=title), flags=re.DOTALL)
