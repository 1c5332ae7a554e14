"""More nets that break the contract: by the form of their outputs, by what they keep or expect."""

from typing import Any

from torch import Tensor

from mmlib.batch import Batch
from tests.models.own_nets import NoEmbedding


class ExtraAxis(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits(batch)[:, :, None]


class EachFrame(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits(batch)[:, None].expand(-1, 7, -1)


class Squeezed(NoEmbedding):
    """Loses the axis of the clips where there is but one."""

    def forward(self, batch: Batch) -> Any:
        return self.logits(batch).squeeze()


class Labels(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits(batch).argmax(1)


class KeptOutputs(NoEmbedding):
    """Computes anew only what has another shape than the last clips."""

    shape: Any = None

    def forward(self, batch: Batch) -> Any:
        if batch["audio"].shape != self.shape:
            self.shape, self.last = batch["audio"].shape, self.logits(batch)
        return self.last


class TwoArguments(NoEmbedding):
    def forward(self, audio: Tensor, video: Tensor) -> Any:  # type: ignore[override]
        return self.logits({"audio": audio, "video": video})


class OverItsPeak(NoEmbedding):
    """Not a number where a clip is silent."""

    def forward(self, batch: Batch) -> Any:
        peak = batch["audio"].abs().amax(1, keepdim=True)
        return self.logits({**batch, "audio": batch["audio"] / peak})


class OneClip(NoEmbedding):
    """Written for one clip at a time."""

    def forward(self, batch: Batch) -> Any:
        assert len(batch["audio"]) == 1
        return self.logits(batch)


class PerCent(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return 100 * self.logits(batch).softmax(1)
