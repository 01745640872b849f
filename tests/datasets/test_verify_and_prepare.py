from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from fault_files import FAULTS
from split_video import make_video
from tempme.datasets.places import locate
from tempme.datasets.prepare import EncodingJob, VideoEncoding, prepare, reencode
from tempme.datasets.verify import verify
from tempme.errors import BadDataset, BadSetting
from tempme.video import Failure, Frames, Reading, VideoInfo, load, probe


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    whole = make_video(folder / "whole.mp4")
    shutil.copy(whole, folder / "twin.mp4")
    make_video(folder / "a/tall.avi", width=64, height=320)
    make_video(folder / "b/tall.mp4", width=64, height=64)
    (folder / "text.mp4").write_text("no video at all")
    cut_among_frames(make_video(folder / "cut.avi", seconds=6.0))
    return folder


def cut_among_frames(path: Path) -> None:
    """Lose the second half of an AVI's frames and its index; headers weigh more than these."""
    content = path.read_bytes()
    first, last = content.index(b"movi"), content.rindex(b"idx1")
    path.write_bytes(content[: (first + last) // 2])


@pytest.mark.slow
def test_verify_says_what_is_there_and_what_is_not(videos: Path) -> None:
    names = ["whole", "twin", "tall", "text", "cut.avi", "gone", "whole"]
    seen: list[tuple[int, int]] = []
    found = verify(
        "made/test",
        names,
        videos,
        captions=["a", "b", "a"],
        workers=2,
        on_probed=lambda done, total: seen.append((done, total)),
    )
    assert set(found.paths) == {"whole", "twin", "tall", "cut.avi"}
    assert found.missing == ("gone",)
    assert set(found.undecodable) == {"text"}
    assert found.undecodable["text"]
    assert "truncated" in found.notes["cut.avi"]
    assert found.listed_twice == ("whole",)
    assert set(found.several_files) == {"tall"}
    assert found.same_content == (("whole", "twin"),)
    assert found.repeated_captions == 1
    assert found.num_listed == 6
    assert not found.is_complete
    assert seen == [(i, 5) for i in range(1, 6)]
    lines = found.lines()
    assert lines[0] == "made/test: N = 4 of 6 videos can be used"
    assert "  1 missing" in lines
    assert "    gone" in lines
    answer = json.loads(json.dumps(found.as_dict()))
    assert (answer["usable"], answer["listed"], answer["missing"]) == (4, 6, ["gone"])


def test_verify_shortens_long_lists_for_a_person(videos: Path) -> None:
    lines = verify("made/test", [f"gone{i}" for i in range(9)], videos).lines()
    assert lines[1] == "  9 missing"
    assert lines[-1] == "    and 4 more: --json lists all"


def frames_of(path: Path, times: list[float]) -> Frames:
    frames = load(path, Reading(size=32, sampling="exact"), seconds=times)
    assert isinstance(frames, Frames)
    return frames


@pytest.mark.slow
def test_prepare_keeps_time_shape_and_name(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    done = prepare(videos, out, recipe=VideoEncoding(fps=3, size=32), workers=2)
    assert (done.made, done.ready) == (5, 0)
    assert {path.name for path in done.failed} == {"text.mp4"}
    assert done.bytes_after < done.bytes_before
    json.dumps(done.as_dict())
    info = probe(out / "a/tall.mp4")
    assert isinstance(info, VideoInfo)
    assert (info.width, info.height, info.num_frames) == (32, 160, 6)
    assert info.fps == pytest.approx(3)
    assert info.duration_seconds == pytest.approx(2.0, abs=0.01)
    before, after = (frames_of(folder / "whole.mp4", [0.0, 1.0, 5 / 3]) for folder in (videos, out))
    assert np.abs(before.pixels.astype(int) - after.pixels).mean() < 4
    np.testing.assert_allclose(after.seconds, [0.0, 1.0, 5 / 3], atol=1e-6)
    # The names of the annotations still find their files.
    assert set(locate(["whole", "cut.avi", "a/tall.mp4"], out).paths) == {
        "whole",
        "cut.avi",
        "a/tall.mp4",
    }


@pytest.mark.slow
def test_prepare_goes_on_where_it_stopped(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    recipe = VideoEncoding(fps=2, size=16)
    prepare(videos, out, recipe=recipe, workers=1)
    kept = (out / "twin.mp4").stat().st_mtime_ns
    (out / "whole.mp4").unlink()
    (out / ".whole.mp4.part").write_bytes(b"a run that was killed")
    again = prepare(videos, out, recipe=recipe, workers=1)
    assert (again.made, again.ready, len(again.failed)) == (1, 4, 1)
    assert (out / "twin.mp4").stat().st_mtime_ns == kept
    assert not list(out.rglob("*.part"))
    with pytest.raises(BadSetting, match="choose another folder"):
        prepare(videos, out, recipe=VideoEncoding(fps=3, size=16))


def test_prepare_turns_frames_upright_and_never_enlarges(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in/v.mp4", width=96, height=64)
    turned = tmp_path / "in/turned.mp4"
    with av.open(str(source)) as old, av.open(str(turned), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.set_display_rotation(90)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert (
        reencode(EncodingJob(turned, tmp_path / "t.mp4"), recipe=VideoEncoding())
        == tmp_path / "t.mp4"
    )
    made = probe(tmp_path / "t.mp4")
    assert isinstance(made, VideoInfo)
    assert (made.width, made.height, made.rotation_degrees) == (64, 96, 0)
    before, after = (frames_of(path, [1.0]) for path in (turned, tmp_path / "t.mp4"))
    assert np.abs(before.pixels.astype(int) - after.pixels).mean() < 4
    # The bright half is now at one of the short ends, not at a side.
    top, bottom = after.pixels[0, :8].mean(), after.pixels[0, -8:].mean()
    assert abs(top - bottom) > 60


@pytest.mark.slow
def test_two_files_of_one_name_both_survive(tmp_path: Path) -> None:
    for name in ("v.avi", "v.mp4"):
        make_video(tmp_path / "in" / name, seconds=0.5)
    done = prepare(tmp_path / "in", tmp_path / "out", workers=1)
    assert done.made == 2
    assert set(locate(["v.avi", "v.mp4"], tmp_path / "out").paths) == {"v.avi", "v.mp4"}
    assert {path.name for path in (tmp_path / "out").glob("*.mp4")} == {"v.avi.mp4", "v.mp4.mp4"}


def test_a_file_without_video_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"")
    answer = reencode(EncodingJob(tmp_path / "x.mp4", tmp_path / "y/x.mp4"), recipe=VideoEncoding())
    assert isinstance(answer, Failure)
    assert answer.reason
    assert list((tmp_path / "y").iterdir()) == []


def test_prepare_refuses_what_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="not a folder"):
        prepare(tmp_path / "gone", tmp_path / "out")
    (tmp_path / "in").mkdir()
    with pytest.raises(BadDataset, match="holds no videos"):
        prepare(tmp_path / "in", tmp_path / "out")
    with pytest.raises(BadSetting, match="choose a folder outside"):
        prepare(tmp_path, tmp_path / "in")
    with pytest.raises(BadSetting, match="fps is 0"):
        VideoEncoding(fps=0)
    with pytest.raises(BadSetting, match="crf is 99"):
        VideoEncoding(crf=99)


@pytest.mark.parametrize("record", [b"", b"{", b"\xff"])
def test_a_damaged_record_of_how_copies_were_made(tmp_path: Path, record: bytes) -> None:
    make_video(tmp_path / "in/dog.avi", seconds=0.5)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "prepared.json").write_bytes(record)
    with pytest.raises(
        BadDataset, match=r"prepared\.json, which says how .* is damaged: remove it"
    ):
        prepare(tmp_path / "in", tmp_path / "out", workers=1)


@pytest.mark.parametrize("number", [1, 2])
def test_prepare_maps_hdr_as_indexing_does(tmp_path: Path, number: int) -> None:
    """What was taken for SDR came out pale, as another picture."""
    made = reencode(
        EncodingJob(FAULTS / f"pq{number}.mp4", tmp_path / "sdr.mp4"), recipe=VideoEncoding(fps=2)
    )
    assert made == tmp_path / "sdr.mp4"
    original, mapped = (
        frames_of(path, [0.5, 1.5]).pixels.astype(float)
        for path in (FAULTS / f"sdr{number}.mp4", made)
    )
    direct = frames_of(FAULTS / f"pq{number}.mp4", [0.5, 1.5]).pixels
    assert np.abs(mapped - direct).mean() < 4
    assert np.abs(mapped - original).mean() < 12
    assert abs(mapped.std() - original.std()) < 0.1 * original.std()
