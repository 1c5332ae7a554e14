import re
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

from mmlib.report import figures, theme
from mmlib.report.figures import Line, Point

EPS = np.array([0.0, 0.005, 0.02, 0.2])


def curve(name: str = "c") -> Markup:
    lines = [
        Line(run, EPS, np.array([0.9, 0.6, 0.3, 0.1]) - 0.05 * run, floor=np.full(4, 0.9))
        for run in range(3)
    ]
    return figures.robustness(lines, headline=0.02, chance=0.1, name=name, label="mAP & budget")


def test_a_drawing_is_xml_that_scales_and_names_itself() -> None:
    root = ElementTree.fromstring(curve())
    assert root.attrib["aria-label"] == "mAP & budget"
    assert set(root.attrib) == {"viewBox", "role", "aria-label", "class"}


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert curve() == curve()


def test_ids_of_two_drawings_differ() -> None:
    one, two = (set(re.findall(r'id="([^"]+)"', curve(name))) for name in ("a", "b"))
    assert one
    assert not one & two


def test_references_lead_to_ids_of_the_same_drawing() -> None:
    svg = curve()
    ids = set(re.findall(r'id="([^"]+)"', svg))
    assert set(re.findall(r'href="#([^"]+)"', svg)) <= ids
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= ids


def test_colours_are_the_pages_variables() -> None:
    svg = curve()
    assert not re.findall(r"#[0-9a-fA-F]{6}", svg)
    for name in ("--c0", "--c1", "--c2", "--ink", "--muted", "--rule"):
        assert f"var({name})" in svg or name == "--ink"


@pytest.mark.parametrize("count", [1, 2, 12, 60])
def test_scatter_of_any_size(count: int) -> None:
    rng = np.random.default_rng(count)
    x, y = rng.random((2, count))
    y[0] = np.nan
    names = [f"class {i}" for i in range(count)]
    svg = figures.scatter(x, y, names, run=9, x_label="x", y_label="y", name="s", label="s")
    ElementTree.fromstring(svg)
    assert "class 0" not in svg
    assert svg.count("class ") <= max(count - 1, 1) if count <= 16 else svg.count("class ") <= 8


def test_names_are_text_not_formulas_nor_markup() -> None:
    names = ["Cash $x_{1$ register", "<b>&", "太鼓"]
    x = np.array([0.0, 1.0, 2.0])
    svg = figures.scatter(x, x, names, run=0, x_label="x", y_label="y", name="s", label="s")
    text = "".join(ElementTree.fromstring(svg).itertext())
    assert all(name in text for name in names)


def test_trade_off_names_every_run() -> None:
    points = [Point(i, f"run{i}", i, 0.1 * i, 0.1 * i - 0.02, 0.1 * i + 0.02) for i in range(3)]
    svg = figures.trade_off(points, x_label="x", y_label="y", name="t", label="t")
    assert all(f"run{i}" in svg for i in range(3))


def luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(("palette", "paper"), [(theme.LIGHT, "#ffffff"), (theme.DARK, "#15181d")])
def test_every_colour_stands_out_from_the_page(palette: tuple[str, ...], paper: str) -> None:
    """WCAG asks 3:1 of graphics."""
    for colour in palette:
        low, high = sorted((luminance(colour), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= 3
