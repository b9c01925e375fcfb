#!/usr/bin/env python3
"""capdiff's captioners in plain PyTorch, from the same model folders: how fast they are, and whether numbers agree.

  bench/pytorch_peer.py -m DIR --dtype bf16 --threads 2                        seconds per batch of the peer
  bench/pytorch_peer.py -m DIR --dtype bf16 --compare build/bin/capdiff        capdiff and the peer in turns
  bench/pytorch_peer.py --check tests/data/ladic_tiny                          goldens, recomputed

LaDiC comes in two styles (--style). cached: features, keys and values of the pictures once, those of no picture when
the model is loaded, both branches of guidance as one batch. released: as the authors' code has it, the image encoder
twice in every step, the branches one after the other. Autoregressive models write a forced number of words greedily,
with caches.

A batch is timed from normalised pixels to ids of tokens. GFLOP are the additions and multiplications of matrix products
and convolutions that a picture takes in that style. Python 3.11, PyTorch 1.13 (Debian: python3-torch) or later.
"""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

try:
    import torch
except ImportError:
    print("skipped: this Python has no torch (Debian: python3-torch, for /usr/bin/python3)")
    sys.exit(77)

import peer_check
import peer_models
from peer_common import cpu_field, keep_memory, openblas_kernels, processor

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}

Contender = collections.namedtuple("Contender", "name dtype style")


# --- What a caption costs ----------------------------------------------------------------------------------------


def linear(rows, columns_in, columns_out):
    return 2 * rows * columns_in * columns_out


def layer_flop(rows, width, inner, seen):
    """A transformer layer with self-attention to `seen` positions."""
    return linear(rows, width, 4 * width) + 2 * linear(rows, width, inner) + 4 * rows * seen * width


def cross_flop(rows, width, tokens):
    """Cross-attention of a layer, without keys and values."""
    return linear(rows, width, 2 * width) + 4 * rows * tokens * width


def encoder_flop(config):
    """Of a picture → flop, number of tokens, their width"""
    if config["type"] == "vit":
        patches, width = (config["image_size"] // config["patch"]) ** 2, config["width"]
        flop, tokens = linear(patches, 3 * config["patch"] ** 2, width), patches + 1
    else:
        flop, side, channels = 0, config["image_size"], 3
        for stage in config["stages"]:
            side, before, channels = (side + 1) // 2, channels, stage["channels"]
            flop += linear(side * side, 9 * before, channels)
            flop += stage["blocks"] * linear(side * side, 10 * channels, channels)
        tokens, width = side * side, channels
    return flop + config["depth"] * layer_flop(tokens, width, config["mlp"], tokens), tokens, width


def ladic_flop(config, style, steps):
    text, diffuser, length = config["text"], config["diffuser"], config["length"]
    latent, width, layers = text["hidden"], diffuser["hidden"], diffuser["layers"]
    encoder, tokens, image_width = encoder_flop(config["image_encoder"])
    features = encoder + layers * linear(tokens, image_width, 2 * width)
    call = layers * (layer_flop(length, width, diffuser["intermediate"], length) + cross_flop(length, width, tokens))
    if width != 2 * latent:
        call += linear(length, 2 * latent, width) + linear(length, width, latent)
    decoder = text["decoder_layers"] * layer_flop(length, latent, text["intermediate"], length)
    decoder += linear(length, latent, latent + text["vocab_size"])
    return decoder + 2 * steps * call + features * (2 * steps if style == "released" else 1)


def autoregressive_flop(config, words, prompt):
    text = config["text"]
    width = text["hidden"]
    encoder, tokens, image_width = encoder_flop(config["image_encoder"])
    flop = encoder + text["layers"] * linear(tokens, image_width, 2 * width)
    for rows, seen in [(prompt, prompt)] + [(1, prompt + i) for i in range(1, words)]:
        flop += text["layers"] * (layer_flop(rows, width, text["intermediate"], seen) + cross_flop(rows, width, tokens))
    return flop + words * linear(1, width, width + text["vocab_size"])


def gflop_per_image(folder, style, steps, words):
    config = peer_models.read_json(folder / "config.json")
    if config["model_type"] == "ladic":
        return ladic_flop(config, style, steps) / 1e9
    return autoregressive_flop(config, words, 1 + len(config["prompt"].split())) / 1e9


# --- Measuring ---------------------------------------------------------------------------------------------------


def captured(run):
    """`run` as a CUDA graph, which repeats what it did with the same memory."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def seconds_per_batch(arguments, dtype, style):
    model = peer_models.load(arguments.model, TYPES[dtype], arguments.device, style)
    count = arguments.steps if isinstance(model, peer_models.Ladic) else arguments.words
    pixels = torch.randn(arguments.batch, 3, model.side, model.side, device=arguments.device)

    def run():
        model.caption(pixels, count)

    def wait():
        if arguments.device == "cuda":
            torch.cuda.synchronize()

    run()
    if arguments.cuda_graph:
        run = captured(run)
        run()
    seconds = []
    for _ in range(arguments.repeat):
        wait()
        start = time.perf_counter()
        run()
        wait()
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(arguments, dtype, style):
    """Runs the model in this process → what there is to say about it."""
    with torch.inference_mode():
        seconds = seconds_per_batch(arguments, dtype, style)
    median = statistics.median(seconds)
    gflop = gflop_per_image(arguments.model, style, arguments.steps, arguments.words)
    return {
        "style": style,
        "dtype": dtype,
        "device": arguments.device,
        "threads": arguments.threads,
        "batch": arguments.batch,
        "seconds": {"median": median, "min": min(seconds), "max": max(seconds)},
        "images_per_second": arguments.batch / median,
        "gflop": gflop,
        "gflop_per_second": gflop * arguments.batch / median,
    }


# --- Comparing ---------------------------------------------------------------------------------------------------


def output_of(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def command_of(contender, arguments, autoregressive):
    """What measures a contender in a process of its own and prints JSON."""
    common = ["-m", arguments.model, "--json", "--batch", arguments.batch, "--dtype", contender.dtype,
              "--threads", arguments.threads, "--repeat", arguments.repeat, "--device", arguments.device]
    if contender.name == "capdiff":
        own = ["--beams", 1, "--length", arguments.words] if autoregressive else ["--steps", arguments.steps]
        return [arguments.compare, "bench", *common, *own]
    command = [sys.executable, __file__, *common, "--style", contender.style, "--steps", arguments.steps,
               "--words", arguments.words]
    return command + [option for option, given in (("--keep-memory", arguments.keep_memory),
                                                   ("--cuda-graph", arguments.cuda_graph)) if given]


def contenders(arguments, autoregressive):
    """The first is what the others are compared with."""
    styles = ["cached"] if autoregressive else arguments.style
    peers = [Contender("PyTorch" if autoregressive else f"PyTorch, {style}", dtype, style)
             for style in styles for dtype in arguments.dtype]
    return peers + [Contender("capdiff", dtype, "cached") for dtype in arguments.capdiff_dtype or arguments.dtype]


def compare(arguments):
    """Rounds in which each contender runs once → seconds per batch of each"""
    autoregressive = peer_models.read_json(arguments.model / "config.json")["model_type"] == "autoregressive"
    seconds = {contender: [] for contender in contenders(arguments, autoregressive)}
    for _ in range(arguments.rounds):
        for contender, values in seconds.items():
            result = json.loads(output_of(command_of(contender, arguments, autoregressive)))
            values.append(result["seconds"]["median"])
    return seconds


def environment(arguments):
    flags = cpu_field("flags").split()
    units = [name for name in ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni") if name in flags]
    where = f"{os.cpu_count()} cores of {processor()} ({', '.join(units) or 'neither AMX nor AVX512-BF16'})"
    if arguments.device == "cuda":
        where = f"{torch.cuda.get_device_name()}, {where}"
    versions = [f"PyTorch {torch.__version__}"]
    if openblas_kernels():
        versions.append(f"its OpenBLAS with kernels for {openblas_kernels()}")
    if arguments.compare:
        versions.append(output_of([arguments.compare, "--version"]).strip())
    return f"{where}; {', '.join(versions)}"


def print_table(seconds, arguments):
    """GFLOP/s of capdiff count what the cached style computes."""
    reference = next(iter(seconds.values()))
    print(f"{arguments.model.name}, batch {arguments.batch}, threads: {arguments.threads}; {environment(arguments)}")
    print(f"medians of {arguments.repeat} batches, and of them in {arguments.rounds} rounds\n")
    columns = ["", "dtype", "batch", "seconds per batch", "images/s", "GFLOP per image", "GFLOP/s",
               "times the first row's speed (range)"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for contender, values in seconds.items():
        median = statistics.median(values)
        rate = arguments.batch / median
        gflop = gflop_per_image(arguments.model, contender.style, arguments.steps, arguments.words)
        ratios = [theirs / ours for theirs, ours in zip(reference, values)]
        print(f"| {contender.name} | {contender.dtype} | {arguments.batch} | {median:.4g} | {rate:.3g} | {gflop:.4g} | "
              f"{rate * gflop:.0f} | {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) |")


# --- Command line ------------------------------------------------------------------------------------------------


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-m", "--model", type=Path, metavar="DIR", help="model folder of capdiff")
    what.add_argument("--check", type=Path, metavar="DIR", help="folder of goldens to recompute; exit code 1 if wrong")
    parser.add_argument("--style", nargs="+", choices=["cached", "released"], default=["cached"])
    parser.add_argument("--dtype", nargs="+", choices=TYPES, default=["f32"], help="of weights and activations")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30, help="denoising steps of LaDiC")
    parser.add_argument("--words", type=int, default=16, help="words of an autoregressive caption")
    parser.add_argument("--repeat", type=int, default=5, help="timed batches, after one that is not")
    parser.add_argument("--keep-memory", action="store_true", help="capdiff's settings of malloc")
    parser.add_argument("--cuda-graph", action="store_true", help="the whole caption as one CUDA graph")
    parser.add_argument("--json", action="store_true", help="one line for each style and dtype")
    parser.add_argument("--compare", metavar="CAPDIFF", help="the capdiff to measure alternately with this")
    parser.add_argument("--capdiff-dtype", nargs="+", metavar="DTYPE", help="of capdiff (default: --dtype)")
    parser.add_argument("--rounds", type=int, default=3, help="of --compare")
    arguments = parser.parse_args()
    counts = ("threads", "batch", "steps", "words", "repeat", "rounds")
    if min(getattr(arguments, name) for name in counts) < 1:
        parser.error(f"{', '.join('--' + name for name in counts)} are counted from 1")
    if arguments.cuda_graph and arguments.device != "cuda":
        parser.error("--cuda-graph needs --device cuda")
    return arguments


def main():
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    if arguments.keep_memory:
        keep_memory()
    if arguments.check:
        sys.exit(0 if peer_check.check(arguments.check) else 1)
    if arguments.compare:
        return print_table(compare(arguments), arguments)
    for style in arguments.style:
        for dtype in arguments.dtype:
            result = measure(arguments, dtype, style)
            if arguments.json:
                print(json.dumps(result))
                continue
            times = result["seconds"]
            print(f"{style}, {dtype}: {times['median']:.4g} s ({times['min']:.4g}–{times['max']:.4g}) per batch of "
                  f"{result['batch']}, {result['images_per_second']:.3g} images/s, {result['gflop']:.4g} GFLOP "
                  f"per image, {result['gflop_per_second']:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
