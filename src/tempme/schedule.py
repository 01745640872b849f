"""How many tokens every block sees: plain integers, no tensors (paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from tempme.errors import BadSetting

MAX_DEFAULT_FRAMES = 128  # the widest video that `default_joins` was looked at for


class Dots(NamedTuple):
    """Dot products that a block spends on a video to decide which tokens leave."""

    tokens: int = 0  # as wide as the model
    keys: int = 0  # as wide as one head
    scalars: int = 0  # of one number
    before: int = 0  # as wide as the model, before attention: spent even where few are served


class View(NamedTuple):
    """Frames that keep apart although their tokens are one clip: each looks at its places."""

    frames: int  # of a clip
    places: int  # of a frame, each of which shows a token, or nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one block does to the token count of a clip."""

    clips: int  # clips of a video after the join
    join: int = 1  # neighbouring clips concatenated before attention
    cross: int = 0  # tokens merged before attention
    attended: int  # tokens of a clip in attention
    intra: int = 0  # tokens that leave between attention and the MLP
    protected: int = 1  # leading tokens of a clip that nothing removes
    pruned: int = 0  # tokens dropped, or fused into one, between attention and the MLP
    after: int = 0  # tokens dropped after the MLP
    backward: bool = False  # whether that walks through the frames from the last to the first
    merged_clips: int = 0  # clips that merge into others between attention and the MLP
    joined_inside: bool = False  # whether a tuning's layer joins, so that nothing around it does
    unseen: int = 0  # tokens of a clip dropped before attention
    view: View | None = None  # how its frames look at a clip; None: every token looks at all
    opens: int = 0  # frames of a clip that see each other from this block on
    margin: float = 0.0  # cosine above which tokens count as alike, for rules that sum them up
    dots: Dots | None = None  # what deciding costs; None: bipartite matching of the tokens merged
    serves: int | None = (
        None  # tokens of a clip that the last block serves; None: all, as others do
    )

    @property
    def fed(self) -> int:
        """Tokens of a clip in the MLP."""
        return self.attended - self.intra

    @property
    def asking(self) -> int:
        """Tokens of a clip whose queries are made; keys and values are made of all `attended`."""
        return self.attended if self.serves is None else self.serves

    @property
    def looks(self) -> int:
        """Queries of a clip that meet a key, as they are computed."""
        if self.view is None:
            return self.asking * self.attended
        return self._queries * self.view.places

    @property
    def meeting(self) -> int:
        """Queries of a clip that would meet a prompt beside its tokens."""
        return self.asking if self.view is None else self._queries

    @property
    def apart(self) -> int:
        """Frames of a clip that each look at their own places alone; 0 where all tokens meet."""
        return 0 if self.view is None else self.view.frames

    @property
    def _queries(self) -> int:
        """Where frames look by themselves every place of theirs asks, whether it is read or not."""
        assert self.view is not None
        if self.serves is not None and self.serves <= self.protected:
            return self.serves
        return self.view.frames * self.view.places

    @property
    def through_mlp(self) -> int:
        """Tokens of a clip that the MLP is run for; where few are served, none leaves before."""
        return self.fed if self.serves is None else self.serves

    @property
    def tokens_out(self) -> int:
        """Tokens of a clip after the block."""
        return self.fed - self.after

    @property
    def merged(self) -> int:
        """Tokens of a clip that merge between attention and the MLP."""
        return max(0, self.intra - self.pruned)

    @property
    def fused(self) -> int:
        """Tokens of a clip that the pruned ones become."""
        return max(0, self.pruned - self.intra)

    @property
    def clips_out(self) -> int:
        """Clips of a video after the block."""
        return self.clips - self.merged_clips


def schedule(
    *,
    tokens: int,
    frames: int,
    depth: int,
    protected: int = 1,
    r: int = 0,
    joins: Mapping[int, int] | None = None,
    keep_cross: float = 1.0,
    keep_intra: float = 1.0,
) -> tuple[Step, ...]:
    """The progressive plan of one encoder, a Step per block.

    Blocks before the first join merge `r` tokens in every frame. A block in `joins` concatenates
    that many clips (1 leaves them apart) and keeps `keep_cross` of the tokens before attention;
    from there on every block keeps `keep_intra` after attention. At most half of the free tokens
    find a partner; the `protected` ones of a frame (its class token, where it has one) never do.
    """
    joins = dict(joins or {})
    check_joins(joins, frames=frames, depth=depth)
    first_join = min(joins, default=depth)
    n, clips = tokens, frames
    steps = []
    for block in range(depth):
        k = joins.get(block, 1)
        n, protected, clips = n * k, protected * k, clips // k
        cross = _share(n, 1 - keep_cross, n - protected) if block in joins else 0
        attended = n - cross
        free = attended - protected
        intra = min(r, free // 2) if block < first_join else _share(attended, 1 - keep_intra, free)
        n = attended - intra
        steps.append(
            Step(
                clips=clips,
                join=k,
                cross=cross,
                attended=attended,
                intra=intra,
                protected=protected,
            )
        )
    return tuple(steps)


def check_joins(joins: Mapping[int, int], *, frames: int, depth: int) -> None:
    """Raise BadSetting unless the joins fit into the depth and divide the frames."""
    if frames < 1:
        raise BadSetting(f"frames is {frames}; a video has at least 1")
    outside = [block for block in joins if not 0 <= block < depth]
    if outside:
        raise BadSetting(f"joins name block {outside[0]}, but the blocks are 0 to {depth - 1}")
    if any(k < 1 for k in joins.values()):
        raise BadSetting(f"joins are {dict(joins)}; every join takes 1 clip or more")
    whole = prod(joins.values())
    if frames % whole:
        near = range(whole, frames + whole + 1, whole)[-2:]
        raise BadSetting(
            f"{frames} frames cannot be joined by {'-'.join(map(str, joins.values()))}: use a "
            f"multiple of {whole}, such as {' or '.join(map(str, near))}, or other joins "
            f"(schedule.default_joins({frames}, depth={depth}) has a plan)"
        )


def default_joins(frames: int, *, depth: int = 12, halves: bool = False) -> dict[int, int]:
    """A plan that ends in one clip, for any number of frames: 12 is 2-2-3, 64 is 4-4-4.

    The frames are split into at most three factors, as equal as they go, the largest last, on
    the last blocks but one (8, 9, 10 of 12). A prime number of frames is joined at once. Blocks
    that would join one clip are left out. With `halves` the last join is of two clips, where the
    frames are even and there is more than one block for them: 12 is 2-3-2.
    """
    if frames < 1:
        raise BadSetting(f"frames is {frames}; a video has at least 1")
    last = max(depth - 2, 0)
    blocks = [block for block in (last - 2, last - 1, last) if block >= 0]
    if halves and frames % 2 == 0 and frames > 2 and len(blocks) > 1:
        wanted = (*_factors(frames // 2, len(blocks) - 1), 2)
    else:
        wanted = _factors(frames, len(blocks))
    factors = [k for k in wanted if k > 1]
    return dict(zip(blocks[len(blocks) - len(factors) :], factors, strict=True))


def stages(depth: int, parts: int) -> tuple[int, ...]:
    """The blocks that begin each of `parts` equal parts of the depth: 0, 3, 6, 9 are 4 of 12."""
    return tuple(sorted({depth * part // parts for part in range(parts)}))


def check_blocks(name: str, blocks: Iterable[int], depth: int) -> None:
    """Raise BadSetting unless the blocks that the setting `name` lists exist."""
    outside = [block for block in blocks if not 0 <= block < depth]
    if outside:
        raise BadSetting(f"{name} has block {outside[0]}, but the blocks are 0 to {depth - 1}")


def total_tokens(plan: tuple[Step, ...]) -> int:
    """Tokens of a whole video after the last block (Table 1)."""
    return plan[-1].clips_out * plan[-1].tokens_out


def _factors(frames: int, parts: int) -> tuple[int, ...]:
    """`parts` ascending factors of `frames` with the smallest sum."""
    if parts == 1:
        return (frames,)
    ways = ((k, *_factors(frames // k, parts - 1)) for k in range(1, frames + 1) if frames % k == 0)
    return min((tuple(sorted(way)) for way in ways), key=lambda way: (sum(way), way))


def _share(tokens: int, fraction: float, free: int) -> int:
    """A share of the tokens, at most half of the free ones; rounding hides 1 - 0.7 != 0.3."""
    return min(free // 2, int(tokens * round(fraction, 6)))
