"""Settings: described once, checked once, and the same after going through a file."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_samhq.errors import SettingsError
from napari_samhq.settings import (
    CommitRules,
    SessionSettings,
    Setting,
    Settings,
    checked,
    setting,
)

CLASSES = [CommitRules, SessionSettings]


def _values(one: Setting):
    if one.choices:
        return st.sampled_from(one.choices)
    low = None if one.low is None else int(one.low)
    high = None if one.high is None else int(one.high)
    return {
        bool: st.booleans(),
        int: st.integers(low, high),
        float: st.floats(one.low, one.high, allow_nan=False, allow_infinity=False),
        str: st.text(),
    }[one.kind]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_setting_has_words_and_a_valid_default(cls):
    for one in cls.described():
        assert one.title
        assert one.help.endswith(".")
        assert one.kind in (bool, int, float, str)
        assert getattr(cls.of([(one.name, one.default)]), one.name) == one.default


@pytest.mark.parametrize("cls", CLASSES)
@given(data=st.data())
def test_settings_survive_a_file(cls, data):
    given_ = {one.name: data.draw(_values(one)) for one in cls.described()}
    settings = cls(**given_)
    assert cls.of(json.loads(json.dumps(settings.pairs()))) == settings
    assert dict(settings.pairs()) == given_


@pytest.mark.parametrize("cls", CLASSES)
def test_settings_never_change(cls):
    settings = cls()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, cls.described()[0].name, cls.described()[0].default)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"overlap": "both"}, "needed is one of 'follow layer', 'keep', 'overwrite'"),
        ({"smallest_area": 0}, "needed is a whole number of at least 1"),
        ({"smallest_area": 2.5}, "needed is a whole number"),
        ({"smallest_area": True}, "needed is a whole number"),
        ({"fill_holes": 1}, "needed is True or False"),
        ({"semantic_value": -3}, "needed is a whole number of at least 1"),
        ({"colour": "red"}, "no setting 'colour'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_needed(values, words):
    with pytest.raises(SettingsError, match=words):
        CommitRules.of(values.items())


@checked
class Share(Settings):
    share: float = setting(0.5, "Share", "A share.", low=0, high=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2.0, True])
def test_numbers_stay_within_their_bounds(value):
    assert Share(share=1).share == 1.0
    assert isinstance(Share(share=1).share, float)
    with pytest.raises(SettingsError, match="a number of at least 0 and at most 1"):
        Share(share=value)


def test_changed_settings_are_checked_too():
    changed = dataclasses.replace(CommitRules("keep"), smallest_area=9)
    assert changed == CommitRules("keep", 9)
    with pytest.raises(SettingsError, match="at least 1"):
        dataclasses.replace(changed, smallest_area=0)


@pytest.mark.parametrize(
    ("overlap", "preserve", "overwrites"),
    [
        ("follow layer", True, False),
        ("follow layer", False, True),
        ("keep", False, False),
        ("overwrite", True, True),
    ],
)
def test_who_gets_pixels_that_two_objects_want(overlap, preserve, overwrites):
    assert CommitRules(overlap=overlap).overwrites(preserve_labels=preserve) is overwrites
