"""Where a fit was when an epoch ended, so that one that was killed goes on from there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from modelscaler.forecast.learning.fitting import Fitting

MOMENTS: Final = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file in a folder, for each of the copies that are fitted.

    `mark` says what the fit follows from: another fit's checkpoint is passed over.
    """

    folder: Path
    mark: str
    copy: int = 0

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"checkpoint-{self.copy}.safetensors"

    def save(self, fitting: Fitting) -> None:
        """Write where the fit is, in one step."""
        tensors = {f"weights.{name}": tensor for name, tensor in fitting.module.state_dict().items()}
        for name, parameter in fitting.module.named_parameters():
            state = fitting.optimizer.state[parameter]
            tensors |= {f"{moment}.{name}": state[moment].clone() for moment in MOMENTS if moment in state}
        beside = self.path.with_name(self.path.name + ".new")
        facts = {"mark": self.mark, "epochs_done": fitting.epochs_done}
        save_file(tensors, beside, metadata={"facts": json.dumps(facts)})
        beside.replace(self.path)

    def restore(self, fitting: Fitting) -> bool:
        """Put a fit where it was; tell whether there was anything of it."""
        try:
            with safe_open(self.path, framework="pt") as file:
                facts = json.loads((file.metadata() or {}).get("facts", "{}"))
                if facts.get("mark") != self.mark:
                    return False
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (OSError, SafetensorError, ValueError):
            return False
        _put(fitting, tensors)
        fitting.epochs_done = int(facts["epochs_done"])
        return True

    def remove(self) -> None:
        """Remove the file: the fit has ended."""
        self.path.unlink(missing_ok=True)


def _put(fitting: Fitting, tensors: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, weight in fitting.module.state_dict().items():
            weight.copy_(tensors[f"weights.{name}"])
    for name, parameter in fitting.module.named_parameters():
        fitting.optimizer.state[parameter] = {moment: tensors[f"{moment}.{name}"] for moment in MOMENTS}
