"""Contents of a results.json, small and by hand."""

from babyvlm_jax.evals.results import parse


def metric(value, low, high, chance, n):
    return {
        "value": value,
        "interval": [low, high],
        "n": n,
        "clusters": n,
        "chance": chance,
        "p_value": 0.0004 if low > chance else 0.25,
        "protocol": "generate",
        "parser": "strict",
    }


def row(primary, value, control="", protocol="generate", parser="strict"):
    return {
        "control": control,
        "protocol": protocol,
        "parser": parser,
        "metrics": {primary: metric(value, value, value, 0.25, 10)},
    }


def entry(title, score, low, high, chance, n=200, rows=(), others=None, **changes):
    """A task's entry; `others` are metrics beside the primary one."""
    primary = changes.get("primary", "accuracy")
    shown = metric(score, low, high, chance, n)
    return {
        "title": title,
        "group": title,
        "domain": "Math",
        "ages": [25, 42],
        "headline": True,
        "held_out": False,
        "protocol": "generate",
        "parser": "strict",
        "primary": primary,
        "n": n,
        "chance": chance,
        "constant": 0.2,
        "score": score,
        "interval": [low, high],
        "clusters": n,
        "p_value": shown["p_value"],
        "p_holm": shown["p_value"] if changes.get("headline", True) else None,
        "too_few": n < 6,
        "above_chance": low > chance,
        "metrics": {primary: shown, **(others or {})},
        "breakdown": {},
        "disagreement": None,
        "rows": [
            row(primary, score),
            row(primary, score, parser="official"),
            row(primary, 0.2, "constant", ""),
            *rows,
        ],
    } | changes


def content(tasks, sources=("",), problems=(), **changes):
    """A whole results.json."""

    def means(source):
        own = [
            task
            for key, task in tasks.items()
            if key.rpartition("/")[0] == source and task["headline"]
        ]
        ours = {
            key: sum(task[key] for task in own) / len(own)
            for key in ("score", "chance", "constant")
        }
        return {
            "leaderboard": {"mean": 1.0, "missing": []},
            "ours": {**ours, "tasks": len(own), "missing": []},
        }

    return {
        "checkpoint": "runs/demo/instruct",
        "kind": "checkpoint",
        "step": 900,
        "split": "test",
        "synthetic": True,
        "seed": 0,
        "shards": "runs/demo/shards",
        "seconds": 48.3,
        "fingerprints": {},
        "problems": list(problems),
        "overall": {source: means(source) for source in sources},
        "tasks": tasks,
    } | changes


def evaluation(tasks, **changes):
    """The same, as it is read."""
    return parse(content(tasks, **changes))
