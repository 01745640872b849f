"""The wrapper for mteb: features of a task are the model's, and a whole evaluation runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

from tempme.errors import BadSetting
from tempme.retriever.retriever import Retriever
from tempme.scenes import write

# Importing mteb takes seconds, and every process that runs tests looks into every file.
pytestmark = [
    pytest.mark.skipif(find_spec("mteb") is None, reason="needs the extra mteb"),
    pytest.mark.filterwarnings("ignore"),  # of libraries that others bring
]


@dataclass
class Decoder:
    """Frames of a file as torchcodec's VideoDecoder hands them out; FFmpeg is not everywhere."""

    path: str

    def _frames(self) -> list[np.ndarray]:
        with av.open(self.path) as file:
            return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]

    @property
    def metadata(self) -> Any:
        return SimpleNamespace(num_frames=len(self._frames()))

    def get_frames_at(self, indices: list[int]) -> Any:
        frames = self._frames()
        data = np.stack([frames[i] for i in indices])
        return SimpleNamespace(data=torch.from_numpy(data).permute(0, 3, 1, 2))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("films")
    return {str(pair.video): pair.caption for pair in write(6, folder, size=112, fps=6)}


@pytest.fixture(scope="module")
def wrapper() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("tempme.mteb")


@pytest.fixture(scope="module")
def encoder(wrapper: Any) -> Any:
    return wrapper.encoder("scenes-tiny", device="cpu")


def loader(rows: list[dict[str, Any]], batch: int = 4) -> torch.utils.data.DataLoader[Any]:
    return torch.utils.data.DataLoader(rows, batch_size=batch)  # type: ignore[arg-type]


def encode(encoder: Any, rows: list[dict[str, Any]]) -> np.ndarray:
    return np.asarray(
        encoder.encode(loader(rows), task_metadata=None, hf_split="test", hf_subset="default")
    )


@pytest.mark.slow
@torch.no_grad()
def test_features_are_those_of_the_model(wrapper: Any, encoder: Any, films: dict[str, str]) -> None:
    retriever = encoder.model
    texts = encode(encoder, [{"text": caption} for caption in films.values()])
    assert np.abs(texts - retriever.encode_texts(list(films.values())).numpy()).max() < 2e-6
    videos = encode(encoder, [{"video": Decoder(path), "id": path} for path in films])
    pixels = np.stack([wrapper.pixels_of(Decoder(path), retriever) for path in films])
    assert np.abs(videos - retriever.encode_videos(pixels).numpy()).max() < 2e-6
    lengths = np.linalg.norm(videos, axis=1)
    assert np.abs(lengths - 1).max() < 1e-5
    rows = [{"text": caption, "video": Decoder(path)} for path, caption in films.items()]
    both = encode(encoder, rows)
    mean = texts + videos
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    assert np.abs(both - mean).max() < 2e-6
    with pytest.raises(BadSetting, match="a task with audio: this model takes columns text and"):
        encode(encoder, [{"audio": 1}])


@pytest.mark.slow
def test_its_card_says_what_it_is(encoder: Any) -> None:
    meta = encoder.mteb_model_meta
    assert meta.name == "tempme/scenes-tiny"
    assert meta.embed_dim == encoder.model.feature_size
    assert meta.modalities == ["text", "video"]
    retriever = Retriever.load("scenes-tiny")
    assert meta.n_parameters == sum(p.numel() for p in retriever.parameters())
    assert meta.revision == retriever.fingerprint


@pytest.mark.slow
def test_a_whole_task_is_run(encoder: Any, films: dict[str, str]) -> None:
    import datasets
    import mteb
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata

    def decoded(batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = dict(batch)
        found["video"] = [Decoder(path) for path in batch["video"]]
        return found

    class Scenes(AbsTaskRetrieval):  # type: ignore[misc]
        """Generated videos, found by their captions."""

        metadata = TaskMetadata(
            name="ScenesT2V",
            description="Generated videos, found by their captions.",
            reference=None,
            dataset={"path": "tempme/scenes", "revision": "1"},
            type="Any2AnyRetrieval",
            category="t2v",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            date=("2026-01-01", "2026-01-02"),
            domains=["Web"],
            task_subtypes=["Caption Pairing"],
            license="apache-2.0",
            annotations_creators="derived",
            dialect=[],
            modalities=["text", "video"],
            sample_creation="created",
            bibtex_citation="",
        )

        def load_data(self, *_: Any, **__: Any) -> None:
            ids = [str(i) for i in range(len(films))]
            corpus = datasets.Dataset.from_dict({"id": ids, "video": list(films)})
            queries = datasets.Dataset.from_dict({"id": ids, "text": list(films.values())})
            split = RetrievalSplitData(
                corpus=corpus.with_transform(decoded),
                queries=queries,
                relevant_docs={i: {i: 1} for i in ids},
                top_ranked=None,
            )
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    found = mteb.evaluate(
        encoder, Scenes(), cache=None, show_progress_bar=False, encode_kwargs={"batch_size": 4}
    )
    (scores,) = found.task_results[0].scores["test"]
    texts = encode(encoder, [{"text": caption} for caption in films.values()])
    videos = encode(encoder, [{"video": Decoder(path)} for path in films])
    matrix = texts @ videos.T
    ranks = 1 + (matrix > matrix.diagonal()[:, None]).sum(axis=1)
    gains = 1 / np.log2(1 + ranks)
    assert scores["ndcg_at_10"] == pytest.approx(float(gains.mean()), abs=1e-4)
    assert scores["recall_at_1"] == pytest.approx(float((ranks == 1).mean()), abs=1e-4)
