"""The model card of an export: what it is, how it was made, for what."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.identity import is_synthetic
from babyvlm_jax.evals.results import RESULTS, Evaluation, read_evaluation
from babyvlm_jax.interchange import hf_config
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import settings

_SYNTHETIC = (
    "The corpus is the *nursery*: drawn scenes and templated speech, made by a "
    "program. It holds no recording of a person and comes with no terms of access. "
    "Scores show that the machinery learns what it is shown, not how a child "
    "learns."
)
_UNKNOWN = (
    "The corpus is not among the files that this card was made from. Where it is "
    "SAYCam or BabyView, it was recorded in the homes of children and is open to "
    "authorised researchers only, under the agreement of the archive that keeps it "
    "(Databrary): whoever passes the weights on has to see that the agreement "
    "allows it, and no frame or transcript may go along with them."
)
_USE = (
    "For research on learning from what a child sees and hears. The model knows a "
    "small world and few words; it is not made to advise, describe or decide "
    "anything."
)
_LOAD_STOCK = """\
```python
from transformers import AutoProcessor, LlavaForConditionalGeneration

model = LlavaForConditionalGeneration.from_pretrained(FOLDER)
processor = AutoProcessor.from_pretrained(FOLDER)
```

transformers 5 is needed: the encoder's last layer is taken after its final norm
(`tie_last_hidden_states`), which transformers 4 does not know.

In `logits`, the rows from {vocab_size} on stand for no word. `generate` never chooses
them; leave them out (`logits[..., :{vocab_size}]`) to compute likelihoods."""
_LOAD_REMOTE = """\
```python
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained(FOLDER, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(FOLDER, trust_remote_code=True)
```

The architecture has parts that transformers does not, so the folder brings its code
along: read `modeling_babyvlm.py` before you trust it. It needs torch and transformers
alone."""
_RUN = """\
```sh
cd FOLDER
PYTHONPATH=. LMMS_EVAL_PLUGINS=babyvlm_plugin python -m lmms_eval --model=babyvlm \\
    --model_args=pretrained=hf,conv_template={template} --batch_size=16 --tasks=TASKS
```

`model.py` has the class: `generate_until`, `generate_until_multi_round` and
`loglikelihood` (the mean cross-entropy of a phrase, lower is likelier). It needs torch
and transformers. Where lmms-eval takes no plugins, put it into its `models` folder as
`babyvlm.py` and name it in the table there. It was written against the published
interface of lmms-eval and of the BabyVLM leaderboard's model class, and tested without
lmms-eval."""
_ASK = """\

```python
turns = [{"role": "user", "content": [
    {"type": "image"}, {"type": "text", "text": " How many balls do you see?"}]}]
text = processor.apply_chat_template(turns, add_generation_prompt=True)
inputs = processor(
    text=text, images=[picture], add_special_tokens=False, return_tensors="pt"
)
inputs.pop("token_type_ids", None)
out = model.generate(**inputs, max_new_tokens=16)
answer = out[0, inputs["input_ids"].shape[1] :]
print(processor.decode(answer, skip_special_tokens=True))
```"""


def make_card(cfg, loaded, how: str) -> str:
    """Markdown with the header that the Hugging Face hub reads.

    Args:
        cfg: the `exporting.ExportConfig`.
        loaded: the `exporting.Loaded`.
        how: what was written, in words.
    """
    config, model = loaded.info["config"], loaded.model
    name = pathlib.Path(cfg.to).name
    count = sum(leaf.size for leaf in loaded.flat.values())
    parts = [
        "---\nlicense: other\nlibrary_name: transformers\n"
        "pipeline_tag: image-text-to-text\ntags: [babyvlm]\n---",
        f"# {name}",
        f"{how[0].upper()}{how[1:]}. {count:,} parameters: {model.vision.family} "
        f"encoder of {model.vision.image_size} pixels, {model.decoder.family} decoder "
        f"of {model.decoder.width}, {model.decoder.vocab_size} tokens. Template "
        f"`{config['data']['template']}`.",
    ]
    if "remote" in how or "Llava" in how:
        load = _LOAD_REMOTE if "remote" in how else _LOAD_STOCK
        filled = load.replace("{vocab_size}", str(model.decoder.vocab_size))
        parts.append(f"## How to load it\n\n{filled}{_ASK}")
    if cfg.format == "lmms-eval":
        form = hf_config.form_of(loaded.template)
        parts.append(f"## How to run it\n\n{_RUN.replace('{template}', form)}")
    parts += [
        f"## Intended use\n\n{_USE}",
        f"## Data\n\n{_data(loaded.info)}",
        f"## Recipe\n\n{_recipe(config, loaded.info)}",
        f"## Scores\n\n{_scores(loaded.info)}",
    ]
    return "\n\n".join(parts) + "\n"


def _data(info: Mapping[str, Any]) -> str:
    data, synthetic = info["config"]["data"], False
    if "shards" in data:
        shards = settings.find_beside(info["workdir"], data["shards"])
        synthetic = is_synthetic(str(shards))
    mixture = data.get("mixture", {})
    rows = [f"| {name} | {weight:g} |" for name, weight in sorted(mixture.items())]
    table = "\n".join(["| dataset | share |", "|---|---|", *rows]) if rows else ""
    return "\n\n".join(filter(None, [_SYNTHETIC if synthetic else _UNKNOWN, table]))


def _recipe(config: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    if "imported" in config:
        return f"Imported, not trained here, from: {config['imported']['kind']}."
    optim = config["optim"]
    lines = [
        f"- last phase: {config['name']}, {config['num_steps']} steps, of which "
        f"{info['step']} are in these weights; seed {config['seed']}",
        f"- optimizer: {optim.get('name', 'adamw')}, peak rate {optim.get('lr_peak')}; "
        f"trained: {', '.join(optim.get('trains', ['.*']))}",
        f"- rows of {config['data']['seq_len']} tokens, {config['data']['batch_size']} "
        "a step",
    ]
    lines += [
        f"- {part}: from {source}" for part, source in config["warm_start"].items()
    ]
    return "\n".join(lines)


def _scores(info: Mapping[str, Any]) -> str:
    found = list(_evaluations(info))
    if not found:
        return "No evaluation of this checkpoint by this version was found beside it."
    return "\n\n".join(
        f"Split {result.split}, `{name}`:\n\n```\n{tables.text(result)}\n```"
        for name, result in found
    )


def _evaluations(info) -> Iterator[tuple[str, Evaluation]]:
    """Evaluations of this checkpoint by this version, in or beside its work directory.

    Yields:
        Name of its folder, the evaluation.
    """
    workdir = pathlib.Path(info["workdir"]).resolve()
    for folder in (workdir / "eval", workdir.parent / "eval"):
        for path in sorted(folder.glob(f"*/{RESULTS}")):
            try:
                result = read_evaluation(path.parent)
            except UserError:  # of an earlier one
                continue
            checkpoint = pathlib.Path(result.checkpoint)
            named = {checkpoint.name, checkpoint.parent.parent.name}
            if workdir.name in named and result.step == info["step"]:
                yield path.parent.name, result
