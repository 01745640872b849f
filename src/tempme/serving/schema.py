"""What goes over the wire. Hits have the names that they have in Python and in `--json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tempme.index.moments import Confidence

VideoId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="Names a content.")]
MomentId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}-\d{1,12}-\d{1,12}$")]
Weight = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=2000)]
Path = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
Time = Annotated[float, Field(ge=-1e11, le=1e11, allow_inf_nan=False)]


class Strict(BaseModel):
    """A request: a name that is not known is an error, not silence."""

    model_config = ConfigDict(extra="forbid")


class QueryPart(Strict):
    """One thing that a search is about; exactly one of text, moment and upload.

    A weight below 0 means "not this".
    """

    text: Text | None = None
    moment: MomentId | None = None
    upload: str | None = Field(
        default=None,
        max_length=64,
        description='The id of an earlier upload, or "file" for the one that comes along.',
    )
    weight: Weight = 1.0


class Filters(Strict):
    """Which videos are looked at. Times are seconds since 1970, UTC, of the file's last change."""

    folder: Path | None = None
    video_ids: list[VideoId] | None = Field(default=None, max_length=10_000)
    min_duration_seconds: Seconds | None = None
    max_duration_seconds: Seconds | None = None
    changed_after: Time | None = None
    changed_before: Time | None = None
    min_resolution: int | None = Field(
        default=None, ge=0, le=100_000, description="Of the shorter side, in pixels."
    )
    max_resolution: int | None = Field(default=None, ge=0, le=100_000)


class SearchRequest(Strict):
    """What to look for: `query` for words alone, `parts` for anything else or for several."""

    query: Text | None = None
    parts: list[QueryPart] = Field(default_factory=list, max_length=16)
    k: int = Field(default=20, ge=1, le=200)
    group_by: Literal["video", "moment"] = "video"
    filters: Filters = Filters()
    min_score: float | None = Field(default=None, ge=-1, le=1, allow_inf_nan=False)
    min_confidence: Confidence = "none"
    page_token: str | None = Field(default=None, max_length=200)


class MomentOut(BaseModel):
    """A span of a video, and how well it fits."""

    moment_id: str
    start_seconds: float
    end_seconds: float
    score: float
    confidence: Confidence


class HitOut(MomentOut):
    """One answer. With `group_by` video, `moments` are its best distinct ones, the best first."""

    path: str
    paths: list[str] = Field(description="All files with this content, `path` the first.")
    video_id: str
    name: str
    duration_seconds: float
    width: int
    height: int
    moments: list[MomentOut] = Field(default_factory=list)


class UploadOut(BaseModel):
    """A file that was searched by; its id may be used in `parts` while the service keeps it."""

    id: str
    kind: Literal["picture", "video"]


class SearchAnswer(BaseModel):
    """Hits, best first. `confidence` is that of the best: "none" says that nothing matches well."""

    hits: list[HitOut]
    confidence: Confidence
    num_videos: int = Field(description="Videos that the filters left to look at.")
    note: str = Field(default="", description="What of the query the model does not read.")
    upload: UploadOut | None = None
    next_page_token: str | None = None
    seconds: float


class VideoOut(BaseModel):
    """A file that the index knows. A failed one has a reason; one that is ok may have a note.

    "interrupted" says that it could not be read by no fault of its own, "damaged" that the index
    has lost it; the next run tries both again.
    """

    path: str
    name: str
    video_id: str
    status: Literal["ok", "failed", "interrupted", "damaged"]
    reason: str
    duration_seconds: float
    width: int
    height: int
    codec: str
    size_bytes: int
    changed: float = Field(description="Last change of the file, seconds since 1970, UTC.")
    num_moments: int
    thumbnail: str | None = Field(description="Address of a picture of it.")


class VideoPage(BaseModel):
    """A page of videos, ordered by path."""

    videos: list[VideoOut]
    total: int
    next_page_token: str | None = None


class VideoDetail(BaseModel):
    """A content, and all files that have it."""

    video: VideoOut
    paths: list[str]


class Span(BaseModel):
    """A moment without a score."""

    moment_id: str
    start_seconds: float
    end_seconds: float


class MomentsOut(BaseModel):
    """All moments of a video in order of time."""

    video_id: str
    duration_seconds: float
    moments: list[Span]


class Similarity(BaseModel):
    """How well each moment of a video fits, in order of time; `best` are the best distinct ones."""

    video_id: str
    duration_seconds: float
    moments: list[MomentOut]
    best: list[MomentOut] = Field(description="The best first; none shows the same as another.")


class Count(BaseModel):
    """How many videos a filter leaves."""

    label: str
    count: int
    filters: dict[str, Any]


class Facets(BaseModel):
    """Filters with counts."""

    total: int
    folders: list[Count]
    durations: list[Count]
    resolutions: list[Count]
    dates: list[Count]


class IndexRequest(Strict):
    """Folders or files to index; without any, all allowed folders."""

    paths: list[Path] = Field(default_factory=list, max_length=1000)
    prune: bool = Field(default=False, description="Remove videos whose files are gone.")
    retry_failed: bool = Field(default=False, description="Try failed files again.")


class JobProgress(BaseModel):
    """Where a job stands; as in Python."""

    total: int
    done: int
    total_bytes: int
    done_bytes: int
    new: int
    failed: int
    seconds: float
    videos_per_second: float
    eta_seconds: float | None
    bottleneck: str
    path: str | None


class JobOut(BaseModel):
    """A run of indexing."""

    id: str
    state: Literal["waiting", "running", "paused", "done", "failed", "cancelled"]
    paths: list[str]
    progress: JobProgress | None = None
    report: dict[str, Any] | None = Field(
        default=None, description="As `tempme index --json` prints it."
    )
    error: str = ""


class JobsOut(BaseModel):
    """All jobs since the service began, newest first."""

    jobs: list[JobOut]


class FailedOut(BaseModel):
    """A file that could not be read, that the index has lost, or that was read in part."""

    path: str
    status: Literal["ok", "failed", "interrupted", "damaged"]
    reason: str


class StatusOut(BaseModel):
    """What the index holds, what its model costs, and what the service allows."""

    path: str
    version: str
    model: str
    origin: str
    fingerprint: str
    frames: int
    every_seconds: float
    num_videos: int
    num_failed: int
    num_moments: int
    duration_seconds: float
    size_bytes: int
    codecs: dict[str, int]
    num_damaged: int = Field(description="Files that the index has lost; no search finds them.")
    failed: list[FailedOut]
    damaged: list[FailedOut]
    notes: list[FailedOut]
    gflops: float | None = Field(
        default=None, description="Multiply-adds for one window of frames, in thousand millions."
    )
    roots: list[str]
    levels: dict[str, float] = Field(
        description="False-positive rate of each confidence: of queries without a match, how many "
        "get a hit at least as sure."
    )
    watching: bool
    is_indexing: bool


class Ready(BaseModel):
    """Whether searches are answered."""

    ready: bool


class ProblemOut(BaseModel):
    """RFC 9457: what went wrong, and what to do."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[dict[str, str]] | None = None
