"""Train the digit classifiers; write digits_{mlp,resnet,cnn}.onnx, digits_test.npz and digits_calibration.npz here.

    pip install '.[train]' && python models/train_digits.py

Seeds are fixed and torch runs deterministically on one thread: the same versions on the same kind of machine give the
same files.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from digits_data import FOLDER, SEED, Digits, split_digits, write_calibration_digits, write_test_digits
from digits_export import cnn_to_onnx, mlp_to_onnx, resnet_to_onnx
from digits_networks import DigitsCnn, DigitsMlp, DigitsResnet

EPOCHS = 80
BATCH = 64
LARGEST_SHIFT = 1  # pixels; the digits fill their 8x8 frame


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image [1,8,8] moved by a random whole number of pixels in both directions, zeros drawn in."""
    padded = nn.functional.pad(images, [LARGEST_SHIFT] * 4)
    offsets = torch.randint(0, 2 * LARGEST_SHIFT + 1, (len(images), 2), generator=generator).tolist()
    crops = [image[:, top : top + 8, left : left + 8] for image, (top, left) in zip(padded, offsets, strict=True)]
    return torch.stack(crops)


def train(network: nn.Module, digits: Digits, learning_rate: float = 4e-3) -> None:
    """Fit `network` by AdamW with a one-cycle rate up to `learning_rate`, and leave it in evaluation mode."""
    generator = torch.Generator().manual_seed(SEED)
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.labels)
    batches = len(images) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=learning_rate, total_steps=EPOCHS * batches)
    loss_function = nn.CrossEntropyLoss(label_smoothing=0.05)
    network.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(images), generator=generator)
        for batch in order[: batches * BATCH].view(batches, BATCH):
            optimizer.zero_grad()
            loss_function(network(shifted(images[batch], generator)), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, digits: Digits) -> float:
    """The share of images whose largest logit is their label."""
    predicted = network(torch.from_numpy(digits.images)).argmax(1).numpy()
    return float(np.mean(predicted == digits.labels))


def main() -> None:
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    training, test = split_digits()
    write_test_digits(test)
    write_calibration_digits(training)

    torch.manual_seed(SEED)
    mlp, resnet = DigitsMlp(), DigitsResnet()
    train(mlp, training)
    train(resnet, training)
    torch.manual_seed(SEED)
    cnn = DigitsCnn()
    train(cnn, training)
    for name, network, model in (
        ("digits_mlp", mlp, mlp_to_onnx(mlp)),
        ("digits_resnet", resnet, resnet_to_onnx(resnet)),
        ("digits_cnn", cnn, cnn_to_onnx(cnn)),
    ):
        onnx.save(model, FOLDER / f"{name}.onnx")
        print(f"{name}: {accuracy(network, test):.2%} of {len(test.labels)} held images (torch {torch.__version__})")


if __name__ == "__main__":
    main()
