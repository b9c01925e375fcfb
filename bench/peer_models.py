"""capdiff's captioners in plain PyTorch, from the same model folders: LaDiC and the autoregressive one.

Written as one writes such a script: eager operations, Q, K and V as one product, PyTorch's fused attention where it has
one. Shapes: B rows, L positions of a caption, W width, N image tokens of width Dv, S side of the pictures.
"""
import json
import math
import mmap
import sys

import torch
import torch.nn.functional as F

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "I64": torch.int64, "U8": torch.uint8,
          "BOOL": torch.bool}


# --- Weights -----------------------------------------------------------------------------------------------------


def read_safetensors(path):
    """The tensors of a file by name, mapped into memory."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    begin = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:begin]).items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
        if last == first:
            tensors[name] = torch.empty(shape, dtype=dtype)
            continue
        count = (last - first) // torch.empty(0, dtype=dtype).element_size()
        tensors[name] = torch.frombuffer(data, dtype=dtype, count=count, offset=begin + first).reshape(shape)
    return tensors


class Weights:
    """Tensors under a common prefix, handed out in one dtype on one device: `(weights / "encoder" / 3)("bias")`."""

    def __init__(self, tensors, dtype=torch.float32, device="cpu", prefix=""):
        self.tensors, self.dtype, self.device, self.prefix = tensors, dtype, device, prefix

    def __truediv__(self, part):
        return Weights(self.tensors, self.dtype, self.device, f"{self.prefix}{part}.")

    def __call__(self, name):
        return self.tensors[self.prefix + name].to(self.device, self.dtype, copy=True)


# --- Layers ------------------------------------------------------------------------------------------------------


class Linear:
    """One product for the linear layers of all `scopes`, which have the same input."""

    def __init__(self, *scopes):
        self.weight = torch.cat([scope("weight") for scope in scopes])
        self.bias = torch.cat([scope("bias") for scope in scopes])

    def __call__(self, x):
        return F.linear(x, self.weight, self.bias)


class Norm:
    def __init__(self, scope, eps):
        self.weight, self.bias, self.eps = scope("weight"), scope("bias"), eps

    def __call__(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


FUSED = hasattr(F, "scaled_dot_product_attention")  # since PyTorch 2.0


def split_heads(x, count, heads):
    """`count` tensors side by side, [B, L, count W] → each as [B, heads, L, W / heads]"""
    parts = x.unflatten(-1, (count, heads, -1)).permute(2, 0, 3, 1, 4)
    # One copy for all; without fused attention, each product would make its own.
    return (parts if FUSED else parts.contiguous()).unbind(0)


def attention(query, key, value, causal=False):
    """query [B, heads, Lq, d], key and value [B, heads, Lk, d] → [B, Lq, heads d]"""
    if FUSED:
        context = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    else:
        scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
        if causal:
            unseen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(unseen, -math.inf)
        context = scores.softmax(-1) @ value
    return context.transpose(1, 2).flatten(-2)


class PreNormBlock:
    """A layer of a vision transformer."""

    def __init__(self, scope, heads, eps):
        self.heads = heads
        self.norm1, self.norm2 = Norm(scope / "norm1", eps), Norm(scope / "norm2", eps)
        self.qkv, self.proj = Linear(scope / "attn" / "qkv"), Linear(scope / "attn" / "proj")
        self.fc1, self.fc2 = Linear(scope / "mlp" / "fc1"), Linear(scope / "mlp" / "fc2")

    def __call__(self, x):
        x = x + self.proj(attention(*split_heads(self.qkv(self.norm1(x)), 3, self.heads)))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class PostNormBlock:
    """A layer of BERT, with `cross` also attending to image tokens."""

    def __init__(self, scope, heads, eps, cross=False):
        self.heads = heads
        own = scope / "attention"
        self.qkv = Linear(*(own / "self" / name for name in ("query", "key", "value")))
        self.attention_output = Linear(own / "output" / "dense")
        self.attention_norm = Norm(own / "output" / "LayerNorm", eps)
        if cross:
            other = scope / "crossattention"
            self.cross_query = Linear(other / "self" / "query")
            self.cross_key_value = Linear(other / "self" / "key", other / "self" / "value")
            self.cross_output = Linear(other / "output" / "dense")
            self.cross_norm = Norm(other / "output" / "LayerNorm", eps)
        self.intermediate, self.output = Linear(scope / "intermediate" / "dense"), Linear(scope / "output" / "dense")
        self.output_norm = Norm(scope / "output" / "LayerNorm", eps)

    def image(self, tokens):
        """tokens [B, N, Dv] → the pair of keys and values [B, heads, N, W / heads]."""
        return tuple(x.contiguous() for x in split_heads(self.cross_key_value(tokens), 2, self.heads))

    def __call__(self, x, image=None, past=None):
        """x [B, L, W]; image: the pair that `image` made of the rows' tokens; past: a `Past`, which makes it causal."""
        query, key, value = split_heads(self.qkv(x), 3, self.heads)
        if past is not None:
            key, value = past.extended(key, value)
        context = attention(query, key, value, causal=past is not None and query.shape[2] > 1)
        x = self.attention_norm(x + self.attention_output(context))
        if image is not None:
            context = attention(*split_heads(self.cross_query(x), 1, self.heads), *image)
            x = self.cross_norm(x + self.cross_output(context))
        return self.output_norm(x + self.output(F.gelu(self.intermediate(x))))


class Past:
    """Keys and values of a layer's positions so far, in memory for all positions that there will be."""

    def __init__(self, positions):
        self.positions, self.length, self.key, self.value = positions, 0, None, None

    def extended(self, key, value):
        """Keys and values [B, heads, L, d] of the next positions → those of all."""
        if self.key is None:
            shape = (*key.shape[:2], self.positions, key.shape[3])
            self.key, self.value = key.new_empty(shape), value.new_empty(shape)
        first, self.length = self.length, self.length + key.shape[2]
        self.key[:, :, first : self.length] = key
        self.value[:, :, first : self.length] = value
        return self.key[:, :, : self.length], self.value[:, :, : self.length]


class LmHead:
    def __init__(self, scope, eps, words=None):
        """words: the table of embeddings, where the head's weights are tied to it."""
        predictions = scope / "predictions"
        self.dense = Linear(predictions / "transform" / "dense")
        self.norm = Norm(predictions / "transform" / "LayerNorm", eps)
        self.weight = (predictions / "decoder")("weight") if words is None else words
        self.bias = predictions("bias")

    def __call__(self, x):
        return F.linear(self.norm(F.gelu(self.dense(x))), self.weight, self.bias)


# --- Image encoders ----------------------------------------------------------------------------------------------


class VisionTransformer:
    def __init__(self, scope, config):
        self.patch, self.width = config["patch"], config["width"]
        self.weight, self.bias = (scope / "patch_embed" / "proj")("weight"), (scope / "patch_embed" / "proj")("bias")
        self.class_token, self.positions = scope("cls_token"), scope("pos_embed")
        self.blocks = [PreNormBlock(scope / "blocks" / i, config["heads"], config["eps"])
                       for i in range(config["depth"])]
        self.norm = Norm(scope / "norm", config["eps"])

    def __call__(self, pixels):
        """pixels [B, 3, S, S], normalised → tokens [B, N, Dv]"""
        patches = F.conv2d(pixels, self.weight, self.bias, stride=self.patch).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(pixels), -1, -1), patches], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class ConvNorm:
    """3×3 convolution, LayerNorm where the stage has one, GELU; pictures are [B, C, H, W] with C last in memory."""

    def __init__(self, scope, stride, norm, eps):
        self.weight = (scope / "conv")("weight").to(memory_format=torch.channels_last)
        self.bias, self.stride = (scope / "conv")("bias"), stride
        self.norm = Norm(scope / "norm", eps) if norm else None

    def __call__(self, x):
        x = F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=1)
        if self.norm:
            x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return F.gelu(x)


class ConvVit:
    def __init__(self, scope, config):
        self.stages = []
        for i, stage in enumerate(config["stages"]):
            here, norm, eps = scope / "stages" / i, stage["norm"], config["eps"]
            blocks = [(ConvNorm(here / "blocks" / j, 1, norm, eps), Linear(here / "blocks" / j / "pointwise"))
                      for j in range(stage["blocks"])]
            self.stages.append((ConvNorm(here / "down", 2, norm, eps), blocks))
        self.positions = scope("pos_embed")
        self.blocks = [PreNormBlock(scope / "blocks" / i, config["heads"], config["eps"])
                       for i in range(config["depth"])]
        self.norm = Norm(scope / "norm", config["eps"])

    def __call__(self, pixels):
        x = pixels.contiguous(memory_format=torch.channels_last)
        for down, blocks in self.stages:
            x = down(x)
            for conv, pointwise in blocks:
                x = x + pointwise(conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = x.flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def image_encoder(scope, config):
    return {"vit": VisionTransformer, "conv-vit": ConvVit}[config["type"]](scope, config)


# --- LaDiC -------------------------------------------------------------------------------------------------------


def time_embeddings(steps, width):
    """Interleaved sines and cosines [steps, width]."""
    omega = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    phase = torch.arange(steps)[:, None] * omega
    return torch.stack([phase.sin(), phase.cos()], -1).flatten(1)[:, :width].contiguous()


class Denoiser:
    """BERT with cross-attention that predicts the latents x0 of all positions at once."""

    def __init__(self, weights, config, latent, time_steps):
        if config.get("conditioning", "cross-attention") != "cross-attention":
            sys.exit("the peer knows denoisers that see the picture by cross-attention only")
        scope, eps, width = weights / "diffuser", config["eps"], config["hidden"]
        self.latent, self.projects = latent, width != 2 * latent
        if self.projects:
            self.input_projection = Linear(scope / "input_projection")
            self.output_projection = Linear(scope / "output_projection")
        self.positions = (scope / "embeddings" / "position_embeddings")("weight")
        self.norm = Norm(scope / "embeddings" / "LayerNorm", eps)
        self.times = time_embeddings(time_steps, width).to(weights.device, weights.dtype)
        if config["time_layer_norm"]:
            self.times = Norm(weights / "time_layer_norm", eps)(self.times)
        self.layers = [PostNormBlock(scope / "encoder" / "layer" / i, config["heads"], eps, cross=True)
                       for i in range(config["layers"])]

    def image(self, tokens):
        """Keys and values of image tokens [B, N, Dv], a pair for every layer."""
        return [layer.image(tokens) for layer in self.layers]

    def __call__(self, x_t, self_condition, t, image):
        """x_t, self_condition [B, L, D]; t: a number, or one for each row [B] → x0 [B, L, D]"""
        x = torch.cat([x_t, self_condition], -1).to(self.positions.dtype)
        if self.projects:
            x = self.input_projection(x)
        time = self.times[t][:, None] if torch.is_tensor(t) else self.times[t]
        x = self.norm(x + (time + self.positions[: x.shape[1]]))
        for layer, key_value in zip(self.layers, image):
            x = layer(x, key_value)
        return self.output_projection(x) if self.projects else x[..., : self.latent]


def alpha_bar(config):
    """ᾱ of all time steps."""
    steps = config["time_steps"]
    if config.get("table", "clean_start") != "clean_start" or config["schedule"] not in ("linear", "cosine"):
        sys.exit(f"the peer does not know the noise schedule {config['schedule']}, {config.get('table')}")
    if config["schedule"] == "linear":
        betas = torch.linspace(config["beta_min"], config["beta_max"], steps, dtype=torch.float64)
        return (1 - torch.cat([torch.zeros(1, dtype=torch.float64), betas[:-1]])).cumprod(0)
    u, s = torch.arange(steps, dtype=torch.float64) / steps, config["cosine_s"]
    signal = torch.cos(math.pi / 2 * (u + s) / (1 + s)) ** 2
    return signal / signal[0]


def time_grid(config, steps):
    """Time steps of the denoiser's calls."""
    last = config["time_steps"] - 1
    if config.get("time_grid", "even") == "stride":
        return list(range(last, 0, -math.ceil(last / steps)))
    return [last - config["time_steps"] * i // steps for i in range(steps)]


class Ladic:
    """Captions by diffusion. `style` says what is computed how often:

    cached: the picture's features and their keys and values once, those of no picture when the model is loaded; both
        branches of guidance as one batch.
    released: as the authors' code has it: encoder, keys and values in every step for either branch, one after the
        other.
    """

    def __init__(self, weights, statistics, config, scheduler, style="cached", guidance=1.0):
        text, image = config["text"], config["image_encoder"]
        self.style, self.guidance, self.scheduler = style, guidance, scheduler
        self.device, self.dtype = weights.device, weights.dtype
        self.length, self.side, self.latent = config["length"], image["image_size"], text["hidden"]
        self.alpha_bar = alpha_bar(scheduler).tolist()
        self.encoder = image_encoder(weights / "visual_encoder", image)
        self.denoiser = Denoiser(weights, config["diffuser"], self.latent, scheduler["time_steps"])
        first = text["encoder_layers"]
        self.upper = [PostNormBlock(weights / "space_decoder" / "encoder" / "layer" / i, text["heads"], text["eps"])
                      for i in range(first, first + text["decoder_layers"])]
        self.head = LmHead(weights / "lm_head", text["eps"])
        self.mean, self.deviation = statistics("mean"), statistics("std")
        self.no_picture = torch.zeros(1, 3, self.side, self.side, device=self.device, dtype=self.dtype)
        self.no_image = self.denoiser.image(self.encoder(self.no_picture))

    def logits(self, x0):
        x = x0.to(self.dtype) * self.deviation + self.mean
        for layer in self.upper:
            x = layer(x)
        return self.head(x)

    def guided(self, conditional, unconditional):
        return (1 + self.guidance) * conditional.float() - self.guidance * unconditional.float()

    def cached_call(self, pixels):
        """The denoiser as a function of x_t, self-condition and time step."""
        def both(of_pictures, of_none):
            return torch.cat([of_pictures, of_none.expand_as(of_pictures)])

        image = [tuple(map(both, *layers))
                 for layers in zip(self.denoiser.image(self.encoder(pixels)), self.no_image)]
        return lambda x_t, p, t: self.guided(
            *self.denoiser(torch.cat([x_t, x_t]), torch.cat([p, p]), t, image).chunk(2))

    def released_call(self, pixels):
        nothing = self.no_picture.expand_as(pixels)

        def branch(pictures, x_t, p, t):
            return self.denoiser(x_t, p, t, self.denoiser.image(self.encoder(pictures)))

        return lambda x_t, p, t: self.guided(branch(pixels, x_t, p, t), branch(nothing, x_t, p, t))

    def sample(self, pixels, times, noise, fresh=None, observe=None):
        """x0 [B, L, D] from noise [B, L, D]: by DDIM, or with `fresh` noise for every step by noising again."""
        denoise = {"cached": self.cached_call, "released": self.released_call}[self.style](pixels.to(self.dtype))
        x, p = noise, torch.zeros_like(noise)
        shift, last = self.scheduler.get("time_shift", 0), self.scheduler["time_steps"] - 1
        for i, t in enumerate(times):
            p = denoise(x, p, min(t + shift, last))
            if observe:
                observe(p)
            if i + 1 == len(times):
                return p
            now, next_ = self.alpha_bar[t], self.alpha_bar[times[i + 1]]
            if fresh is not None:
                x = math.sqrt(next_) * p + math.sqrt(1 - next_) * fresh[i]
            else:
                x = math.sqrt(next_) * p + math.sqrt((1 - next_) / (1 - now)) * (x - math.sqrt(now) * p)

    def caption(self, pixels, steps):
        """pixels [B, 3, S, S] → ids [B, L]"""
        noise = torch.randn(len(pixels), self.length, self.latent, device=self.device)
        return self.logits(self.sample(pixels, time_grid(self.scheduler, steps), noise)).argmax(-1)


# --- Autoregressive ----------------------------------------------------------------------------------------------


class CaptionDecoder:
    """BERT with causal attention, cross-attention and a language-model head: BLIP's text decoder."""

    def __init__(self, scope, text):
        bert, eps = scope / "bert", text["eps"]
        self.words = (bert / "embeddings" / "word_embeddings")("weight")
        self.positions = (bert / "embeddings" / "position_embeddings")("weight")
        self.norm = Norm(bert / "embeddings" / "LayerNorm", eps)
        self.layers = [PostNormBlock(bert / "encoder" / "layer" / i, text["heads"], eps, cross=True)
                       for i in range(text["layers"])]
        self.head = LmHead(scope / "cls", eps, self.words if text["tied"] else None)

    def image(self, tokens):
        return [layer.image(tokens) for layer in self.layers]

    def begin(self, positions):
        """Caches for texts of so many tokens."""
        return [Past(positions) for _ in self.layers]

    def extend(self, ids, past, image):
        """The next tokens [B, L] of texts, the first or one by one → hidden states [B, L, W]"""
        first = past[0].length
        x = self.norm(F.embedding(ids, self.words) + self.positions[first : first + ids.shape[1]])
        for layer, own, key_value in zip(self.layers, past, image):
            x = layer(x, key_value, own)
        return x

    def greedy(self, prompt, image, count, forbidden=()):
        """The likeliest token after tokens [B, L], `count` times → ids [B, count], the logits [B, V] of each"""
        past = self.begin(prompt.shape[1] + count)
        ids, written, logits = prompt, [], []
        for _ in range(count):
            logits.append(self.head(self.extend(ids, past, image)[:, -1]))
            for token in forbidden:
                logits[-1][:, token] = -math.inf
            ids = logits[-1].argmax(-1, keepdim=True)
            written.append(ids)
        return torch.cat(written, 1), logits


class Autoregressive:
    """Captions from left to right, greedily, with a forced number of words."""

    def __init__(self, weights, config, prompt, end):
        self.device, self.dtype = weights.device, weights.dtype
        self.side = config["image_encoder"]["image_size"]
        self.encoder = image_encoder(weights / "visual_encoder", config["image_encoder"])
        self.decoder = CaptionDecoder(weights / "text_decoder", config["text"])
        self.prompt, self.end = torch.tensor([prompt], device=self.device), end

    def caption(self, pixels, words):
        """pixels [B, 3, S, S] → ids [B, words]"""
        image = self.decoder.image(self.encoder(pixels.to(self.dtype)))
        return self.decoder.greedy(self.prompt.expand(len(pixels), -1), image, words, [self.end])[0]


# --- Model folders -----------------------------------------------------------------------------------------------


def read_json(path):
    return json.loads(path.read_text()) if path.exists() else {}


def prompt_tokens(config, vocabulary):
    """Ids of the tokens that captions begin with; the words of the prompt stand in the vocabulary as they are."""
    return [vocabulary.index(token) for token in [config["begin"], *config["prompt"].split()]]


def load(folder, dtype=torch.float32, device="cpu", style="cached"):
    """A captioner of capdiff's model folder."""
    config = read_json(folder / "config.json")
    weights = Weights(read_safetensors(folder / "model.safetensors"), dtype, device)
    if config["model_type"] == "ladic":
        statistics = Weights(read_safetensors(folder / "statistics.safetensors"), dtype, device)
        guidance = read_json(folder / "generation_config.json").get("guidance", 1.0)
        return Ladic(weights, statistics, config, read_json(folder / "scheduler_config.json"), style, guidance)
    if config["model_type"] == "autoregressive":
        vocabulary = (folder / "vocab.txt").read_text().splitlines()
        return Autoregressive(weights, config, prompt_tokens(config, vocabulary), vocabulary.index("[SEP]"))
    sys.exit(f"{folder}: the peer does not know models of type {config['model_type']}")
