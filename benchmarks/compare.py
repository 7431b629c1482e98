"""Ours beside the SAM-HQ of transformers: time and memory, in one run on one machine.

    pip install -r benchmarks/requirements.txt
    python benchmarks/compare.py time [--precision bfloat16] [--threads 1 --cpu-time]
    python benchmarks/compare.py memory
    python benchmarks/compare.py scaling
    python benchmarks/compare.py time --device cuda --encoder vit_h --precision bfloat16

Weights are random: they change no time. `time` alternates between the two and prints medians in
milliseconds, the ratio of medians, and the smallest and largest ratio of one turn. `memory` prints
what an encode takes above the loaded model, each in a process of its own. `scaling` is ours alone.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from typing import Any

import numpy as np
import torch
from side_by_side import in_turns, print_machine, print_ratios

import napari_samhq as samhq
from napari_samhq.inference import ImageEmbedding, Predictor
from napari_samhq.model import SamHQConfig, SamHQModel, SamHQVisionConfig
from napari_samhq.model.image_processor import upscale_logits

ENCODERS = {
    "vit_b": {"hidden_size": 768, "layers": 12, "heads": 12, "global": [2, 5, 8, 11]},
    "vit_l": {"hidden_size": 1024, "layers": 24, "heads": 16, "global": [5, 11, 17, 23]},
    "vit_h": {"hidden_size": 1280, "layers": 32, "heads": 16, "global": [7, 15, 23, 31]},
}
SIDE = 1024
PROMPTS = 32


def vision_options(encoder: str) -> dict[str, Any]:
    """Arguments that both vision configurations take."""
    chosen = ENCODERS[encoder]
    return {
        "hidden_size": chosen["hidden_size"],
        "num_hidden_layers": chosen["layers"],
        "num_attention_heads": chosen["heads"],
        "global_attn_indexes": chosen["global"],
        "mlp_dim": 4 * chosen["hidden_size"],
    }


def our_model(encoder: str, device: str, precision: torch.dtype) -> SamHQModel:
    """Build ours; as on loading, the image encoder alone changes its number format."""
    vision = SamHQVisionConfig(**vision_options(encoder))
    model = SamHQModel(SamHQConfig(vision, {}, {"vit_dim": vision.hidden_size})).eval()
    model.vision_encoder.to(precision)
    return model.to(device)


def their_model(encoder: str, device: str, precision: torch.dtype) -> Any:
    """Build theirs, all of it in one number format."""
    import transformers

    options = vision_options(encoder)
    decoder = {"vit_dim": options["hidden_size"]}
    config = transformers.SamHQConfig(vision_config=options, mask_decoder_config=decoder)
    return transformers.SamHQModel(config).eval().to(device, precision)


def measure_time(options: argparse.Namespace) -> None:
    """Encode, one prompt and many, each with masks of the image's size."""
    precision = getattr(torch, options.precision)
    device = options.device
    ours = our_model(options.encoder, device, precision)
    theirs = their_model(options.encoder, device, precision)
    pixels = torch.randn(1, 3, SIDE, SIDE, device=device, dtype=precision)
    print(f"{'milliseconds':<28}{'ours':>9}{'theirs':>9}{'ratio':>8}    of one turn")
    encodes = {
        "ours": lambda: ours.encode_image(pixels),
        "theirs": lambda: theirs.get_image_embeddings(pixels),
    }
    if "encode" in options.rows:
        times = in_turns(encodes, max(2, options.repeats // 8), device, cpu_time=options.cpu_time)
        print_ratios(f"encode, {options.precision}", times)
    shape = SIDE // 16, SIDE // 16
    features = torch.randn(1, 256, *shape, device=device)
    early = torch.randn(1, *shape, ENCODERS[options.encoder]["hidden_size"], device=device)
    predictor = Predictor(ours)
    hq_features = ours.mask_decoder.hq_features(features, early)
    embedding = ImageEmbedding(
        features[0], hq_features[0], (SIDE, SIDE), (SIDE, SIDE), SIDE, predictor.fingerprint, None
    )
    places = np.random.default_rng(0).uniform(100, SIDE - 100, (PROMPTS, 2))

    def their_masks(count: int) -> Any:
        output = theirs(
            image_embeddings=features.to(precision),
            intermediate_embeddings=[early.to(precision)],
            input_points=torch.as_tensor(
                places[None, :count, None, ::-1].copy(), device=device, dtype=precision
            ),
            multimask_output=False,
        )
        logits = output.pred_masks[0, :, 0].float()
        return [
            (upscale_logits(one[None], (SIDE, SIDE), (SIDE, SIDE), SIDE) > 0).cpu()
            for one in logits
        ]

    prompts = [samhq.Prompt(points=[place]) for place in places]
    rows = {
        "one prompt": (
            {"ours": lambda: predictor.predict(embedding, places[:1]),
             "theirs": lambda: their_masks(1)},
            options.repeats,
        ),
        f"{PROMPTS} prompts": (
            {"ours": lambda: predictor.predict_many(embedding, prompts),
             "theirs": lambda: their_masks(PROMPTS)},
            max(2, options.repeats // 8),
        ),
    }  # fmt: skip
    for name, (tasks, repeats) in rows.items():
        if name.split()[0] in options.rows:
            times = in_turns(tasks, repeats, device, cpu_time=options.cpu_time)
            print_ratios(f"{name}, masks of {SIDE} px", times)
            if device.startswith("cuda"):
                late = statistics.quantiles(times["ours"], n=20)[-1]
                print(f"{'':<28}{late:>9.1f}  ours, 95th percentile")


def measure_memory(options: argparse.Namespace) -> None:
    """Peak of an encode above the loaded model, in a process for each."""
    for who in ("ours", "theirs"):
        child = [sys.executable, __file__, "peak", "--who", who, "--encoder", options.encoder]
        child += ["--precision", options.precision, "--device", options.device]
        subprocess.run(child, check=True)


def measure_peak(options: argparse.Namespace) -> None:
    """Print the peak of one encode, in MiB above what was in use before it."""
    build = our_model if options.who == "ours" else their_model
    precision = getattr(torch, options.precision)
    model: Any = build(options.encoder, options.device, precision)
    pixels = torch.randn(1, 3, SIDE, SIDE, device=options.device, dtype=precision)
    if options.device.startswith("cuda"):
        before = torch.cuda.memory_allocated() / 2**20
        model.get_image_embeddings(pixels)
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        import psutil

        before = psutil.Process().memory_info().rss / 2**20
        model.get_image_embeddings(pixels)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{options.who:<8}{peak - before:>8.0f} MiB above {before:.0f} MiB", flush=True)


def measure_scaling(options: argparse.Namespace) -> None:
    """Ours alone with `micro`: sides of the image, and numbers of prompts."""
    predictor = Predictor(samhq.load_model("micro", device=options.device))
    rng = np.random.default_rng(0)
    print(f"{'milliseconds':<28}{'embed':>9}{'prompt':>9}{'3 masks':>9}")
    for side in (256, 512, 1024, 2048, 4096):
        image = rng.integers(0, 255, (side, side), dtype=np.uint8)
        embedding = predictor.embed(image)
        box = [side / 3, side / 3, side / 2, side / 2]
        tasks = {
            "embed": lambda image=image: predictor.embed(image),
            "prompt": lambda e=embedding, b=box: predictor.predict(e, box=b),
            "masks": lambda e=embedding, b=box: predictor.predict(e, box=b, multimask=True),
        }
        times = in_turns(tasks, options.repeats // 2, options.device, cpu_time=options.cpu_time)
        row = "".join(f"{statistics.median(column):>9.1f}" for column in times.values())
        print(f"{f'{side} x {side} px':<28}{row}", flush=True)
    image = rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    embedding = predictor.embed(image)
    for count in (1, 4, 16, 64):
        prompts = [samhq.Prompt(points=[place]) for place in rng.uniform(9, SIDE - 9, (count, 2))]
        tasks = {"many": lambda p=prompts: predictor.predict_many(embedding, p)}
        times = in_turns(tasks, 3, options.device, cpu_time=options.cpu_time)
        each = statistics.median(times["many"]) / count
        print(f"{f'{count} prompts, each':<37}{each:>9.1f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tables = {
        "time": measure_time,
        "memory": measure_memory,
        "peak": measure_peak,
        "scaling": measure_scaling,
    }
    parser.add_argument("table", choices=tables)
    parser.add_argument("--encoder", choices=ENCODERS, default="vit_b")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, help="of torch, on a CPU")
    parser.add_argument("--repeats", type=int, default=24, help="of one prompt; fewer of the rest")
    parser.add_argument("--cpu-time", action="store_true", help="for busy machines")
    parser.add_argument("--rows", nargs="+", default=["encode", "one", str(PROMPTS)])
    parser.add_argument("--who", choices=["ours", "theirs"], default="ours")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.table != "peak":
        print_machine(options.device)
    with torch.inference_mode():
        tables[options.table](options)


if __name__ == "__main__":
    main()
