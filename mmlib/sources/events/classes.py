"""The classes: a row of values each, by AudioSet display name, in that list's order.

No class holds another in AudioSet's ontology, so that a clip's labels say all that it holds.
"""

from mmlib.sources.events.kind import Kind
from mmlib.sources.events.kinds import bells, bursts, sirens
from mmlib.sources.events.kinds.alarms import AlarmClock, Detector, Telephone
from mmlib.sources.events.kinds.birds import Crow, Duck, Owl, Songbird
from mmlib.sources.events.kinds.engines import Aeroplane, Fan, Helicopter, Motorcycle
from mmlib.sources.events.kinds.falls import Ball, Coin, Drop
from mmlib.sources.events.kinds.hands import AUDIENCE, Hands
from mmlib.sources.events.kinds.mechanisms import Hammer, PendulumClock, SewingMachine
from mmlib.sources.events.kinds.rails import Locomotive, Subway
from mmlib.sources.events.kinds.strings import Bowed, Harp, Lute
from mmlib.sources.events.kinds.waters import Rain, Surf, Waterfall

# fmt: off
# A table: a few lines a row, where the formatter would spend one a value.
EVENTS: dict[str, Kind] = {
    "Clapping": Hands(
        interval_s=(0.4, 0.7), pitch_hz=(700, 1500), fall_s=0.02, hue=0.06, jitter=0.05
    ),
    "Applause": Hands(
        interval_s=(0.2, 0.32), pitch_hz=(1100, 2200), hue=0.79, jitter=0.1,
        pairs=AUDIENCE, crowd_hz=70,
    ),
    "Cowbell": bells.SwingingBell(
        interval_s=(0.26, 0.42), pitch_hz=(480, 800), hue=0.55, light=(0.55, 0.8), jitter=0.2,
        partials=bells.COW, fall_s=0.12, beam=False, swing=0.35, dome=0.03, top=0.42, flare=0.2,
        curve=1.0,
    ),
    "Duck": Duck(
        interval_s=(0.26, 0.4), pitch_hz=(170, 260), hue=0.12, saturation=(0.1, 0.5), speed=0.15,
        length_s=(0.12, 0.2), slope=(-0.2, 0.0), hoarse=0.02,
        gains=(0.3, 0.3, 0.5, 0.7, 1.0, 1.0, 0.8, 0.5, 0.3, 0.2),
    ),
    "Chirp, tweet": Songbird(
        interval_s=(0.22, 0.4), duration_s=(1.0, 2.6), pitch_hz=(2200, 5200), hue=0.23,
        jitter=0.15, speed=0.3, length_s=(0.09, 0.18), slope=(-0.35, 0.35), trill=(0.0, 0.12),
        gains=(1.0, 0.15),
    ),
    "Crow": Crow(
        interval_s=(0.5, 0.8), pitch_hz=(420, 650), light=(0.03, 0.1), jitter=0.2,
        length_s=(0.25, 0.38), slope=(-0.3, -0.1), hoarse=0.12,
        gains=(0.5, 0.9, 1.0, 0.8, 0.5, 0.3),
    ),
    "Owl": Owl(
        interval_s=(0.8, 1.2), pitch_hz=(300, 480), hue=0.09, saturation=(0.3, 0.6),
        light=(0.45, 0.7), jitter=0.1, length_s=(0.2, 0.28), slope=(-0.1, 0.02),
        gains=(1.0, 0.1), notes=(0.0, 1.3),
    ),
    "Acoustic guitar": Lute(
        interval_s=(0.35, 0.8), duration_s=(1.2, 2.6), pitch_hz=(90, 220), hue=0.08, jitter=0.4,
        tilt=0.6, ring=0.996, bouts=((0.5, 0.52), (-0.02, 0.38)), neck=0.085, hole=(0.2, 0.2),
    ),
    "Banjo": Lute(
        interval_s=(0.13, 0.22), pitch_hz=(260, 460), hue=0.02, jitter=0.1, tilt=0.6, ring=0.975,
        bouts=((0.45, 0.56),), neck=0.07, hole=(0.45, 0.45), hole_colour=(1.0, 1.0, 0.95),
    ),
    "Gong": bells.HungPlate(
        interval_s=(0.9, 1.4), pitch_hz=(75, 140), hue=0.12, partials=bells.PLATE, fall_s=1.5
    ),
    "Violin, fiddle": Bowed(
        interval_s=(0.4, 0.7), pitch_hz=(300, 620), hue=0.05, light=(0.5, 0.75), jitter=0.2,
        tilt=0.3, bouts=((0.55, 0.42), (0.05, 0.34)),
    ),
    "Harp": Harp(
        interval_s=(0.8, 1.2), pitch_hz=(220, 420), hue=0.13, jitter=0.2, ring=0.998, run=7,
        apart_s=0.06, scale_steps=(0, 4, 7, 12, 16, 19, 24),
    ),
    "Church bell": bells.SwingingBell(
        interval_s=(0.5, 0.9), pitch_hz=(170, 480), hue=0.15, partials=bells.CHURCH, beam=True,
        swing=0.5, dome=0.25, top=0.36, flare=0.42, curve=3.0,
    ),
    "Bicycle bell": bells.HandlebarBell(
        interval_s=(0.7, 1.1), pitch_hz=(2100, 3200), hue=0.58, saturation=(0.1, 0.4),
        partials=bells.DOME, fall_s=0.35, strokes=5, strokes_hz=16.0,
    ),
    "Thunder": bursts.Lightning(
        interval_s=(1.2, 1.9), pitch_hz=(45, 80), saturation=(0.1, 0.4), light=(0.3, 0.5),
        jitter=0.3, thump_s=0.6, crack=0.25, crack_s=0.15, crack_hz=500, roll_s=0.02,
    ),
    "Rain": Rain(
        interval_s=(0.8, 2.0), pitch_hz=(2200, 4500), hue=0.52, jitter=0.3, tilt=0.05, scale=1.2,
        lull=0.35, octaves=1.2, drops_hz=90,
    ),
    "Waterfall": Waterfall(
        interval_s=(0.6, 1.2), pitch_hz=(500, 1000), hue=0.55, saturation=(0.3, 0.6), lull=0.9,
        octaves=2.2,
    ),
    "Waves, surf": Surf(
        interval_s=(0.9, 1.5), pitch_hz=(400, 900), hue=0.57, jitter=0.1, scale=1.1, lull=0.15,
        octaves=1.4,
    ),
    "Police car (siren)": sirens.Vehicle(
        interval_s=(0.22, 0.36), pitch_hz=(1100, 1700), hue=0.62, form=sirens.yelp,
        sweep=(1.8, 2.4), hull=((0.0, 0.25, 0.98, 0.25), (0.0, -0.15, 0.52, 0.25)),
        windows=((-0.24, -0.13, 0.2, 0.15), (0.24, -0.13, 0.2, 0.15)),
        marks=((0.0, 0.25, 0.4, 0.2),), mark_colour=(1.0, 1.0, 1.0), lamp=(0.0, -0.5),
    ),
    "Ambulance (siren)": sirens.Vehicle(
        interval_s=(0.7, 1.1), pitch_hz=(700, 1000), saturation=(0.0, 0.1), light=(0.9, 1.0),
        form=sirens.two_tone, sweep=(1.3, 1.45),
        hull=((0.2, -0.12, 0.75, 0.62), (-0.75, 0.2, 0.25, 0.3)),
        windows=((-0.76, 0.08, 0.17, 0.14),),
        marks=((0.25, -0.15, 0.42, 0.13), (0.25, -0.15, 0.13, 0.42)), lamp=(-0.35, -0.85),
        lights=(sirens.BLUE, sirens.BLUE),
    ),
    "Fire engine, fire truck (siren)": sirens.Vehicle(
        interval_s=(1.2, 2.0), pitch_hz=(800, 1300), hue=0.0, saturation=(0.9, 1.0),
        form=sirens.wail, sweep=(2.0, 2.8),
        hull=((0.25, 0.2, 0.75, 0.3), (-0.72, 0.05, 0.28, 0.45)),
        windows=((-0.75, -0.1, 0.2, 0.2), (0.4, 0.1, 0.5, 0.08)), wheels=(-0.65, 0.2, 0.7),
        lamp=(-0.72, -0.52), lights=(sirens.AMBER, sirens.AMBER), ladder=True,
    ),
    "Motorcycle": Motorcycle(
        interval_s=(0.6, 1.0), pitch_hz=(100, 180), hue=0.98, jitter=0.2, speed=0.2, throb=0.4,
        noise=0.3, hiss=0.15, tone=0.5, tone_gain=0.7, rev=1.2,
        gains=(0.6, 1.0, 0.8, 0.9, 0.6, 0.7, 0.4, 0.5, 0.3, 0.3),
    ),
    "Train": Locomotive(
        interval_s=(0.2, 0.45), pitch_hz=(350, 800), hue=0.94, growth=(0.95, 1.03), tilt=0.03,
        group=4, rise_s=0.025, fall_s=0.06,
    ),
    "Subway, metro, underground": Subway(
        interval_s=(0.45, 0.75), pitch_hz=(220, 380), hue=0.36, saturation=(0.2, 0.7),
        light=(0.5, 0.8), scale=1.1, speed=0.2, group=1, rise_s=0.002, fall_s=0.03, echo_s=0.13,
        whine=0.2, rumble=0.3,
    ),
    "Helicopter": Helicopter(
        interval_s=(0.12, 0.2), pitch_hz=(120, 420), hue=0.32, speed=0.15, throb=0.94, tone=15,
    ),
    "Fixed-wing aircraft, airplane": Aeroplane(
        interval_s=(0.7, 1.3), pitch_hz=(90, 160), saturation=(0.0, 0.2), speed=0.35, tilt=0.4,
        throb=0.45, noise=0.5, hiss=0.1, tone_gain=0.8, gains=(1.0, 0.9, 0.7, 0.5, 0.5, 0.3, 0.2),
    ),
    "Coin (dropping)": Coin(
        interval_s=(0.3, 0.5), duration_s=(1.2, 2.4), pitch_hz=(3000, 4600), hue=0.13,
        growth=(0.72, 0.88), slap=0.3,
        partials=((1.0, 1.0, 0.12), (1.48, 0.8, 0.09), (0.62, 0.5, 0.1)),
    ),
    "Telephone bell ringing": Telephone(
        interval_s=(0.5, 0.9), duration_s=(1.2, 2.8), pitch_hz=(650, 1500), hue=0.87, on=0.6,
        warble=0.26,
    ),
    "Alarm clock": AlarmClock(
        interval_s=(0.7, 1.0), pitch_hz=(1700, 2500), hue=0.45, on=0.6, pulses=4,
        gains=(1.0, 0.1, 0.4),
    ),
    "Civil defense siren": sirens.Horns(
        interval_s=(2.4, 3.6), pitch_hz=(420, 640), hue=0.17, form=sirens.wail, sweep=(1.5, 2.0),
        gains=(1.0, 0.8, 0.6, 0.5, 0.3),
    ),
    "Smoke detector, smoke alarm": Detector(
        interval_s=(0.55, 0.85), pitch_hz=(2900, 3500), saturation=(0.0, 0.1), on=0.55,
        gains=(1.0, 0.15),
    ),
    "Tick-tock": PendulumClock(
        interval_s=(0.22, 0.5), pitch_hz=(1500, 3200), hue=0.42, tilt=0.02, lower=(0.6, 0.8),
        partials=((1.0, 1.0, 0.009), (1.63, 0.7, 0.006), (2.3, 0.4, 0.004)),
    ),
    "Sewing machine": SewingMachine(
        interval_s=(0.11, 0.17), pitch_hz=(900, 1500), hue=0.75, light=(0.5, 0.8), knock=0.8,
        motor=0.04, partials=((1.0, 0.6, 0.006), (2.7, 0.4, 0.004)),
    ),
    "Mechanical fan": Fan(
        interval_s=(0.8, 1.3), pitch_hz=(260, 520), hue=0.5, saturation=(0.3, 0.6), throb=0.3,
        hiss=0.1, tone=0.4, tone_gain=0.25, gains=(1.0, 0.5),
    ),
    "Hammer": Hammer(
        interval_s=(0.45, 0.75), pitch_hz=(700, 1200), saturation=(0.0, 0.2), light=(0.5, 0.75),
        jitter=0.1, knock=1.5, partials=((1.0, 0.8, 0.03), (3.1, 0.8, 0.06), (4.7, 0.5, 0.05)),
    ),
    "Machine gun": bursts.MachineGun(
        interval_s=(0.09, 0.13), duration_s=(1.0, 2.4), pitch_hz=(90, 180), hue=0.28,
        saturation=(0.2, 0.5), light=(0.4, 0.7), thump_s=0.025, crack=1.2, crack_s=0.015,
    ),
    "Fireworks": bursts.Fireworks(
        interval_s=(0.55, 1.1), duration_s=(1.4, 2.6), pitch_hz=(55, 140), hue=0.7, jitter=0.4,
        scale=1.1, thump_s=0.13, crack=0.7, crack_s=0.035, crackle=0.35,
    ),
    "Burst, pop": bursts.Balloon(
        interval_s=(0.6, 1.0), pitch_hz=(350, 700), hue=0.9, jitter=0.3, thump_s=0.02, crack=1.0,
        crack_s=0.008, crack_hz=3000,
    ),
    "Drip": Drop(interval_s=(0.4, 0.8), pitch_hz=(700, 1400), hue=0.56, jitter=0.2),
    "Basketball bounce": Ball(
        interval_s=(0.3, 0.62), duration_s=(1.2, 2.8), pitch_hz=(70, 190), hue=0.06,
        growth=(0.8, 1.0), speed=0.12,
        partials=((1.0, 1.0, 0.05), (1.9, 0.5, 0.03), (3.1, 0.3, 0.015)),
    ),
}
# fmt: on

CLASSES = tuple(EVENTS)


def families() -> dict[str, list[str]]:
    """The classes by the module of `kinds` that draws them, both in the order of CLASSES."""
    found: dict[str, list[str]] = {}
    for name, kind in EVENTS.items():
        found.setdefault(type(kind).__module__.rpartition(".")[2], []).append(name)
    return found
