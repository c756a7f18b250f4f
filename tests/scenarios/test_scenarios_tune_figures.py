"""Goal: the figure of the trials shows what there is to choose from, and each label can be read.

Method: points that lie on top of each other, and trials far from all others; where labels come to lie, and the axes' ends.
"""

from __future__ import annotations

from itertools import combinations, product

from reports.tune_figures import place_labels, shown_range

ROOM = (0.0, 0.0, 140.0, 150.0)


def test_no_label_covers_another_or_a_point_even_where_points_lie_together() -> None:
    for spots in (
        [(70.0, 75.0), (71.0, 75.0), (72.0, 76.0), (74.0, 74.0), (70.0, 78.0), (71.0, 72.0), (72.0, 72.0)],
        [(5.0, 5.0), (6.0, 6.0), (5.0, 7.0), (135.0, 145.0), (134.0, 146.0), (5.0, 145.0), (135.0, 5.0)],
        [(70.0, 75.0)] * 7,
    ):
        texts = ["present", *map(str, range(1, 7))]
        boxes = place_labels(list(zip(texts, spots, strict=True)), ROOM)
        for one, other in combinations(boxes, 2):
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        for (left, low, right, high), (x, y) in product(boxes, spots):
            assert not (left < x < right and low < y < high)
            assert ROOM[0] <= left <= right <= ROOM[2]
            assert ROOM[1] <= low <= high <= ROOM[3]


def test_the_axes_show_what_was_judged_and_not_what_lies_far_off() -> None:
    present, judged = (1.0, 3.0), [(0.5, 2.8), (0.6, 3.1)]
    (left, right), (low, high) = shown_range(present, judged, [(0.45, 2.0), (100.0, 0.2)])
    assert (left, right) == (0.45 - 0.12 * 0.55, 1.0 + 0.12 * 0.55)
    assert (low, high) == (2.0 - 0.12 * 1.1, 3.1 + 0.12 * 1.1)


def test_the_axes_have_a_width_where_nothing_differs() -> None:
    for same in (0.0, 2.0):
        for low, high in shown_range((same, same), [(same, same)], []):
            assert low < same < high
