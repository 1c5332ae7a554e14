"""What is refused of a net that users write, each fault in one line; and what is admitted."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mmlib.batch import Batch, LabelledBatch
from mmlib.models.admission import admit
from mmlib.models.admitting import admit_missing
from mmlib.models.naming import columns
from mmlib.models.own import OwnModel
from mmlib.models.predict import predict
from mmlib.params.training import BY_NAME
from mmlib.runtime.errors import UserError
from tests.models import odd_nets
from tests.models import own_nets as nets

HELD = {
    "seconds": 1.0,
    "sample_rate_hz": 8000,
    "samples": 8000,
    "frames": 4,
    "frame_rate_hz": 4.0,
    "size": 32,
}


class Held:
    """Clips named a, b, c ... as `predict` takes them."""

    def __init__(self, inputs: Batch) -> None:
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs["audio"])

    def gather(self, indices: Any, modalities: Any) -> LabelledBatch:
        ids = tuple("abcdefgh"[index] for index in indices)
        rows = {name: self.inputs[name][indices] for name in modalities}
        return LabelledBatch(ids, rows, torch.zeros(len(ids), 3))


def made(net: nn.Module, seed: int = 0) -> OwnModel:
    """The net with every weight and statistic drawn, as a model of clips as `HELD` says."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in (*net.named_parameters(), *net.named_buffers()):
        if tensor.is_floating_point() and tensor.device.type == "cpu":
            drawn = torch.randn(tensor.shape, generator=generator) / 2
            tensor.data = drawn.abs() + 0.5 if "running_var" in name else drawn
    return OwnModel(net, [0, 1, 2], HELD).eval().requires_grad_(False)


def clips(count: int = 4, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return {
        "audio": 2 * torch.rand(count, 8000, generator=generator) - 1,
        "video": torch.rand(count, 3, 4, 32, 32, generator=generator),
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "kind",
    [
        *(nets.Kept, nets.Apart, nets.NoEmbedding),
        *(nets.LogitsObject, nets.LogitsDict, nets.Guarded),
    ],
)
def test_a_net_that_keeps_the_contract_is_admitted(kind: type[nn.Module], seed: int) -> None:
    model = made(kind(), seed)
    admit(model, clips(seed=seed))
    with torch.no_grad():
        vectors, logits = model.outputs(clips())
        torch.testing.assert_close(logits, model(clips()))
    assert set(vectors) == ({"fused"} if kind in (nets.Kept, nets.Apart) else set())


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (nets.Sigmoid, "probabilities, as of a sigmoid"),
        (nets.Softmax, "probabilities, as of a softmax"),
        (nets.NoGradient, "no gradient reaches its input audio"),
        (nets.DetachedVideo, "no gradient reaches its input video"),
        (nets.Unread, "no gradient reaches its input video"),
        (nets.Numpy, "leaves torch for numpy"),
        (nets.BatchStatistics, "depend on its batch"),
        (nets.Dropout, "differ between two calls"),
        (nets.Remembers, "differ between two calls"),
        (nets.InPlace, "changes its input audio in place"),
        (nets.Tuple, "returns a tuple"),
        (nets.Scores, "returns a dict of 'scores'"),
        (nets.Output, "returns a SimpleNamespace"),
        (nets.Half, "are float16"),
        (nets.WrongWidth, r"gives \(4, 2\) for 4 clips, but its classes name 3"),
        (odd_nets.ExtraAxis, r"\(4, 3\) is needed: reshape them"),
        (odd_nets.EachFrame, "take the mean or the maximum over the frames"),
        (
            odd_nets.Squeezed,
            r"gives \(3,\) for one clip alone, where \(1, 3\) is needed: no squeeze",
        ),
        (odd_nets.Labels, "outputs are int64: return the logits themselves"),
        (odd_nets.KeptOutputs, "in another order differ"),
        (
            odd_nets.OneClip,
            "takes one clip alone.* torch.cat the logits; its forward raised Assert",
        ),
        (odd_nets.TwoArguments, "it is called with one argument, a dict"),
        (nets.OtherDevice, "on two devices"),
        (nets.Raises, "raised KeyError: 'sound'"),
        (nets.Nan, "not finite for a real clip"),
        (nets.RootOfZero, "gradient of its input audio is not finite"),
        (nets.OtherHead, r"head\(embed\(batch\)\) differs from forward"),
    ],
)
def test_each_fault_is_one_line_that_says_what_to_change(kind: type[nn.Module], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        admit(made(kind()), clips())
    assert "\n" not in str(caught.value)
    assert re.search(r": |,", str(caught.value)), "a remedy follows"


def test_a_split_net_whose_parts_disagree_is_refused() -> None:
    net: Any = nets.Apart()
    net.embed = None
    net.forward = lambda batch: 2 * net.classify({m: net.encode(m, x) for m, x in batch.items()})
    with pytest.raises(UserError, match="classify of what encode gives differs"):
        admit(made(net), clips())


def test_a_clip_whose_logits_are_not_finite_is_named() -> None:
    """The few clips of admission need not hold the one that is silent."""
    model = made(odd_nets.OverItsPeak())
    admit(model, clips())
    heard = clips()
    heard["audio"][2] = 0
    held: Any = Held(heard)
    with pytest.raises(UserError, match="its logits of the clip 'c' and 0 more are not finite"):
        list(predict(model, held, batch_size=4, device=torch.device("cpu")))


def test_a_missing_track_is_refused_unless_the_net_calls_it_optional() -> None:
    there, some = np.ones(5, np.bool_), np.array([True, True, False, True, False])
    present = {"train": {"audio": there, "video": there}, "eval": {"audio": there, "video": some}}
    model = made(nets.Kept())
    with pytest.raises(UserError, match="2 clips of the split eval have no video"):
        admit_missing(model, present)
    model.net.optional = ("video",)
    admit_missing(model, present)


def test_a_clip_without_a_track_is_silent_or_black_whatever_lies_there() -> None:
    model, batch = made(nets.Kept()), clips()
    mask = torch.tensor([True, False, True, True])
    blacked = {**batch, "video": torch.where(mask.view(-1, 1, 1, 1, 1), batch["video"], 0)}
    with torch.no_grad():
        assert torch.equal(model({**batch, "video_present": mask}), model(blacked))


def test_outputs_stand_in_the_order_of_the_data(tmp_path: Any) -> None:
    outputs = ["Rain", "Siren", "Bird", "Speech"]
    assert columns(outputs, ["Bird", "Rain"], BY_NAME) == [2, 0]
    table = tmp_path / "classes.csv"
    table.write_text("class,output\nTalk,Speech\nBirds,Bird\n", encoding="utf-8")
    assert columns(outputs, ["Birds", "Talk"], table) == [2, 3]
    for classes, source, said in (
        (["Bird", "Hail"], BY_NAME, "1 of the data's 2 classes have no output: 'Hail'"),
        (["Talk"], table, "'Birds': no class of the data"),
        (["Birds", "Talk", "Hail"], table, "have no output: 'Hail'"),
    ):
        with pytest.raises(UserError, match=said):
            columns(outputs, classes, source)
    table.write_text("class,output\nTalk,Speech\nTalk,Bird\n", encoding="utf-8")
    with pytest.raises(UserError, match="'Talk' stands there twice"):
        columns(outputs, ["Talk"], table)
    table.write_text("class,output\nTalk,Sppech\n", encoding="utf-8")
    with pytest.raises(UserError, match="have no output: 'Talk'"):
        columns(outputs, ["Talk"], table)
    table.write_text("a,b\nTalk,Speech\n", encoding="utf-8")
    with pytest.raises(UserError, match="columns are a, b"):
        columns(outputs, ["Talk"], table)


def test_names_may_differ_in_case_and_blanks_where_no_other_is_meant() -> None:
    assert columns(["Rain", "Church bell"], ["church_bell", "rain"], BY_NAME) == [1, 0]
    assert columns(["Rain", "rain"], ["rain", "Rain"], BY_NAME) == [1, 0]
    for outputs, classes in ((["Rain", "RAIN"], ["RaIn"]), (["rain"], ["RAIN", "Rain"])):
        with pytest.raises(UserError, match="have no output: 'R"):
            columns(outputs, classes, BY_NAME)


def test_the_head_and_the_logits_are_those_of_the_chosen_outputs() -> None:
    net = nets.Kept()
    model = OwnModel(net, [2, 0], HELD).eval()
    with torch.no_grad():
        vectors, logits = model.outputs(clips())
        whole = net(model.fitted(clips()))
    torch.testing.assert_close(logits, whole[:, [2, 0]])
    torch.testing.assert_close(model.head(vectors["fused"]), logits)
