"""Tunings on frames without a class token: what reads it is refused with the reason."""

from __future__ import annotations

import pytest

from tempme.compression import Keep, ToMe
from tempme.errors import BadSetting
from tempme.tuning import RAP, TUNINGS, MVAdapter, Tuning, VoP

READING = {
    "mv-adapter": MVAdapter(),
    "contextual vop": VoP(contextual=4),
    "rap": RAP(),
}
WORKING = {name: made() for name, made in TUNINGS.items() if name not in READING} | {
    "rap without looking around": RAP(warped=0),
    "vop of places": VoP(positional=4),
    "joint vop": VoP(joint=4),
}
PLAN = Keep().plan(tokens=49, frames=4, depth=12, protected=0)


@pytest.mark.parametrize("tuning", READING.values(), ids=READING)
def test_what_reads_the_class_token_is_refused(tuning: Tuning) -> None:
    with pytest.raises(BadSetting, match=f"{type(tuning).__name__} needs .*have no class token: "):
        tuning.plan(PLAN)
    led = Keep().plan(tokens=50, frames=4, depth=12)
    assert tuning.plan(led) == led


@pytest.mark.parametrize("tuning", WORKING.values(), ids=WORKING)
def test_others_leave_no_token_protected(tuning: Tuning) -> None:
    assert all(step.protected == 0 for step in tuning.plan(PLAN))


def test_joint_blocks_protect_what_all_frames_did() -> None:
    for protected in (0, 1, 2):
        plan = ToMe(2).plan(tokens=50, frames=4, depth=6, protected=protected)
        *_, last = VoP(joint=2).plan(plan)
        assert (last.clips, last.protected) == (1, 4 * protected)
        assert last.tokens_out == 4 * plan[-1].tokens_out
