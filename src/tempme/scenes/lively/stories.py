"""What can happen in a lively scene, and its words: which of two alike, where, in what order.

Beside the words of `stories`, `{a_where}` is a quarter of the picture ("top left") and
`{a_side}` a side of it. What they claim is told by `casting.told`, so that `deeds` are empty.
"""

from __future__ import annotations

from tempme.scenes.lively import stages
from tempme.scenes.plot import Plot

LIVELY: dict[str, Plot] = {
    "where": Plot(
        "four",
        stages.stand,
        (),
        (
            "a {a} at the {a_where} and a {b} at the {b_where} {at}",
            "{at}, a {a} is at the {a_where} and a {b} at the {b_where}",
            "there is a {b} at the {b_where} and a {a} at the {a_where} {at}",
            "at the {a_where} a {A} and at the {b_where} a {B} {at}",
        ),
        exchanges="places",
    ),
    "which-place": Plot(
        "alike",
        stages.one_acts,
        (),
        (
            "of two {a_many} the one at the {a_where} {x} {at}",
            "two {a_many} {at}, and the one at the {a_where} {x}",
            "{at} the {a} at the {a_where} {x} and the one at the {b_where} is there",
            "one of two {a_many} {x} at the {a_where} {at}",
        ),
        num_verbs=1,
        exchanges="places",
    ),
    "which-texture": Plot(
        "texture",
        stages.one_acts,
        (),
        (
            "of two {a_many} the {a_texture} one {x} {at}",
            "two {a_many} {at}, and the {a_texture} one {x}",
            "{at} a {A} {x} and a {B} is there",
            "the {a_texture} one of two {a_many} {x} {at}",
        ),
        num_verbs=1,
        exchanges="textures",
    ),
    "one-by-one": Plot(
        "four",
        stages.one_by_one,
        (),
        (
            "first a {a} {x}, then a {b} {y}, then a {c} {z} {at}",
            "a {a} {x}, then a {b} {y} and after that a {c} {z} {at}",
            "{at}, a {a} {x} first and a {c} {z} after a {b} {y}",
            "the {a} {x} before the {b} {y} and the {c} {z} {at}",
        ),
        (
            "first a {c} {z}, then a {b} {y}, then a {a} {x} {at}",
            "a {c} {z}, then a {b} {y} and after that a {a} {x} {at}",
            "{at}, a {c} {z} first and a {a} {x} after a {b} {y}",
            "the {c} {z} before the {b} {y} and the {a} {x} {at}",
        ),
        num_verbs=3,
    ),
    "leave-and-come": Plot(
        "four",
        stages.leave_and_come,
        (),
        (
            "first a {a} leaves to the {a_side}, then a {b} comes from the {b_side} {at}",
            "a {a} leaves before a {b} comes {at}",
            "{at}, a {b} comes after a {a} leaves",
            "the {a} leaves to the {a_side} and then the {b} comes {at}",
        ),
        (
            "first a {b} leaves to the {b_side}, then a {a} comes from the {a_side} {at}",
            "a {b} leaves before a {a} comes {at}",
            "{at}, a {a} comes after a {b} leaves",
            "the {b} leaves to the {b_side} and then the {a} comes {at}",
        ),
    ),
}
