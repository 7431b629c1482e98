from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_samhq.core.util.lru import Lru


@given(
    limit=st.integers(1, 12),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 6)), max_size=40),
)
def test_it_keeps_what_was_used_last_within_its_limit(limit, steps):
    cache: Lru[int] = Lru(limit)
    used: list[tuple[int, int]] = []  # (key, weight), the latest last
    for is_put, key, weight in steps:
        known = dict(used)
        if is_put:
            cache.put(key, 10 * key, weight)
            used = [entry for entry in used if entry[0] != key] + [(key, weight)]
            while len(used) > 1 and sum(w for _, w in used) > limit:
                used.pop(0)
        else:
            assert cache.get(key) == (10 * key if key in known else None)
            if key in known:
                used = [entry for entry in used if entry[0] != key] + [(key, known[key])]
    assert [key in cache for key in range(6)] == [key in dict(used) for key in range(6)]
    assert len(cache) == len(used)


def test_a_value_heavier_than_the_limit_stays_until_the_next():
    cache: Lru[str] = Lru(2)
    cache.put("heavy", "one", 9)
    assert cache.get("heavy") == "one"
    cache.put("light", "two")
    assert "heavy" not in cache
    assert cache.pop("light") == "two"
    assert cache.pop("light") is None
