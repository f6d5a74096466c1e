"""The values that an untrained network starts from."""

from torch import nn


def initialise(network: nn.Module) -> None:
    """Draw the values that the authors start from (SPEC 4; Collagen, ``collagen/core/_model.py``), from torch's generator.

    The weight of every convolution comes from a normal distribution with mean 0 and variance 2 / fan_out (Kaiming, gain of
    ReLU; fan_out is the number of output channels times the kernel's pixels). Every batch norm gets weight 1 and bias 0.
    Biases of convolutions stay as PyTorch sets them.

    The last convolution decides how far from 0.5 the first probabilities are: PyTorch's own values there are 14 times smaller,
    and the Focal Tversky loss then stays on its plateau.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
