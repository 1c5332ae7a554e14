"""Code that users wrote, run: what it raises in one line that says what to change.

Also what it draws and sets for the whole process: the same every time, and put back.
"""

import os
import random
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from mmlib.runtime.errors import UserError

_MOST = 300
"""Characters of what was raised that are told."""
_NEVER_COMPILE = "TORCHDYNAMO_DISABLE"
"""Where it is 1 `torch.compile` gives back what it is given: torch's own switch."""
_REMEDIES = (
    (
        r"FileNotFoundError",
        "the stages run in a folder of their own: begin the path with Path(__file__).parent, or "
        "name the file as WEIGHTS or in OPTIONS",
    ),
    (
        r"same device|device type|\bmeta\b|Input type \(torch\.\S+\) and weight type",
        "it meets tensors on two devices: keep each constant with register_buffer, so that it goes "
        "where the net goes, and make new tensors on the device of the input",
    ),
    (
        r"numpy.*grad|grad.*numpy",
        "it leaves torch for numpy, where no gradient follows: write that step with torch",
    ),
    (
        r"HalfTensor|BFloat16|same dtype|expected scalar type|"
        r"Input type \(\w+\) and \w+ type \(\w+\)",
        "inputs are float32: net.float() in the factory",
    ),
    (
        r"no known parent package",
        "a file's neighbours are imported by their bare names: from layers import ..., not from "
        ".layers import ...",
    ),
    (
        r"NVIDIA|CUDA|cuda",
        "leave .cuda() and .to(device) out: the pipeline moves the net where there is a GPU; new "
        "tensors belong on the device of the input",
    ),
    (
        r"Unexpected key\(s\) in state_dict: .*[\"']module\.",
        "take `module.` off the names: {{k.removeprefix('module.'): v for k, v in state.items()}}",
    ),
    (
        r"Missing key\(s\) in state_dict: \"([^\"]+)\".*"
        r"Unexpected key\(s\) in state_dict: \"([^\"]+\.)\1\"",
        "take `{1}` off the names: {{k.removeprefix('{1}'): v for k, v in state.items()}}",
    ),
    (
        r"Missing key\(s\) in state_dict: \"([^\"]+\.)([^\"]+)\".*"
        r"Unexpected key\(s\) in state_dict: \"\2\"",
        "put `{0}` before the names: {{'{0}' + k: v for k, v in state.items()}}",
    ),
    (
        r"Unexpected key\(s\) in state_dict: "
        r".*\"((model_)?state_dict|model(_state)?|net|weights|ema)\"",
        "the file holds a dict around the weights: load_state_dict(torch.load(...)['{0}'])",
    ),
    (
        r"NoneType.*(seek|PathLike)|PathLike.*NoneType",
        "it was given no file of weights: WEIGHTS=file, or weights in the row",
    ),
    (
        r"does not require grad",
        "forward is also called without gradients: no backward pass in it, but under "
        "torch.enable_grad()",
    ),
    (
        r"size mismatch for \S+ copying a param with shape torch\.Size\(\[(\d+).*"
        r"current model is torch\.Size\(\[(\d+)",
        "the file has {0} there and the net {1}: where that is the number of classes, make the net "
        "with those of its training, not the data's, and name a csv as CLASSES",
    ),
    (
        r"EOF when reading a line",
        "nobody answers in a stage: leave input() out, and give what it asks for as options",
    ),
    (
        r"invalid load key|Unsupported operand|PytorchStreamReader|EOFError|deserializing header",
        "the file of weights is cut short or of another kind",
    ),
    (
        r"[Ww]eights.only|Can't get attribute",
        "the file holds a whole net, not its tensors: torch.save(net.state_dict(), ...) where it "
        "was trained, and name that file",
    ),
    (
        r"^the factory .* TypeError.* argument",
        "it is called as factory(weights, classes, **options)",
    ),
    (
        r"^its embed ",
        "embed(batch) gives the vector that head reads; a layer of that name needs another name",
    ),
    (
        r"Expected more than 1 value per channel when training",
        "batch norm in training mode: let eval() reach every layer, or pass training=self.training",
    ),
    (
        r"^its forward .*(TypeError.* argument|unhashable|'dict' object|type 'dict'|KeyError)",
        'it is called with one argument, a dict with the tensors "audio", "video" or both',
    ),
    (
        r"^its (encode|classify) .*TypeError.* argument",
        "it is called as encode(modality, x), classify(vectors); a method of another meaning needs "
        "another name",
    ),
)


@contextmanager
def users_code(what: str) -> Iterator[None]:
    """Turn whatever a user's code raises into a UserError of one line; `what` was being done."""
    try:
        yield
    except (UserError, KeyboardInterrupt, GeneratorExit):
        raise
    except ModuleNotFoundError as error:
        raise UserError(
            f"{what} needs the package {error.name}, which is not installed: pip install it"
        ) from error
    except SystemExit as error:
        raise UserError(
            f"{what} ends the process (exit status {error.code}): a script's command line belongs "
            'under if __name__ == "__main__":'
        ) from error
    except BaseException as error:  # whatever a user's code may raise
        said = f"{what} raised {_said(error)}"
        remedy = _remedy(what, " ".join(f"{type(error).__name__}: {error}".split()))
        raise UserError(f"{said}{remedy and ': '}{remedy} (MMLIB_DEBUG=1 shows where)") from error


@contextmanager
def contained(seed: int = 0) -> Iterator[None]:
    """The process as it was before, whatever runs inside; it draws the same for the same seed.

    Random states of torch (CPU), numpy and Python; whether gradients are taken, and watched for
    faults; default dtype, device and precision; the number of threads; which warnings are shown;
    and the folder.
    """
    # Users draw from numpy's global state, whatever one should do.
    ours, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    gradients, threads = torch.is_grad_enabled(), torch.get_num_threads()
    precision, anomalies = torch.get_float32_matmul_precision(), torch.is_anomaly_enabled()
    exact = torch.are_deterministic_algorithms_enabled()
    folder = Path.cwd()
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)  # noqa: NPY002
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        torch.set_grad_enabled(gradients)
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.autograd.set_detect_anomaly(anomalies)
        torch.use_deterministic_algorithms(exact)
        os.chdir(folder)


@contextmanager
def uncompiled() -> Iterator[None]:
    """From here on, what `torch.compile` made inside, or makes later, runs as it is written.

    Attacks call a net with many numbers of clips, with and without gradients: it would be compiled
    anew for each, in every process, for longer than it then runs.
    """
    os.environ.pop(_NEVER_COMPILE, None)
    try:
        yield
    finally:
        # What is compiled already keeps its names, `_orig_mod.` among them, for the weights' sake.
        if "torch._dynamo" in sys.modules:
            torch.compiler.set_stance("force_eager")
        os.environ[_NEVER_COMPILE] = "1"


def _remedy(what: str, raised: str) -> str:
    """What to change where that was raised, if it is known; {0}, {1} are the pattern's groups.

    Names of the user's are no sign: only a pattern that begins with ^ sees what was being done.
    """
    for sign, text in _REMEDIES:
        said = f"{what} raised {raised}" if sign.startswith("^") else raised
        if match := re.search(sign, said):
            return text.format(*match.groups())
    return ""


def _said(error: BaseException) -> str:
    """Its kind and message; of several lines those that say more than that a list follows."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [" ".join(line.split()) for line in plain.splitlines() if line.strip()]
    text = lines[0] if lines else ""
    for line in lines[1:]:
        if not text.endswith(":"):
            break
        text = f"{text} {line}"
    if len(text) > _MOST:
        text = f"{text[:_MOST]} ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
