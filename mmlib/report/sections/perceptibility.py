"""How visible and audible the attacks are."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from mmlib.report import threats, wording
from mmlib.report.inputs import Inputs, Run
from mmlib.report.tables import Cell, Head, Row, Table
from mmlib.runtime.parquet import read_parquet

# A word joiner, since lines may break after a bar.
SIZE = "|\u2060δ|"
# column of data/attacks/<run>.parquet -> heading, digits
DISTANCES = {
    "snr_log_mel": ("log-mel SNR, dB", 1),
    "snr_waveform": ("waveform SNR, dB", 1),
    "psnr_video": ("PSNR, dB", 1),
    "ssim_video": ("SSIM", 3),
    "mean_abs_audio": (f"audio, mean {SIZE}", 4),
    "max_abs_audio": ("max", 4),
    "mean_abs_video": (f"video, mean {SIZE}", 4),
    "max_abs_video": ("max", 4),
}


def perceptibility(inputs: Inputs) -> Table | None:
    """Mean distances of the headline attacks from their clips, by threat; None without any."""
    return _table({run.name: _distances(inputs, run) for run in inputs.runs})


def _distances(inputs: Inputs, run: Run) -> dict[str, dict[str, float]]:
    """Mean distances of the run's headline attacks, by threat."""
    path = inputs.root / f"data/attacks/{run.name}.parquet"
    if not path.is_file():
        return {}
    table = read_parquet(path, ["threat", "attack", "multiple", *DISTANCES])
    headline = table["multiple"].to_numpy() == 1
    headline &= table["attack"].to_numpy() == "pgd"
    found = {}
    for threat in run.threats:
        rows = table.filter(headline & (table["threat"].to_numpy() == threat))
        means = {name: pc.mean(_finite(rows[name])).as_py() for name in DISTANCES}
        found[threat] = {name: value for name, value in means.items() if value is not None}
    return found


def _finite(column: Any) -> Any:
    return pc.if_else(pc.is_finite(column), column, None)


def _table(seen: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table | None:
    """How far the headline attacks move their clips; `seen` is run -> threat -> distance."""
    means = [values for threats in seen.values() for values in threats.values()]
    columns = {name: text for name, text in DISTANCES.items() if any(name in m for m in means)}
    rows = []
    for threat, title in threats.NAMES.items():
        found = [threats[threat] for threats in seen.values() if threats.get(threat)]
        if found:
            cells = [
                _range([values.get(column) for values in found], digits)
                for column, (_, digits) in columns.items()
            ]
            rows.append(Row(wording.capital(title), cells))
    if not rows:
        return None
    heads = [Head(heading) for heading, _ in columns.values()]
    return Table(
        title="How far the attacks move the clips",
        head=(Head("attack at the headline budget", "word"), *heads),
        rows=rows,
        caption="Means over the eval clips, from the lowest run to the highest. The higher the"
        " decibels and SSIM, the smaller the change; what people notice was not tested. |δ| is a"
        " share of full scale.",
    )


def _range(values: Sequence[float | None], digits: int) -> Cell:
    known = sorted(value for value in values if value is not None)
    ends = list(dict.fromkeys(wording.number(value, digits) for value in known))
    if not ends:
        return Cell(wording.MISSING)
    return Cell(ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}")
