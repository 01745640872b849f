"""Videos per second of trained systems side by side: experiments of one data set, in turns.

`tempme train` measures each system alone when its run ends, whatever else the machine does then.
This measures all of them within one run, one thread each, and puts the figure into every result of
the experiment: python benchmarks/experiments.py results/scenes, then `make tables`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tempme.evaluation import timing as benchmark
from tempme.evaluation.timing import Encoding
from tempme.experiments import Experiment
from tempme.results.runs import read_experiments, summarize, write
from tempme.retriever.retriever import Retriever

ROOT = Path(__file__).parents[1]
VIDEOS, ROUNDS = 8, 7


def encoding(experiment: Experiment) -> Encoding:
    """Eight videos through the system of an experiment, folded, in fp32."""
    made = Retriever.build(experiment.system.system(), experiment.system.weights, seed=0)
    return benchmark.encoding(made.for_inference("fp32"), VIDEOS)


def main(folder: Path) -> None:
    """Measure, print, and write."""
    torch.set_num_threads(1)
    runs = read_experiments(folder.parent)[folder.name]
    jobs = {
        name: encoding(Experiment.read(ROOT / "experiments" / folder.name / f"{name}.toml"))
        for name in runs
    }
    for name, seconds in benchmark.in_turns(jobs, rounds=ROUNDS).items():
        rate = round(VIDEOS / min(seconds), 2)  # other work on the machine only ever slows
        print(f"{rate:6.2f}  {name}", flush=True)
        timed = [{**run, "videos_per_second": rate} for run in runs[name]]
        for run in timed:
            write(run, folder / name / f"seed-{run['seed']}.json")
        write(summarize(timed), folder / f"{name}.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
