#!/usr/bin/env python3
"""A training step of LaDiC in plain PyTorch, as the peer of `capdiff train`'s last stage with cached photos.

Sizes come from a recipe, data are random numbers: how long a step takes does not depend on what it learns.

  bench/pytorch_training.py --recipe recipes/ablations/table5-f.toml
  bench/pytorch_training.py --recipe recipes/ablations/table5-f.toml --compare build/bin/capdiff-train

With --compare capdiff, the peer, and the peer with capdiff's settings of malloc train in turns, each in a process of
its own, and a Markdown table of samples (photos with their captions) per second is printed. That needs the recipe's
data under $CAPDIFF_DATA. Python 3.11, PyTorch 1.13 (Debian: python3-torch).
"""
import argparse
import collections
import concurrent.futures
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from peer_common import keep_memory, processor

EPS = 1e-12
TIME_STEPS = 1000
COSINE_OFFSET = 0.008
TRAINED = ("diffuser.", "time_layer_norm.", "lm_head.")

Batch = collections.namedtuple("Batch", "ids mask image")


# --- The recipe --------------------------------------------------------------------------------------------------


def merged(base, own):
    """`own` with what only `base` says, tables within tables likewise."""
    result = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


def read_document(path):
    with open(path, "rb") as file:
        document = tomllib.load(file)
    base = document.pop("base", None)
    return merged(read_document(path.parent / base), document) if base else document


def read_recipe(path):
    """The recipe with all that its bases say. Leaves the program where this is not what the peer computes."""
    recipe = read_document(path)
    model, training = recipe["model"], recipe["ladic"]
    expected = {
        "model.profile": (model.get("profile", "paper"), ["paper"]),
        "model.latent_loss": (model.get("latent_loss", "mean_squared"), ["mean_squared"]),
        "model.diffuser.conditioning": (model["diffuser"].get("conditioning", "cross-attention"), ["cross-attention"]),
        "model.text.special_latent": (model["text"].get("special_latent", "zeros"), ["zeros", "kept"]),
        "scheduler.schedule": (recipe.get("scheduler", {}).get("schedule", "cosine"), ["cosine"]),
        "ladic.cache_photos": (training.get("cache_photos", False), [True]),
        "ladic.train_text": (training.get("train_text", False), [False]),
    }
    for key, (value, known) in expected.items():
        if value not in known:
            sys.exit(f"{path}: {key} is {value!r}; the peer knows only {' and '.join(map(repr, known))}")
    return recipe


def image_tokens(encoder):
    """Number and width of the tokens that the recipe's image encoder makes of a picture."""
    if encoder["type"] == "vit":
        return 1 + (encoder["image_size"] // encoder["patch"]) ** 2, encoder["width"]
    side = encoder["image_size"]
    for _ in encoder["stages"]:
        side = (side + 1) // 2
    return side * side, encoder["stages"][-1]["channels"]


# --- The model ---------------------------------------------------------------------------------------------------


def attention(query, key, value, heads, mask=None, dropout=0.0):
    """query [B, Lq, W], key and value [B, Lk, W], mask [B, Lk] with True where keys may be seen → [B, Lq, W]."""
    query, key, value = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
    weights = F.dropout(scores.softmax(-1), dropout)
    return (weights @ value).transpose(1, 2).flatten(-2)


class Block(nn.Module):
    """A layer of BERT. With `cross_width`, also attends to the tokens of the row's photo."""

    def __init__(self, width, heads, intermediate, dropout=0.0, cross_width=0):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_output = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, EPS)
        if cross_width:
            self.cross_query = nn.Linear(width, width)
            self.cross_key_value = nn.Linear(cross_width, 2 * width)
            self.cross_output = nn.Linear(width, width)
            self.cross_norm = nn.LayerNorm(width, EPS)
        self.intermediate = nn.Linear(width, intermediate)
        self.output = nn.Linear(intermediate, width)
        self.output_norm = nn.LayerNorm(width, EPS)

    def forward(self, x, mask=None, key_value=None):
        """x [B, L, W]; key_value: a pair [P, N, W], where the rows of a photo stand together in B."""
        context = attention(*self.qkv(x).chunk(3, -1), self.heads, mask, self.dropout)
        x = self.attention_norm(x + F.dropout(self.attention_output(context), self.dropout))
        if key_value is not None:
            # The captions of a photo are one sequence of queries to its keys.
            query = self.cross_query(x).reshape(key_value[0].shape[0], -1, x.shape[-1])
            context = attention(query, *key_value, self.heads, dropout=self.dropout).reshape(x.shape)
            x = self.cross_norm(x + F.dropout(self.cross_output(context), self.dropout))
        inner = F.gelu(self.intermediate(x))
        return self.output_norm(x + F.dropout(self.output(inner), self.dropout))


class BertEmbeddings(nn.Module):
    def __init__(self, text):
        super().__init__()
        self.word = nn.Embedding(text["vocab_size"], text["hidden"])
        self.position = nn.Embedding(text["max_position"], text["hidden"])
        self.token_type = nn.Embedding(2, text["hidden"])
        self.norm = nn.LayerNorm(text["hidden"], EPS)

    def forward(self, ids):
        return self.norm(self.word(ids) + self.position.weight[: ids.shape[1]] + self.token_type.weight[0])


class LmHead(nn.Module):
    def __init__(self, width, vocabulary):
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, EPS)
        self.decoder = nn.Linear(width, vocabulary)

    def forward(self, x):
        return self.decoder(self.norm(F.gelu(self.dense(x)).float()))


def time_embeddings(width):
    """Interleaved sines and cosines [T, width] of the time steps."""
    omega = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    phase = torch.arange(TIME_STEPS)[:, None] * omega
    return torch.stack([phase.sin(), phase.cos()], -1).flatten(1)[:, :width].contiguous()


class Denoiser(nn.Module):
    """BERT with cross-attention that predicts x0 of all positions at once."""

    def __init__(self, diffuser, latent, image_width):
        super().__init__()
        width, self.dropout = diffuser["hidden"], diffuser.get("dropout", 0.0)
        projects = width != 2 * latent
        self.latent = latent
        self.input_projection = nn.Linear(2 * latent, width) if projects else nn.Identity()
        self.output_projection = nn.Linear(width, latent) if projects else None
        self.position = nn.Embedding(diffuser["max_position"], width)
        self.norm = nn.LayerNorm(width, EPS)
        self.time_norm = nn.LayerNorm(width, EPS) if diffuser.get("time_layer_norm", True) else nn.Identity()
        self.layers = nn.ModuleList(
            Block(width, diffuser["heads"], diffuser["intermediate"], self.dropout, image_width)
            for _ in range(diffuser["layers"])
        )
        self.register_buffer("time_embeddings", time_embeddings(width))

    def keys_and_values(self, image):
        """image [P, N, Dv] → a pair [P, N, W] for every layer."""
        return [layer.cross_key_value(image).chunk(2, -1) for layer in self.layers]

    def forward(self, x_t, self_condition, t, keys_and_values):
        x = self.input_projection(torch.cat([x_t, self_condition], -1))
        time_embedding = self.time_norm(self.time_embeddings[t])[:, None]
        x = self.norm(x + (time_embedding + self.position.weight[: x.shape[1]]))
        x = F.dropout(x, self.dropout)
        for layer, key_value in zip(self.layers, keys_and_values):
            x = layer(x, key_value=key_value)
        return self.output_projection(x) if self.output_projection else x[..., : self.latent]


class Ladic(nn.Module):
    """LaDiC without its image encoder. Only the denoiser and the language-model head learn."""

    def __init__(self, recipe):
        super().__init__()
        model, training = recipe["model"], recipe["ladic"]
        text = model["text"]
        width = text["hidden"]
        self.captions_per_photo = training["captions_per_photo"]
        self.self_condition = training.get("self_condition", 0.5)
        self.caption_loss_weight = model["caption_loss_weight"]
        self.special_zero = text.get("special_latent", "zeros") == "zeros"

        def layers(count):
            return nn.Sequential(*(Block(width, text["heads"], text["intermediate"]) for _ in range(count)))

        self.embeddings = BertEmbeddings(text)
        self.lower = layers(text["encoder_layers"])
        self.upper = layers(text["decoder_layers"])
        self.lm_head = LmHead(width, text["vocab_size"])
        self.denoiser = Denoiser(model["diffuser"], width, image_tokens(model["image_encoder"])[1])
        for frozen in (self.embeddings, self.lower, self.upper):
            frozen.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        u = torch.arange(TIME_STEPS) / TIME_STEPS
        alpha_bar = torch.cos(math.pi / 2 * (u + COSINE_OFFSET) / (1 + COSINE_OFFSET)) ** 2
        alpha_bar = alpha_bar / alpha_bar[0]
        self.register_buffer("signal", alpha_bar.sqrt())
        self.register_buffer("noise", recipe["scheduler"]["noise_factor"] * (1 - alpha_bar).sqrt())

    def encode(self, ids, mask):
        """Captions [B, L] → normalised latents x0 [B, L, D]; those of special positions are zero."""
        x = self.embeddings(ids)
        for layer in self.lower:
            x = layer(x, mask)
        x0 = (x - self.mean) / self.deviation
        if not self.special_zero:
            return x0
        words = mask.clone()
        words[:, 0] = False
        words[:, :-1] &= mask[:, 1:]
        words[:, -1] = False
        return x0.masked_fill(~words[..., None], 0.0)

    def logits(self, x0):
        return self.lm_head(self.upper(x0 * self.deviation + self.mean))

    @torch.no_grad()
    def first_estimate(self, x_t, t, keys_and_values):
        """x0 as a first pass sees it for a random choice of the photos, zero for the others."""
        self_condition = torch.zeros_like(x_t)
        photos = x_t.shape[0] // self.captions_per_photo
        chosen = (torch.rand(photos) < self.self_condition).nonzero().flatten()
        if len(chosen) == 0:
            return self_condition

        def rows(x):
            return x.unflatten(0, (photos, self.captions_per_photo))

        x_t, t = (rows(x)[chosen].flatten(0, 1) for x in (x_t, t))
        chosen_keys_and_values = [(key[chosen], value[chosen]) for key, value in keys_and_values]
        estimate = self.denoiser(x_t, torch.zeros_like(x_t), t, chosen_keys_and_values)
        rows(self_condition)[chosen] = estimate.float().unflatten(0, (len(chosen), -1))
        return self_condition

    def losses(self, batch, autocast):
        """The latent loss and the caption loss. `autocast` makes a context in which products are computed.

        Each part has a context of its own: autocast keeps the weights it has rounded until the context ends, and
        those rounded without gradients would serve the second pass.
        """
        with autocast():
            with torch.no_grad():
                x0 = self.encode(batch.ids, batch.mask).float()
            keys_and_values = self.denoiser.keys_and_values(batch.image)
        t = torch.randint(TIME_STEPS, (len(x0),))
        x_t = self.signal[t, None, None] * x0 + self.noise[t, None, None] * torch.randn_like(x0)
        with autocast():
            self_condition = self.first_estimate(x_t, t, keys_and_values)
        with autocast():
            predicted = self.denoiser(x_t, self_condition, t, keys_and_values).float()
            latent = F.mse_loss(predicted, x0)
            caption = F.cross_entropy(self.logits(predicted).flatten(0, 1).float(), batch.ids.flatten())
        return latent, caption


# --- Training ----------------------------------------------------------------------------------------------------


class Trainer:
    """Trains on random captions and image tokens."""

    def __init__(self, recipe, dtype):
        torch.manual_seed(recipe.get("seed", 0))
        self.recipe, self.dtype = recipe, dtype
        training = recipe["ladic"]
        self.photos = training["batch"]
        self.model = Ladic(recipe)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=training["learning_rate"],
            betas=(training.get("beta1", 0.9), training.get("beta2", 0.999)),
            weight_decay=training.get("weight_decay", 0.01),
        )
        self.clip = training.get("gradient_clip", 0.0)
        self.ema = training.get("ema", 0.0)
        self.averages = [p.detach().clone() for p in self.parameters] if self.ema else []
        self.batches = [self.random_batch() for _ in range(4)]

    def random_batch(self):
        model = self.recipe["model"]
        length, rows = model["length"], self.photos * self.model.captions_per_photo
        ids = torch.randint(model["text"]["vocab_size"], (rows, length))
        mask = torch.arange(length) < torch.randint(8, length + 1, (rows, 1))
        return Batch(ids, mask, torch.randn(self.photos, *image_tokens(model["image_encoder"])))

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.dtype == "bf16")

    def step(self, batch):
        latent, caption = self.model.losses(batch, self.autocast)
        loss = latent + self.model.caption_loss_weight * caption
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        with torch.no_grad():
            for average, parameter in zip(self.averages, self.parameters):
                average.lerp_(parameter, 1 - self.ema)
        return loss.item()

    def samples_per_second(self, steps):
        start = time.perf_counter()
        for i in range(steps):
            self.step(self.batches[i % len(self.batches)])
        return steps * self.photos / (time.perf_counter() - start)

    def warm_up(self, steps):
        self.samples_per_second(steps)
        without = [name for name, p in self.model.named_parameters() if p.requires_grad and p.grad is None]
        if without:
            sys.exit(f"these parameters should learn and have no gradient: {', '.join(without)}")


def measure(recipe, arguments):
    """Trains in this process → samples per second after the warm-up, and how many numbers learn."""
    torch.set_num_threads(arguments.threads)
    trainer = Trainer(recipe, arguments.dtype)
    trainer.warm_up(arguments.warm_up)
    return trainer.samples_per_second(arguments.steps), sum(p.numel() for p in trainer.parameters)


# --- What a step costs -------------------------------------------------------------------------------------------


def gflop_per_sample(recipe):
    """Billions of additions and multiplications in the matrix products that a step needs per photo.

    A product forward costs as much as the gradient of either operand. Frozen weights, and inputs that nothing before
    them learns from, have no gradient.
    """
    model, training = recipe["model"], recipe["ladic"]
    text, diffuser = model["text"], model["diffuser"]
    tokens, image_width = image_tokens(model["image_encoder"])
    length, latent, width = model["length"], text["hidden"], diffuser["hidden"]
    rows = training["captions_per_photo"] * length

    def linear(n, columns_in, columns_out):
        return 2 * n * columns_in * columns_out

    def layer(width, intermediate):
        return linear(rows, width, 4 * width) + 2 * linear(rows, width, intermediate)

    text_linear, text_attention = layer(latent, text["intermediate"]), 4 * rows * length * latent
    denoiser_layer = layer(width, diffuser["intermediate"]) + linear(rows, width, 2 * width)
    denoiser_layer += 4 * rows * (length + tokens) * width
    projects = width != 2 * latent
    into = linear(rows, 2 * latent, width) if projects else 0
    out = linear(rows, width, latent) if projects else 0
    denoiser = diffuser["layers"] * denoiser_layer + out

    total = text["encoder_layers"] * (text_linear + text_attention)
    total += training.get("self_condition", 0.5) * (denoiser + into)
    total += 2 * diffuser["layers"] * linear(tokens, image_width, 2 * width)
    total += 3 * denoiser + 2 * into
    total += text["decoder_layers"] * (2 * text_linear + 3 * text_attention)
    total += 3 * linear(rows, latent, latent + text["vocab_size"])
    return total / 1e9


# --- Comparing ---------------------------------------------------------------------------------------------------


def trained_parameters(model_file):
    """How many numbers of a safetensors file learn."""
    with open(model_file, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name.startswith(TRAINED))


def run_peer(recipe, arguments, prepare=None):
    """`measure` in a fresh process that first calls `prepare`."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn, initializer=prepare) as process:
        return process.submit(measure, recipe, arguments).result()


def run_capdiff(arguments, folder):
    """Trains with capdiff into `folder` → samples per second after the warm-up, and how many numbers learn."""
    settings = {
        "output": folder,
        "compute": arguments.dtype,
        "data.splits": '["val"]',  # fewer photos to read before the first step
        "statistics.captions": 1000,
        "ladic.steps": arguments.warm_up + arguments.steps,
        "ladic.log_every": arguments.warm_up,
        "ladic.checkpoint_every": 1_000_000,
    }
    command = [arguments.compare, "train", arguments.recipe, "--threads", arguments.threads, "--no-resume"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    done = subprocess.run([str(word) for word in command], stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{arguments.compare} failed:\n{done.stderr[-2000:]}")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rates = [line["samples_per_second"] for line in lines if line["stage"] == "ladic"]
    return statistics.harmonic_mean(rates[1:]), trained_parameters(folder / "model" / "model.safetensors")


def compare(recipe, arguments):
    """Rounds in which each side trains once → samples per second of each."""
    rates = collections.defaultdict(list)
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            capdiff, trained = run_capdiff(arguments, Path(folder))
        peer, learning = run_peer(recipe, arguments)
        if learning != trained:
            sys.exit(f"capdiff trains {trained} numbers, the peer {learning}")
        rates["capdiff"].append(capdiff)
        rates["PyTorch"].append(peer)
        rates["PyTorch, memory kept"].append(run_peer(recipe, arguments, keep_memory)[0])
    return rates


def print_table(rates, gflop, arguments, versions):
    rounds = len(next(iter(rates.values())))
    print(f"{arguments.recipe.name}, {arguments.dtype}, {gflop:.2f} GFLOP per sample; medians, rounds: {rounds}")
    print(f"threads: {arguments.threads}; {os.cpu_count()} cores of {processor()}; {', '.join(versions)}")
    print("\n| | samples/s | GFLOP/s | capdiff is faster by (range) |\n|---|---|---|---|")
    for name, values in rates.items():
        rate = statistics.median(values)
        ratios = [ours / theirs for ours, theirs in zip(rates.get("capdiff", []), values)]
        times = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})" if ratios else ""
        print(f"| {name} | {rate:.1f} | {rate * gflop:.1f} | {times if name != 'capdiff' else ''} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20, help="measured steps of a round")
    parser.add_argument("--warm-up", type=int, default=5, help="steps before them; must divide --steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--dtype", choices=["f32", "bf16"], help="of matrix products (default: as the recipe says)")
    parser.add_argument("--compare", metavar="CAPDIFF_TRAIN", help="the trainer to measure alternately with this one")
    arguments = parser.parse_args()
    if min(arguments.steps, arguments.warm_up, arguments.rounds, arguments.threads) < 1:
        parser.error("steps, rounds and threads are counted from 1")
    if arguments.steps % arguments.warm_up:
        parser.error("--warm-up must divide --steps")
    recipe = read_recipe(arguments.recipe)
    arguments.dtype = arguments.dtype or recipe.get("compute", "f32")

    versions = [f"PyTorch {torch.__version__}"]
    if arguments.compare:
        version = subprocess.run([arguments.compare, "--version"], check=True, capture_output=True, text=True)
        versions.append(version.stdout.strip())
        rates = compare(recipe, arguments)
    else:
        rates = {"PyTorch": [run_peer(recipe, arguments)[0] for _ in range(arguments.rounds)]}
    print_table(rates, gflop_per_sample(recipe), arguments, versions)


if __name__ == "__main__":
    main()
