"""Pixel queries: an auxiliary head that trains the image encoder before prompts.

The features at a pixel are turned into a small vector whose product with the HQ features must be
the mask of the object there, which is what the HQ token does later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_samhq.training.losses import box_weight, mask_loss, soft_iou

if TYPE_CHECKING:
    from napari_samhq.model.sam_hq import ImageFeatures

__all__ = ["QueryHead"]


def _distance(center_xy: Tensor, falloff: Tensor, size: torch.Size) -> Tensor:
    """Squared distance (Q, h, w) of each cell from the query, in ellipses that the query asks for.

    Convolutions see no places, so nothing else tells an object from its twin beside it; later the
    decoder does, through its positional codes.
    """
    rows = torch.arange(size[0], device=center_xy.device)
    cols = torch.arange(size[1], device=center_xy.device)
    dy = ((rows[None] - center_xy[:, 1:]) / 8.0)[:, :, None]
    dx = ((cols[None] - center_xy[:, :1]) / 8.0)[:, None, :]
    along_y, along_x = F.softplus(falloff[:, :2]).unbind(1)
    slant = 2 * torch.tanh(falloff[:, 2]) * torch.sqrt(along_x * along_y + 1e-6)
    along_y, along_x, slant = (v[:, None, None] for v in (along_y, along_x, slant))
    return along_y * dy**2 + along_x * dx**2 + slant * dy * dx


class QueryHead(nn.Module):
    """Head that turns the features at a pixel into the vector that asks for the object there.

    Parameters
    ----------
    embedding_channels, hq_channels : int
        Channels of the image embedding and of the HQ features.
    """

    def __init__(self, embedding_channels: int, hq_channels: int) -> None:
        super().__init__()
        self.query = nn.Sequential(
            nn.Linear(embedding_channels + hq_channels, 128),
            nn.GELU(),
            nn.Linear(128, hq_channels + 4),
        )

    def query_loss(
        self, features: ImageFeatures, image_index: Tensor, points_xy: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss and mean IoU of the masks that the features at the given pixels ask for.

        Parameters
        ----------
        features : ImageFeatures
            Of B crops.
        image_index : (Q,) int
        points_xy : (Q, 2) int
            Pixels inside the objects, crop px.
        target : (Q, 1, h, w) float
        """
        embedding, fine = features.image_embedding, features.hq_features
        at8 = points_xy // 8
        at2 = points_xy // 2
        content = torch.cat(
            [
                embedding[image_index, :, at8[:, 1], at8[:, 0]],
                fine[image_index, :, at2[:, 1], at2[:, 0]],
            ],
            dim=1,
        )
        answer = self.query(content)
        vector, bias, falloff = answer.split([fine.shape[1], 1, 3], dim=1)
        logits = torch.einsum("qc,qchw->qhw", vector, fine[image_index]) + bias[:, :, None]
        logits = logits - _distance(at2, falloff, logits.shape[1:])
        logits = logits[:, None].float()
        loss = mask_loss(logits, target, box_weight(target)).mean()
        return loss, soft_iou(logits, target).mean().detach()
