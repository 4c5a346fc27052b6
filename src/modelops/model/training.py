"""Trains the multi-layer perceptron: seeded, with early stopping, on a GPU when one was asked for and is there.

Called by the train step. It knows matrices only: no files, no MLflow, no test part.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from modelops.api.v1alpha1 import trainingrun

_SMALL = 1_000_000
"""Parameters; below, a second thread costs more than it does."""
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


class DivergedError(ValueError):
    """The loss stopped being a number; the message is one line and says what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """Features, float32 [N, width], and encoded targets: float32 [N, 1], or int64 class indices [N]."""

    features: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True, slots=True)
class Epoch:
    """The losses after one pass over the training part."""

    train_loss: float
    validation_loss: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The best weights seen, by validation loss, and how training went."""

    tensors: dict[str, np.ndarray]
    epochs: tuple[Epoch, ...]
    best_epoch: int
    """Index into `epochs`."""
    device: str


def train_mlp(
    train: Part,
    validation: Part,
    hyperparameters: trainingrun.Hyperparameters,
    *,
    classes: int,
    class_weights: bool,
    gpus: int,
) -> Fit:
    """Train a network and return its best weights.

    Args:
        train: The training part.
        validation: The part that decides when to stop.
        hyperparameters: Of the network and its training.
        classes: How many classes; 0 for regression.
        class_weights: Whether rare classes weigh more in the loss, in inverse proportion to their count.
        gpus: How many GPUs the run was given; with none it stays on the CPU.

    Raises:
        DivergedError: the loss became NaN or infinite.
    """
    torch.manual_seed(hyperparameters.seed)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    device = torch.device("cuda" if gpus > 0 and torch.cuda.is_available() else "cpu")
    network = _network(train.features, hyperparameters, classes or 1).to(device)
    loss_of = _loss(train.targets, classes, class_weights=class_weights, device=device)
    optimizer = AdamW(list(network.parameters()), hyperparameters.learning_rate, hyperparameters.weight_decay)
    features, targets = _tensors(train, device)
    seen = _tensors(validation, device)
    if device.type == "cpu" and sum(parameter.numel() for parameter in network.parameters()) < _SMALL:
        torch.set_num_threads(1)
    shuffle = torch.Generator().manual_seed(hyperparameters.seed)
    epochs: list[Epoch] = []
    best, best_state = math.inf, {}
    best_epoch = 0
    for number in range(hyperparameters.epochs):
        network.train()
        total = torch.zeros((), device=device)
        order = torch.randperm(len(features), generator=shuffle)
        for rows in torch.split(order, hyperparameters.batch_size):
            batch = rows.to(device)
            network.zero_grad(set_to_none=True)
            loss = loss_of(network(features[batch]), targets[batch])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(batch)
        network.eval()
        with torch.no_grad():
            validation_loss = float(loss_of(network(seen[0]), seen[1]))
        epochs.append(Epoch(float(total) / len(features), validation_loss))
        if not (math.isfinite(epochs[-1].train_loss) and math.isfinite(validation_loss)):
            raise DivergedError(
                f"hyperparameters: the loss is not a number after epoch {number + 1}; lower learningRate "
                f"(now {hyperparameters.learning_rate:g}) or scale the inputs with prepare.scale"
            )
        if validation_loss < best:
            best, best_epoch = validation_loss, number
            best_state = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
        elif number - best_epoch >= hyperparameters.patience:
            break
    return Fit(_named(best_state), tuple(epochs), best_epoch, str(device))


class AdamW:
    """AdamW (Loshchilov and Hutter, 2019), step for step what torch.optim's does.

    Making the first optimizer of torch.optim imports torch's compiler, which takes longer than training a small model.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], learning_rate: float, weight_decay: float) -> None:
        self._parameters = list(parameters)
        self._rate, self._decay = learning_rate, weight_decay
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter against its gradient."""
        self._steps += 1
        correction = math.sqrt(1 - _BETA2**self._steps)
        size = self._rate / (1 - _BETA1**self._steps)
        for parameter, mean, square in zip(self._parameters, self._means, self._squares, strict=True):
            gradient = parameter.grad
            assert gradient is not None
            parameter.mul_(1 - self._rate * self._decay)
            mean.lerp_(gradient, 1 - _BETA1)
            square.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            parameter.addcdiv_(mean, (square.sqrt() / correction).add_(_EPSILON), value=-size)


def _network(features: np.ndarray, hyperparameters: trainingrun.Hyperparameters, outputs: int) -> torch.nn.Sequential:
    widths = [features.shape[1], *hyperparameters.hidden]
    layers: list[torch.nn.Module] = []
    for size, following in itertools.pairwise(widths):
        layers += [torch.nn.Linear(size, following), torch.nn.ReLU()]
        if hyperparameters.dropout:
            layers.append(torch.nn.Dropout(hyperparameters.dropout))
    layers.append(torch.nn.Linear(widths[-1], outputs))
    first = layers[0]
    assert isinstance(first, torch.nn.Linear)
    # A feature that is 0 in every training row (an unseen bucket, a constant) learns nothing. Its weights start and
    # stay at 0, so that serving the first unseen value does not add noise to the answer.
    idle = torch.from_numpy(~features.any(axis=0))
    with torch.no_grad():
        first.weight[:, idle] = 0.0
    return torch.nn.Sequential(*layers)


def _loss(targets: np.ndarray, classes: int, *, class_weights: bool, device: torch.device) -> torch.nn.Module:
    if not classes:
        return torch.nn.MSELoss()
    weights = None
    if class_weights:
        counts = np.bincount(targets, minlength=classes)
        weights = torch.tensor(len(targets) / (classes * np.maximum(counts, 1)), dtype=torch.float32, device=device)
    return torch.nn.CrossEntropyLoss(weight=weights)


def _tensors(part: Part, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(part.features).to(device), torch.from_numpy(part.targets).to(device)


def _named(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return the state under the names of the model format, whatever layers without weights lay between."""
    positions: Sequence[int] = sorted({int(name.split(".")[0]) for name in state})
    order = {position: index for index, position in enumerate(positions)}
    return {
        f"layer{order[int(name.split('.')[0])]}.{name.split('.')[1]}": tensor.numpy() for name, tensor in state.items()
    }
