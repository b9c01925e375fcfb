"""Compares the peer with goldens: see --check of pytorch_peer.py.

Every number that it recomputes is compared with the one stored; the largest difference, as a share of the largest
number of the tensor, must stay below 1e-4. Exit code 1 where it does not.
"""
import sys
from pathlib import Path

import torch

import peer_models as models

TOLERANCE = 1e-4


class Report:
    """Prints what was compared."""

    def __init__(self, golden):
        self.golden, self.compared, self.failed = golden, 0, 0

    def compare(self, name, computed, note="", rows=None):
        """`computed` with the stored tensor of that name. rows: which of both to look at."""
        stored = self.golden[name]
        computed = computed.reshape(stored.shape)
        if rows is not None:
            stored, computed = stored[rows], computed[rows]
        if stored.is_floating_point():
            error = ((computed.float() - stored).abs().max() / stored.abs().max()).item()
            good, what = error <= TOLERANCE, f"{error:.1e}"
        else:
            good = torch.equal(computed.long(), stored.long())
            what = "equal" if good else "different"
        self.compared += 1
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {name}{note}: {what}")


def ladic_config(reference, profile):
    """config.json and scheduler_config.json of the golden model."""
    text, diffuser, image, vit = (reference[key] for key in ("text", "diffuser", "image", "vit"))
    diffusion, own = reference["diffusion"], reference[profile]
    config = {
        "model_type": "ladic",
        "length": text["length"],
        "image_encoder": {"type": "vit", "image_size": image["size"], "patch": image["patch"], "eps": vit["ln_eps"],
                          **{key: vit[key] for key in ("width", "depth", "heads")}},
        "text": {**{key: text[key] for key in ("hidden", "heads", "encoder_layers")}, "eps": text["ln_eps"],
                 "decoder_layers": own["decoder_layers"]},
        "diffuser": {**{key: diffuser[key] for key in ("hidden", "layers", "heads", "time_layer_norm")},
                     "eps": diffuser["ln_eps"]},
    }
    scheduler = {"schedule": own["schedule"], "time_steps": diffusion["T"], "time_shift": own["time_shift"],
                 "time_grid": "even" if profile == "paper" else "stride",
                 **{key: diffusion[key] for key in ("beta_min", "beta_max", "cosine_s")}}
    return config, scheduler, own["guidance_w"]


def check_run(report, name, model, pixels, times):
    """A run of the sampler from the stored noise."""
    golden, trajectory = report.golden, []
    fresh = golden.get(name + ".noise_steps")
    x0 = model.sample(pixels, times, golden[name + ".noise_init"], fresh, trajectory.append)
    logits = model.logits(x0)
    note = f" ({model.style})"
    report.compare(name + ".trajectory", torch.stack(trajectory), note)
    report.compare(name + ".x0_final", x0, note)
    report.compare(name + ".logits", logits, note)
    report.compare(name + ".ids", logits.argmax(-1), note)


def check_ladic(folder, report, reference):
    golden = report.golden
    weights = models.Weights(models.read_safetensors(folder / "model.safetensors"))
    statistics = models.Weights({name: torch.load(folder / f"{name}_emb_split.pickle", map_location="cpu")
                                 for name in ("mean", "std")})

    def model(profile, style):
        config, scheduler, guidance = ladic_config(reference, profile)
        return models.Ladic(weights, statistics, config, scheduler, style, guidance)

    released = model("released", "cached")
    pixels = torch.stack([golden["image.pixel_values"], golden["image_b.pixel_values"]])
    tokens = released.encoder(pixels)
    nothing = released.encoder(released.no_picture)
    for name, computed in (("image", tokens[0]), ("image_b", tokens[1]), ("image_null", nothing)):
        report.compare(name + ".tokens", computed)
    times = models.time_embeddings(reference["diffusion"]["T"], reference["diffuser"]["hidden"])
    report.compare("schedule.time_table", times[golden["schedule.time_table.t"]])
    report.compare("schedule.linear.alpha_bar", torch.tensor(released.alpha_bar))
    report.compare("schedule.cosine.alpha_bar", torch.tensor(model("paper", "cached").alpha_bar))
    for name, image in (("cond", tokens), ("uncond", nothing.expand_as(tokens))):
        x0 = released.denoiser(golden["denoise.x_t"], golden["denoise.self_cond"], golden["denoise.t"],
                               released.denoiser.image(image))
        report.compare("denoise.x0_" + name, x0)
    for style in ("cached", "released"):
        for profile, runs in (("paper", {"paper.ddim5": 5, "paper.ddim30": 30}),
                              ("released", {"sample_released.s200": 5, "sample_released.s30": 34})):
            own = model(profile, style)
            for name, steps in runs.items():
                check_run(report, name, own, pixels, models.time_grid(own.scheduler, steps))


def check_autoregressive(folder, report, reference):
    golden, config = report.golden, reference["config"]
    weights = models.Weights(models.read_safetensors(folder / "state_dict.safetensors"))
    decoder = models.CaptionDecoder(weights, {"heads": config["num_attention_heads"], "eps": 1e-12,
                                              "layers": config["num_hidden_layers"], "tied": reference["tied"]})
    ids, image = golden["input_ids"], decoder.image(golden["image_tokens"])
    hidden = decoder.extend(ids, decoder.begin(ids.shape[1]), image)
    # Padding stands behind the words, which therefore do not see it.
    words = golden["attention_mask"].bool()
    report.compare(f"layer{config['num_hidden_layers'] - 1}", hidden, rows=words)
    report.compare("logits", decoder.head(hidden), rows=words)

    first = [tuple(x[:1] for x in pair) for pair in image]
    given, count = golden["cache.layer0.key_after_prefill"].shape[2], len(golden["cache.step_logits"])
    past, logits = decoder.begin(given + count), []
    for begin, end in [(0, given)] + [(i, i + 1) for i in range(given, given + count - 1)]:
        logits.append(decoder.head(decoder.extend(ids[:1, begin:end], past, first)[:, -1]))
        if begin == 0:
            report.compare("cache.layer0.key_after_prefill", past[0].key[:, :, :given])
            report.compare("cache.layer0.value_after_prefill", past[0].value[:, :, :given])
    report.compare("cache.step_logits", torch.cat(logits))

    prompt = torch.tensor([reference["prompt"]])
    written, logits = decoder.greedy(prompt, first, len(golden["free_running_greedy.logits"]))
    report.compare("free_running_greedy.logits", torch.cat(logits))
    report.compare("free_running_greedy.ids", torch.cat([prompt, written], 1))


def check(folder):
    """Recomputes the goldens of a folder → whether all are right."""
    kind = models.read_json(folder / "golden.json").get("kind")
    checks = {"ladic": (check_ladic, "reference.json"), "autoregressive": (check_autoregressive, "golden.json")}
    if kind not in checks:
        sys.exit(f"{folder}: goldens of {' or '.join(checks)} are expected, not of {kind}")
    run, reference = checks[kind]
    report = Report(models.read_safetensors(folder / "golden.safetensors"))
    with torch.inference_mode():
        run(folder, report, models.read_json(folder / reference))
    print(f"{report.compared} compared, {report.failed} wrong (tolerance {TOLERANCE:g})")
    return report.failed == 0
