import numpy as np

from data_prep.stages import histogram


def test_bins_hold_their_upper_ends_so_that_above_means_above():
    scores = np.array([0.2, 0.2 + 1e-6, 0.21, 0.215, -1.0, 1.0, -0.999], np.float64)
    counts = histogram.count(scores)
    # 0.20 itself is not above 0.20
    assert counts == {"119": 1, "120": 2, "121": 1, "0": 2, "199": 1}


def test_single_precision_agrees_with_the_comparison():
    scores = np.linspace(-1, 1, 20_001).astype(np.float32)
    counts = histogram.count(scores)
    for number in (50, 119, 120, 121, 199):
        above = sum(found for key, found in counts.items() if int(key) >= number)
        threshold = round(number * histogram.WIDTH - 1, 2)
        assert abs(above - sum(float(s) > threshold for s in scores)) <= 1


def test_parts_add_up_and_the_table_counts_down():
    total = histogram.add([{"120": 2, "122": 1}, {"120": 3}])
    assert total == {"120": 5, "122": 1}
    rows = [line.split("|")[1:5] for line in histogram.table(total)[2:]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["0.20 to 0.21", "5", "6", "#" * histogram.BAR],
        ["0.21 to 0.22", "0", "1", ""],
        ["0.22 to 0.23", "1", "1", "#" * 8],
    ]
