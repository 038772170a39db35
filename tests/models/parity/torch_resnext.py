"""A plain torch ResNeXt with torchvision's names, written for comparison only."""

import torch
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, channels, inner, outer, stride, groups, project):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(
            inner, inner, 3, stride, padding=1, groups=groups, bias=False
        )
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outer, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outer)
        self.downsample = None
        if project:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, outer, 1, stride, bias=False),
                nn.BatchNorm2d(outer),
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNeXt(nn.Module):
    """Pixels [B, 3, H, W] -> tokens [B, P, C]."""

    def __init__(self, cfg):
        super().__init__()
        self.conv1 = nn.Conv2d(3, cfg.stem_width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(cfg.stem_width)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.num_stages = len(cfg.stages)
        channels = cfg.stem_width
        for stage, num_blocks in enumerate(cfg.stages):
            inner = cfg.groups * cfg.group_width * 2**stage
            outer = cfg.stem_width * cfg.expansion * 2**stage
            blocks = []
            for block in range(num_blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(
                    Bottleneck(channels, inner, outer, stride, cfg.groups, block == 0)
                )
                channels = outer
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        for stage in range(self.num_stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return x.flatten(2).transpose(1, 2)
