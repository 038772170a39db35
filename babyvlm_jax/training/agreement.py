"""What data and model must agree on, checked before anything is compiled.

Settings of a run pass their objective's `check` when they are made, so training,
features, recipes, compile checks and benchmarks all do. A checkpoint that reads records
(evaluation, chat) passes `check_reader`. What disagrees would be clamped on the device
without a word: an index beyond a table takes its last entry.
"""

from collections.abc import Mapping
from typing import Any

from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError


def check_rows(run) -> None:
    """Whether the rows of a run fit the model that reads them.

    Args:
        run: `settings.TrainSettings`.

    Raises:
        UserError: names two fields that disagree.
    """
    data = run.data
    seeing = sorted({"vision", "connector"} & set(run.parts))
    _need(
        data.max_images or not seeing,
        f"data.max_images is 0, but config.parts has {' and '.join(seeing)}, which "
        "would see nothing; raise it, or leave them out",
    )
    if data.max_images:
        missing = sorted({"vision", "connector"} - set(run.parts))
        _need(
            not missing,
            f"data.max_images is {data.max_images}, but config.parts has no "
            f"{' and no '.join(missing)}; add them there, or set it to 0 for text",
        )
        check_images(run.model, data.image_size, data.tokens_per_image)
        _need(
            data.seq_len > data.tokens_per_image,
            f"data.seq_len is {data.seq_len}, but one image takes "
            f"config.data.tokens_per_image {data.tokens_per_image}; make rows longer",
        )
        ordinals = run.model.connector.num_ordinals
        _need(
            not ordinals or data.max_images <= ordinals,
            f"data.max_images is {data.max_images}, but "
            f"config.model.connector.num_ordinals {ordinals}; lower the one or raise "
            "the other",
        )
    if getattr(run.model.decoder, "positions", "") == "learned":
        part = run.model.decoder
        shorter = f"or set config.data.record_len to {part.max_len}"
        check_length(data, data.longest_record, part, "model.decoder", shorter)


def check_images(model, image_size: int, tokens_per_image: int) -> None:
    """Whether images become as many tokens as rows reserve for them.

    Args:
        model: `models.config.VLMConfig`.
        image_size: side in pixels that images are brought to.
        tokens_per_image: positions that a row leaves to an image.

    Raises:
        UserError: they do not.
    """
    check_size(image_size, model.vision)
    made, maker = model.vision.num_tokens, "config.model.vision makes"
    if model.connector.tokens_per_image:
        made = model.connector.tokens_per_image
        maker = "config.model.connector.tokens_per_image is"
    _need(
        tokens_per_image == made,
        f"data.tokens_per_image is {tokens_per_image}, but {maker} {made}; make them "
        "equal",
    )


def check_reader(model, data: Mapping[str, Any], tokenizer: Tokenizer, path) -> None:
    """Whether a checkpoint can read records with this tokenizer.

    Args:
        model: the checkpoint's `models.vlm.Model`.
        data: the section `data` of the checkpoint's config.
        tokenizer: that it is to read with.
        path: of the checkpoint, for messages.

    Raises:
        UserError: an image or a word would not become what the model knows.
    """
    try:
        check_images(model.config, data["image_size"], data["tokens_per_image"])
        check_vocabulary(tokenizer, model.config.decoder, "model.decoder")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def check_vocabulary(tokenizer: Tokenizer, part, where: str) -> None:
    """Raises UserError unless `part` has a row for every id of the tokenizer."""
    _need(
        tokenizer.vocab_size <= part.vocab_size,
        f"{where}.vocab_size is {part.vocab_size}, but the tokenizer has "
        f"{tokenizer.vocab_size} ids; set it to {tokenizer.vocab_size} or more",
    )


def check_size(image_size: int, vision) -> None:
    """Raises UserError unless images have the size that an encoder sees."""
    check_multiple("data.image_size", image_size, vision)
    _need(
        image_size == vision.image_size,
        f"data.image_size is {image_size}, but config.model.vision.image_size "
        f"{vision.image_size}; make them equal",
    )


def check_multiple(name: str, size: int, vision) -> None:
    """Raises UserError unless an encoder can divide images of this size."""
    is_vit = vision.family == "vit"
    unit = vision.patch_size if is_vit else vision.stride
    of = "config.model.vision.patch_size" if is_vit else "the stride of its stages"
    _need(size % unit == 0, f"{name} is {size}, no multiple of {of} {unit}")


def check_length(
    data, longest: int, part, where: str, shorter: str = "or raise max_len"
) -> None:
    """Raises UserError if the longest record has more positions than a table."""
    _need(
        longest <= part.max_len,
        f"data.seq_len is {data.seq_len}, but config.{where}.max_len {part.max_len}; "
        f"make rows shorter, {shorter}: a record has no more positions",
    )


def _need(ok: bool, told: str) -> None:
    if not ok:
        raise UserError(f"config.{told}")
