"""The classes by their AudioSet display names, in the order of class_labels_indices.csv."""

from mmlib.sources.events.kinds import (
    acoustic_guitar,
    applause,
    bird,
    bouncing,
    church_bell,
    fireworks,
    helicopter,
    rain,
    siren,
    telephone,
    tick_tock,
    train,
)

EVENTS = {
    "Applause": applause.KIND,
    "Bird": bird.KIND,
    "Acoustic guitar": acoustic_guitar.KIND,
    "Church bell": church_bell.KIND,
    "Rain": rain.KIND,
    "Train": train.KIND,
    "Helicopter": helicopter.KIND,
    "Telephone": telephone.KIND,
    "Siren": siren.KIND,
    "Tick-tock": tick_tock.KIND,
    "Fireworks": fireworks.KIND,
    "Bouncing": bouncing.KIND,
}

CLASSES = tuple(EVENTS)
