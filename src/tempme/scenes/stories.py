"""What can happen in a scene: a table of plots, each with its tracks and its words.

Every temporal plot has words for both directions, because its twin plays the same frames
backwards. In templates `{a}` is colour and shape, `{A}` adds size and texture, `{at}` says the
background. A plot's deeds are what its captions claim: a caption of one scene fits another
scene if its deeds are among the other's, and `scenes` never lets that happen.
"""

from __future__ import annotations

from tempme.scenes import stages
from tempme.scenes.lively.stories import LIVELY
from tempme.scenes.plot import Plot

PLOTS: dict[str, dict[str, Plot]] = {
    "static": {
        "beside": Plot(
            "any",
            stages.beside,
            ("beside",),
            (
                "a {A} to the left of a {B} {at}",
                "a {b} to the right of a {a} {at}",
                "{at}, a {A} is left of a {b}",
                "there is a {B} right of a {A} {at}",
                "a {a} on the left and a {b} on the right {at}",
            ),
        ),
        "above": Plot(
            "any",
            stages.above,
            ("above",),
            (
                "a {A} above a {B} {at}",
                "a {b} below a {a} {at}",
                "{at}, a {A} is above a {b}",
                "there is a {B} below a {A} {at}",
                "a {a} at the top and a {b} at the bottom {at}",
            ),
        ),
    },
    "temporal": {
        "cross": Plot(
            "",
            stages.travel(False, 0.16, 0.84),
            ("moves",),
            (
                "a {a} moves from left to right {at}",
                "a {A} goes from the left side to the right side {at}",
                "{at}, a {a} starts on the left and ends on the right",
                "the {a} crosses to the right {at}",
            ),
            (
                "a {a} moves from right to left {at}",
                "a {A} goes from the right side to the left side {at}",
                "{at}, a {a} starts on the right and ends on the left",
                "the {a} crosses to the left {at}",
            ),
        ),
        "rise": Plot(
            "",
            stages.travel(True, 0.84, 0.16),
            ("moves",),
            (
                "a {a} rises from the bottom to the top {at}",
                "a {A} goes up {at}",
                "{at}, a {a} starts at the bottom and ends at the top",
                "the {a} climbs up {at}",
            ),
            (
                "a {a} falls from the top to the bottom {at}",
                "a {A} goes down {at}",
                "{at}, a {a} starts at the top and ends at the bottom",
                "the {a} drops down {at}",
            ),
        ),
        "sway": Plot(
            "",
            stages.travel(False, 0.5, 0.16, 0.5, 0.84, 0.5),
            ("moves",),
            (
                "a {a} first goes left, then right {at}",
                "a {A} visits the left side and after that the right side {at}",
                "{at}, a {a} moves to the left before it moves to the right",
                "from the middle the {a} goes first to the left {at}",
            ),
            (
                "a {a} first goes right, then left {at}",
                "a {A} visits the right side and after that the left side {at}",
                "{at}, a {a} moves to the right before it moves to the left",
                "from the middle the {a} goes first to the right {at}",
            ),
        ),
        "grow": Plot(
            "",
            stages.grow,
            ("grows",),
            (
                "a {a} grows {at}",
                "a {A} gets larger and larger {at}",
                "{at}, a small {a} becomes large",
                "the {a} is small at first and large at the end {at}",
            ),
            (
                "a {a} shrinks {at}",
                "a {A} gets smaller and smaller {at}",
                "{at}, a large {a} becomes small",
                "the {a} is large at first and small at the end {at}",
            ),
        ),
        "grow-and-turn": Plot(
            "",
            stages.grow_and_turn,
            ("grows", "turns"),
            (
                "a {a} grows before it turns {at}",
                "a {A} first grows, then turns {at}",
                "{at}, a {a} turns after it has grown",
                "the {a} gets larger and then turns {at}",
            ),
            (
                "a {a} turns before it shrinks {at}",
                "a {A} first turns, then shrinks {at}",
                "{at}, a {a} shrinks after it has turned",
                "the {a} turns and then gets smaller {at}",
            ),
        ),
        "appear": Plot(
            "",
            stages.appear,
            ("appears",),
            (
                "a {a} appears {at}",
                "a {A} shows up {at}",
                "{at} there is nothing, then a {a} appears",
                "the {a} is missing at first and there at the end {at}",
            ),
            (
                "a {a} disappears {at}",
                "a {A} vanishes {at}",
                "{at} there is a {a}, then nothing",
                "the {a} is there at first and missing at the end {at}",
            ),
        ),
        "multiply": Plot(
            "",
            stages.multiply,
            ("appears",),
            (
                "one {a} becomes three {at}",
                "first one {A}, then two, then three {at}",
                "{at}, the number of {a_many} goes from one to three",
                "more and more {a_many} {at}",
            ),
            (
                "three {a_many} become one {at}",
                "first three, then two, then one {A} {at}",
                "{at}, the number of {a_many} goes from three to one",
                "fewer and fewer {a_many} {at}",
            ),
        ),
        "recolour": Plot(
            "colour",
            stages.become,
            ("appears", "appears"),
            (
                "a {a_shape} changes from {a_colour} to {b_colour} {at}",
                "a {a} becomes {b_colour} {at}",
                "{at}, a {a_shape} is first {a_colour}, then {b_colour}",
                "the {a_shape} is {a_colour} before it is {b_colour} {at}",
            ),
            (
                "a {a_shape} changes from {b_colour} to {a_colour} {at}",
                "a {b} becomes {a_colour} {at}",
                "{at}, a {a_shape} is first {b_colour}, then {a_colour}",
                "the {a_shape} is {b_colour} before it is {a_colour} {at}",
            ),
        ),
        "reshape": Plot(
            "shape",
            stages.become,
            ("appears", "appears"),
            (
                "a {a} changes into a {b} {at}",
                "a {a} becomes a {b_shape} {at}",
                "{at}, there is first a {a}, then a {b}",
                "the {a} turns into a {b_shape} {at}",
            ),
            (
                "a {b} changes into a {a} {at}",
                "a {b} becomes a {a_shape} {at}",
                "{at}, there is first a {b}, then a {a}",
                "the {b} turns into a {a_shape} {at}",
            ),
        ),
        "hit": Plot(
            "any",
            stages.hit,
            ("moves", "moves"),
            (
                "a {a} hits a {b} {at}",
                "a {A} pushes a {B} away {at}",
                "{at}, a {b} is hit by a {a}",
                "the {a} moves first and knocks the {b} away {at}",
            ),
            (
                "a {b} hits a {a} {at}",
                "a {B} pushes a {A} away {at}",
                "{at}, a {a} is hit by a {b}",
                "the {b} moves first and knocks the {a} away {at}",
            ),
        ),
        "approach": Plot(
            "any",
            stages.approach,
            ("moves",),
            (
                "a {a} moves toward a {b} {at}",
                "a {A} comes closer to a {B} {at}",
                "{at}, a {a} goes up to a {b}",
                "the {a} is far from the {b} at first and near at the end {at}",
            ),
            (
                "a {a} moves away from a {b} {at}",
                "a {A} leaves a {B} {at}",
                "{at}, a {a} goes away from a {b}",
                "the {a} is near the {b} at first and far at the end {at}",
            ),
        ),
        "arrive": Plot(
            "any",
            stages.arrive,
            ("appears", "appears"),
            (
                "a {a} appears, then a {b} appears {at}",
                "first a {A} shows up, then a {B} {at}",
                "{at}, a {b} appears after a {a}",
                "the {a} appears before the {b} {at}",
            ),
            (
                "a {b} disappears, then a {a} disappears {at}",
                "first a {B} vanishes, then a {A} {at}",
                "{at}, a {a} disappears after a {b}",
                "the {b} disappears before the {a} {at}",
            ),
        ),
        "in-turn": Plot(
            "any",
            stages.in_turn,
            (),
            (
                "a {a} {x}, then a {b} {y} {at}",
                "first a {A} {x}, then a {B} {y} {at}",
                "{at}, a {b} {y} after a {a} {x}",
                "the {a} {x} before the {b} {y} {at}",
            ),
            (
                "a {b} {y}, then a {a} {x} {at}",
                "first a {B} {y}, then a {A} {x} {at}",
                "{at}, a {a} {x} after a {b} {y}",
                "the {b} {y} before the {a} {x} {at}",
            ),
            num_verbs=2,
        ),
    },
    "lively": LIVELY,
}
