"""The classes' names are AudioSet's, and none of them holds another in its ontology."""

import csv
from pathlib import Path

import pytest

from mmlib.sources.events.classes import CLASSES, families

THINGS, NATURE = "Sounds of things", "Natural sounds"
MUSIC = ("Musical instrument", "Music")
VEHICLE = ("Vehicle", THINGS)
BIRD = ("Bird", "Wild animals", "Animal")
SIREN = ("Siren", "Alarm", "Emergency vehicle", "Motor vehicle (road)", *VEHICLE)

ANCESTORS: dict[str, tuple[str, ...]] = {
    "Clapping": ("Hands", "Human group actions", "Human sounds"),
    "Applause": ("Human group actions", "Human sounds"),
    "Cowbell": (
        *("Cattle, bovinae", "Livestock, farm animals, working animals", "Animal"),
        *("Percussion", *MUSIC, "Bell", THINGS),
    ),
    "Duck": ("Fowl", "Livestock, farm animals, working animals", "Animal"),
    "Chirp, tweet": (
        *("Bird vocalization, bird call, bird song", *BIRD),
        *("Brief tone", "Onomatopoeia", "Source-ambiguous sounds"),
    ),
    "Crow": BIRD,
    "Owl": BIRD,
    "Acoustic guitar": ("Guitar", "Plucked string instrument", *MUSIC),
    "Banjo": ("Plucked string instrument", *MUSIC),
    "Gong": ("Percussion", *MUSIC),
    "Violin, fiddle": ("Bowed string instrument", *MUSIC),
    "Harp": MUSIC,
    "Church bell": ("Bell", *MUSIC, THINGS),
    "Bicycle bell": (
        *("Bell", *MUSIC, "Bicycle", "Non-motorized land vehicle", *VEHICLE, "Alarm"),
    ),
    "Thunder": ("Thunderstorm", NATURE),
    "Rain": ("Water", NATURE),
    "Waterfall": ("Water", NATURE),
    "Waves, surf": ("Ocean", "Water", NATURE),
    "Police car (siren)": SIREN,
    "Ambulance (siren)": SIREN,
    "Fire engine, fire truck (siren)": SIREN,
    "Motorcycle": ("Motor vehicle (road)", *VEHICLE),
    "Train": ("Rail transport", *VEHICLE),
    "Subway, metro, underground": ("Rail transport", *VEHICLE),
    "Helicopter": ("Aircraft", *VEHICLE),
    "Fixed-wing aircraft, airplane": ("Aircraft", *VEHICLE),
    "Coin (dropping)": ("Domestic sounds, home sounds", THINGS),
    "Telephone bell ringing": ("Telephone", "Alarm", THINGS),
    "Alarm clock": ("Alarm", THINGS),
    "Civil defense siren": ("Siren", "Alarm", THINGS),
    "Smoke detector, smoke alarm": ("Alarm", THINGS),
    "Tick-tock": ("Clock", "Mechanisms", THINGS),
    "Sewing machine": ("Mechanisms", THINGS),
    "Mechanical fan": ("Mechanisms", THINGS),
    "Hammer": ("Tools", THINGS),
    "Machine gun": ("Gunshot, gunfire", "Explosion", THINGS),
    "Fireworks": ("Explosion", THINGS),
    "Burst, pop": ("Explosion", THINGS),
    "Drip": ("Liquid", THINGS),
    "Basketball bounce": ("Specific impact sounds", THINGS),
}
"""All that hold a class, by any path, in ontology.json of github.com/audioset/ontology."""


def names_of_audioset(shared_dir: Path) -> list[str]:
    path = shared_dir / "data" / "class_labels_indices.csv"
    if not path.is_file():
        pytest.fail(f"{path} is absent, though its folder is there")
    with path.open(encoding="utf-8", newline="") as stream:
        return [row["display_name"] for row in csv.DictReader(stream)]


def test_classes_are_names_of_audioset_in_its_order(shared_dir: Path) -> None:
    names = names_of_audioset(shared_dir)
    places = [names.index(name) for name in CLASSES]
    assert places == sorted(set(places))


def test_no_class_holds_another() -> None:
    assert tuple(ANCESTORS) == CLASSES
    for name, ancestors in ANCESTORS.items():
        assert not set(ancestors) & set(CLASSES), name


def test_families_share_out_the_classes() -> None:
    found = families()
    assert sorted(name for names in found.values() for name in names) == sorted(CLASSES)
    assert all(len(names) > 1 for names in found.values())
