"""Fills an embedding store and is killed again and again; run by the tests as a process of its own.

    python embedding_writer.py FOLDER KILLS COUNT

Each round a child goes through the same list of embeddings, as an interrupted job that is begun
again would, and is killed at a random moment. Prints, as JSON, the numbers of the embeddings that
each round made.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import safetensors.torch  # noqa: F401  (before the fork: what is measured is writing)
import torch

from napari_samhq.inference.embedding import ImageEmbedding
from napari_samhq.inference.store import EmbeddingStore


def key(number: int) -> str:
    return f"{number:064x}"


def embedding(number: int) -> ImageEmbedding:
    values = torch.arange(2**18, dtype=torch.float32).remainder(number + 7)
    return ImageEmbedding(
        values[: 2**16].reshape(4, 128, 128),
        values.reshape(1, 512, 512),
        (100, 200 + number),
        (512, 512),
        512,
        "fake",
        (0.0, 1.0 + number),
    )


def fill(folder: Path, count: int, log: Path) -> None:
    store = EmbeddingStore(folder)
    for number in range(count):
        if key(number) not in store:
            with log.open("a") as file:  # begun, so that work done twice can be counted
                file.write(f"{number}\n")
            store.put(key(number), embedding(number))


def main() -> None:
    folder, kills, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)  # threads do not survive a fork
    rng = random.Random(0)
    rounds = []
    for number in range(kills + 1):
        log = folder.parent / f"{number}.log"
        log.touch()
        child = os.fork()
        if child == 0:
            fill(folder, count, log)
            os._exit(0)
        if number < kills:
            while not log.read_text():  # killing before it began would prove nothing
                if os.waitpid(child, os.WNOHANG)[0]:
                    break
            else:
                time.sleep(rng.uniform(0, 0.1))
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        else:
            assert os.waitpid(child, 0)[1] == 0
        rounds.append([int(line) for line in log.read_text().split()])
    sys.stdout.write(json.dumps(rounds))


if __name__ == "__main__":
    main()
