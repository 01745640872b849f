"""Write the phrases that `tempme.index.confidence` holds queries against.

`general.txt` puts everyday subjects, deeds and places together; `scenes.txt` are captions of the
generated world, for models that read no other words. Both are functions of their seed.
"""

from __future__ import annotations

import random
from pathlib import Path

from tempme.index.confidence import BACKGROUND, PHRASES
from tempme.scenes import Part, random_scene

NUM = 1000
WHO = (
    "a man|a woman|a child|two children|a baby|an old man|a group of people|a crowd|a couple|a girl"
    "|a boy|three friends|a teacher|a chef|a doctor|a police officer|a farmer|a worker|a musician"
    "|a football team|a soldier|a nurse|a tourist|a dog|two dogs|a cat|a kitten|a horse|a cow"
    "|sheep|a bird|a flock of birds|ducks|a fish|a monkey|an elephant|a bear|a rabbit|a snake"
    "|a chicken|bees|a butterfly|somebody in a red coat|a person with a hat|a person in a mask"
)
DOES = (
    "walking|running|dancing|singing|sleeping|eating|drinking|laughing|crying|talking|reading"
    "|cooking|cleaning|painting|swimming|diving|jumping|climbing|riding a bicycle|driving a car"
    "|playing football|playing the guitar|playing the piano|playing with a ball|throwing something"
    "|opening a box|cutting vegetables|pouring water|washing dishes|building a tower|using a phone"
    "|typing on a computer|taking a picture|waving|hugging|fighting|falling down|standing still"
    "|sitting|looking around|carrying a bag|pushing a cart|digging|fishing|skiing|skating|surfing"
    "|doing a trick|giving a speech|blowing out candles|unwrapping a present|putting on shoes"
)
WHERE = (
    "in a kitchen|in a garden|in a park|on a street|on a beach|in the snow|in the rain|at night"
    "|in a forest|on a mountain|by a lake|in a river|under water|in a pool|in a classroom"
    "|in an office|in a shop|in a restaurant|in a gym|in a stadium|on a stage|at a wedding"
    "|at a birthday party|at a market|at an airport|at a station|on a train|in a car|on a boat"
    "|in a field|on a farm|in the desert|in a workshop|in a hospital|in a living room|in bed"
    "|on the stairs|on a roof|at sunset|in front of a house|in the fog|on a bridge"
)
THINGS = (
    "a car driving fast|a traffic jam|an airplane taking off|a train arriving|a ship at sea"
    "|a helicopter in the air|a rocket launch|a fire burning|an explosion|fireworks|a waterfall"
    "|waves breaking|clouds passing|lightning|a full moon|a rainbow|falling leaves|flowers opening"
    "|a cake being decorated|a pizza in an oven|coffee being made|a screen recording of software"
    "|a video game|a cartoon|text on a white background|a map|a chart|a logo turning|a news studio"
    "|an empty room|a city from above|a machine at work|a robot arm|a printer|a clock ticking"
    "|a door opening|a candle|a glass breaking|a wheel turning|a drone shot of a coast"
)
SAID = ("{}", "{}", "a video of {}", "{}, seen from afar", "a close-up of {}")


def general(seed: int) -> list[str]:
    """Distinct everyday phrases of two to about twelve words."""
    rng = random.Random(f"background/{seed}")
    who, does, where, things = (text.split("|") for text in (WHO, DOES, WHERE, THINGS))
    made: dict[str, None] = {}
    while len(made) < NUM:
        shape = rng.random()
        if shape < 0.15:
            phrase = rng.choice(things)
        elif shape < 0.3:
            phrase = f"{rng.choice(who)} {rng.choice(where)}"
        elif shape < 0.5:
            phrase = f"{rng.choice(who)} {rng.choice(does)}"
        elif shape < 0.6:
            phrase = f"{rng.choice(things)} {rng.choice(where)}"
        else:
            phrase = f"{rng.choice(who)} {rng.choice(does)} {rng.choice(where)}"
        made[rng.choice(SAID).format(phrase)] = None
    return list(made)


def of_scenes(seed: int) -> list[str]:
    """Distinct captions of the training split, half of them of things that happen in time."""
    rng = random.Random(f"background/{seed}")
    parts: tuple[Part, Part] = ("static", "temporal")
    made: dict[str, None] = {}
    while len(made) < NUM:
        scene = random_scene(rng, parts[len(made) % 2], "train")
        made[rng.choice(scene.captions)] = None
    return list(made)


def main() -> None:
    """Write both files."""
    for name, phrases in zip(PHRASES, (general(0), of_scenes(0)), strict=True):
        Path(BACKGROUND / name).write_text("\n".join(phrases) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
