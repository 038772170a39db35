"""Pieces that several configs share."""


def parse_arg(arg: str, **defaults):
    """Reads `--config=FILE.py:ARG`, where ARG is `key=value,flag,...`.

    Args:
        arg: what stands behind the colon.
        defaults: the known keys; a key with the default False is a flag.

    Returns:
        dict with every key of `defaults`, strings or bools.

    Raises:
        ValueError: an unknown key.
    """
    values = dict(defaults)
    for item in filter(None, arg.split(",")):
        key, _, value = item.partition("=")
        if key not in defaults:
            raise ValueError(f"config argument {item!r}: known are {sorted(defaults)}")
        values[key] = value or True
    return values
