"""The page of a project whose sound was attacked as its waveform."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from mmlib.runtime.parquet import write_table
from tests.report import fake_project
from tests.report.conftest import render
from tests.report.markup import Page

SAMPLES = 48000


def on_waveforms(root: Path) -> None:
    """Turn a fake project into one whose attacks name the waveform as their domain."""
    yaml = YAML()
    values = yaml.load((root / "params.yaml").read_text(encoding="utf-8"))
    values["attack"]["domain"] = "waveform"
    values["attack"]["scale"]["audio"] = 0.05
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    path = root / "data/attacks/mid.parquet"
    table = pq.read_table(path)
    measured, unknown = table["snr_log_mel"], table["snr_waveform"]
    for name, column in (("snr_log_mel", unknown), ("snr_waveform", measured)):
        table = table.set_column(table.schema.get_field_index(name), name, column)
    write_table(table, path)
    path = root / "data/attacks/mid-examples.parquet"
    table = pq.read_table(path)
    rng = np.random.default_rng(0)
    clean = (0.1 * rng.standard_normal((table.num_rows, SAMPLES))).astype(np.float32)
    sounds = {"clean_audio": clean, "adversarial_audio": clean + np.float32(0.001)}
    for name, rows in sounds.items():
        column = pa.array([row.tobytes() for row in rows])
        table = table.set_column(table.schema.get_field_index(name), name, column)
    about = json.loads(table.schema.metadata[b"mmlib"])
    about["shapes"]["audio"] = [SAMPLES]
    write_table(table.replace_schema_metadata({b"mmlib": json.dumps(about).encode()}), path)


def test_units_and_examples_are_those_of_the_sound(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("mid",), clips=40)
    before = Page(render(root)).text
    on_waveforms(root)
    page = Page(render(root))
    assert page.faults == []
    assert "changes of at most −60.0 dBFS in the audio" in page.text
    assert "audio 0.001 of full-scale amplitude = −60.0 dBFS" in page.text
    assert "the audio may change by 0.05 ε and the video by 1 ε" in page.text
    assert "int16 samples" in page.text
    assert "waveform SNR, dB" in page.text
    assert "Perturbed: the attacked waveform itself, SNR 40.0 dB" in page.text
    assert "attack.scale:" not in before
    for words in ("log-mel SNR", "float16 log-mel", "rebuilt from its log-mel"):
        assert words in before
        assert words not in page.text
