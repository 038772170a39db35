"""Multi-crop augmentation on the device, for self-distillation.

Axes: B images, S crop side. All randomness comes from the key; shapes are static.
"""

import functools

import jax
import jax.numpy as jnp

from babyvlm_jax.models.config import AugmentConfig

LUMA = (0.299, 0.587, 0.114)


def random_crop(key, image, side: int, scale, flip: float):
    """One random resized crop, perhaps mirrored.

    Args:
        image: f32[H, W, 3].
        side: output side.
        scale: least and greatest share of the area.

    Returns:
        f32[side, side, 3].
    """
    height, width, channels = image.shape
    area_key, x_key, y_key, ratio_key, flip_key = jax.random.split(key, 5)
    area = jax.random.uniform(area_key, (), minval=scale[0], maxval=scale[1])
    log_ratio = jnp.log(4.0 / 3.0)  # torchvision's default aspect range
    ratio = jnp.exp(
        jax.random.uniform(ratio_key, (), minval=-log_ratio, maxval=log_ratio)
    )
    crop_h = jnp.minimum(1.0, jnp.sqrt(area / ratio)) * height
    crop_w = jnp.minimum(1.0, jnp.sqrt(area * ratio)) * width
    top = jax.random.uniform(y_key, ()) * (height - crop_h)
    left = jax.random.uniform(x_key, ()) * (width - crop_w)
    zoom = jnp.array([side / crop_h, side / crop_w])
    crop = jax.image.scale_and_translate(
        image,
        (side, side, channels),
        (0, 1),
        zoom,
        -zoom * jnp.array([top, left]),
        method="cubic",
        antialias=True,
    )
    mirrored = jax.random.bernoulli(flip_key, flip)
    return jnp.clip(jnp.where(mirrored, crop[:, ::-1], crop), 0.0, 1.0)


def _gray(image):
    return jnp.sum(image * jnp.array(LUMA), axis=-1, keepdims=True)


def _hue(image, turn):
    """Rotates the colours by `turn` (1 = full circle) in the YIQ plane."""
    to_yiq = jnp.array(
        [LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)], jnp.float32
    )
    cos, sin = jnp.cos(2 * jnp.pi * turn), jnp.sin(2 * jnp.pi * turn)
    rotation = jnp.eye(3).at[1:, 1:].set(jnp.array([[cos, -sin], [sin, cos]]))
    return image @ (jnp.linalg.inv(to_yiq) @ rotation @ to_yiq).T


def _jitter(key, image, cfg: AugmentConfig):
    keys = jax.random.split(key, 4)

    def factor(k, strength):
        return jax.random.uniform(k, (), minval=1 - strength, maxval=1 + strength)

    image *= factor(keys[0], cfg.brightness)
    mean = jnp.mean(_gray(image))
    image = mean + (image - mean) * factor(keys[1], cfg.contrast)
    gray = _gray(image)
    image = gray + (image - gray) * factor(keys[2], cfg.saturation)
    return jnp.clip(_hue(image, factor(keys[3], cfg.hue) - 1.0), 0.0, 1.0)


def _blur(key, image):
    """Gaussian blur with a standard deviation of .1 to 2 pixels at side 224."""
    radius = max(1, round(4.0 * image.shape[0] / 224))
    sigma = jax.random.uniform(key, (), minval=0.1, maxval=2.0) * radius / 4.0
    offsets = jnp.arange(-radius, radius + 1)
    kernel = jax.nn.softmax(-(offsets**2) / (2 * sigma**2))
    padded = jnp.pad(image, ((radius, radius), (radius, radius), (0, 0)), "edge")
    side_y, side_x = image.shape[:2]
    rows = sum(kernel[i] * padded[i : i + side_y] for i in range(2 * radius + 1))
    return sum(kernel[i] * rows[:, i : i + side_x] for i in range(2 * radius + 1))


def augment(key, image, cfg: AugmentConfig, blur_prob: float, solarize_prob: float):
    """Colour jitter, grey, blur and solarisation of one crop f32[S, S, 3]."""
    keys = jax.random.split(key, 6)

    def maybe(k, prob, changed, image):
        return jnp.where(jax.random.bernoulli(k, prob), changed, image)

    image = maybe(keys[0], cfg.jitter_prob, _jitter(keys[1], image, cfg), image)
    image = maybe(
        keys[2], cfg.gray_prob, jnp.broadcast_to(_gray(image), image.shape), image
    )
    image = maybe(keys[3], blur_prob, _blur(keys[4], image), image)
    solarized = jnp.where(image >= 0.5, 1.0 - image, image)
    return maybe(keys[5], solarize_prob, solarized, image)


def single_crop(key, images, cfg: AugmentConfig) -> jax.Array:
    """One view of each image, in the manner of the first global crop.

    Args:
        images: u8[B, S, S, 3].

    Returns:
        f32[B, S, S, 3] in 0..1.
    """

    def view(key, image):
        crop_key, augment_key = jax.random.split(key)
        side = image.shape[0]
        crop = random_crop(crop_key, image, side, cfg.global_scale, cfg.flip)
        return augment(augment_key, crop, cfg, cfg.blur_probs[0], 0.0)

    keys = jax.random.split(key, images.shape[0])
    return jax.vmap(view)(keys, images / 255.0)


def multi_crop(key, images, cfg: AugmentConfig):
    """All views of a batch.

    Args:
        images: u8[B, H, W, 3].

    Returns:
        global views f32[2, B, G, G, 3], local views f32[num_local, B, L, L, 3], 0..1.
    """
    unit = images / 255.0

    def view(key, image, blur_prob, solarize_prob, side, scale):
        crop_key, augment_key = jax.random.split(key)
        crop = random_crop(crop_key, image, side, scale, cfg.flip)
        return augment(augment_key, crop, cfg, blur_prob, solarize_prob)

    def views(key, side, scale, blur_probs, solarize_probs):
        # One program for all views of a size: compiling each by itself takes longer.
        keys = jax.random.split(key, (len(blur_probs), images.shape[0]))
        one = functools.partial(view, side=side, scale=scale)
        batch = jax.vmap(one, in_axes=(0, 0, None, None))
        return jax.vmap(
            lambda k, blur, solarize: batch(k, unit, blur, solarize), in_axes=(0, 0, 0)
        )(keys, jnp.array(blur_probs), jnp.array(solarize_probs))

    global_key, local_key = jax.random.split(key)
    first, second, local = cfg.blur_probs
    big = views(
        global_key,
        cfg.global_size,
        cfg.global_scale,
        (first, second),
        (0.0, cfg.solarize_prob),
    )
    if not cfg.num_local:
        side = cfg.local_size
        return big, jnp.zeros((0, images.shape[0], side, side, 3))
    num_local = cfg.num_local
    small = views(
        local_key,
        cfg.local_size,
        cfg.local_scale,
        (local,) * num_local,
        (0.0,) * num_local,
    )
    return big, small
