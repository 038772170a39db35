from data_prep.raw import Recording
from data_prep.stages.splitting import assign_splits


def _recording(name, split=None, duration_s=10.0):
    return Recording(name, "S", 200, split, duration_s, None)


def test_splits_of_the_corpus_are_taken():
    recordings = [_recording("a", "test"), _recording("b", "train")]
    splits = assign_splits(recordings, lambda name: 1 / 0, seed=0)
    assert splits == {"a": "test", "b": "train"}


def test_speech_trains_and_silence_is_halved():
    recordings = [_recording(f"r{number}") for number in range(10)]
    splits = assign_splits(recordings, lambda name: name in ("r1", "r4"), seed=0)
    assert splits["r1"] == splits["r4"] == "train"
    silent = [split for name, split in splits.items() if name not in ("r1", "r4")]
    assert sorted(silent) == ["test"] * 4 + ["val"] * 4


def test_halves_are_of_time():
    recordings = [_recording("long", duration_s=30.0)]
    recordings += [_recording(f"r{number}") for number in range(3)]
    splits = assign_splits(recordings, lambda name: False, seed=3)
    seconds = {"val": 0.0, "test": 0.0}
    for recording in recordings:
        seconds[splits[recording.recording]] += recording.duration_s
    assert abs(seconds["val"] - seconds["test"]) <= 30.0
    assert min(seconds.values()) >= 10.0


def test_order_of_the_corpus_does_not_matter():
    recordings = [_recording(f"r{number}") for number in range(6)]
    forward = assign_splits(recordings, lambda name: False, seed=0)
    assert assign_splits(recordings[::-1], lambda name: False, seed=0) == forward
