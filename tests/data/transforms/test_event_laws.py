"""What holds for every transform of events: count, bounds, order, dtype, one source of chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_transforms import generator, packed, recording, recordings, rows
from localspike.data import EVENT, Sensor
from localspike.data.formats.recording import Recording, check_recording
from localspike.data.transforms import events as tr
from localspike.errors import ConfigError, DataError

RANDOM = {
    "Affine": tr.Affine(20.0, 2.0, 2.0, (0.8, 1.2), 10.0),
    "Crop": tr.Crop(1, 1),
    "Cutout": tr.Cutout(1, 1),
    "Drop": tr.Drop(0.4),
    "DropTime": tr.DropTime(0.4),
    "Flip": tr.Flip(0.5, 0.5),
    "Jitter": tr.Jitter(20.0, 1.0),
    "Roll": tr.Roll(3, 3),
    "TimeCrop": tr.TimeCrop(20),
    "TimeReverse": tr.TimeReverse(0.5),
    "TimeScale": tr.TimeScale((0.5, 3.0)),
}
FIXED = {
    "Denoise": tr.Denoise(9),
    "Downsample": tr.Downsample(2, 3, merge=True),
    "Merge": tr.Merge(),
    "MergePolarity": tr.MergePolarity(),
    "Refractory": tr.Refractory(9),
    "Resize": tr.Resize(3, 2, merge=True),
}
ALL = {
    **RANDOM,
    **FIXED,
    "Compose": tr.Compose(
        [tr.Flip(), tr.Drop(0.2), tr.Jitter(9.0, 1.0), tr.Downsample(), tr.Drop(0.2)]
    ),
}
IDENTITIES = [
    tr.Affine(),
    tr.Compose([]),
    tr.Cutout(0, 0),
    tr.Drop(0.0),
    tr.DropTime(0.0),
    tr.Flip(0.0),
    tr.Jitter(),
    tr.Refractory(0),
    tr.Roll(0, 0),
    tr.TimeReverse(0.0),
    tr.TimeScale(1.0),
]


def test_every_transform_is_under_these_laws() -> None:
    classes = {
        name
        for name in tr.__all__
        if isinstance(getattr(tr, name), type) and issubclass(getattr(tr, name), tr.EventTransform)
    }
    assert classes == {*ALL, "FlipPolarity", "EventTransform"}


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25)
@given(given_=recordings(), seed=st.integers(0, 99))
def test_events_in_are_events_out_and_lost(name: str, given_, seed: int) -> None:
    events, sensor = given_
    before = events.copy()
    changed, on, lost = ALL[name].account(events, sensor, generator(seed))
    assert len(events) == len(changed) + sum(lost.values())
    assert min(lost.values()) >= 0
    check_recording(Recording(changed, on), name)  # dtype, bounds, order
    assert np.array_equal(events, before)
    again, where = ALL[name](events, sensor, generator(seed))
    assert rows(again) == rows(changed) and where == on


@pytest.mark.parametrize("name", ALL)
def test_no_event_and_one_event(name: str) -> None:
    none, sensor = np.empty(0, EVENT), Sensor(2, 9, 12)
    changed, on = ALL[name](none, sensor, generator())
    assert len(changed) == 0 and changed.dtype == EVENT
    _, same = ALL[name](packed([(5, 3, 4, 1)]), sensor, generator())
    assert same == on


@pytest.mark.parametrize("name", RANDOM)
def test_another_generator_gives_another_result(name: str) -> None:
    events, sensor = recording(last=60)
    results = {(*rows(RANDOM[name](events, sensor, generator(k))[0]),) for k in range(12)}
    assert len(results) >= 2


@pytest.mark.parametrize("name", ALL)
def test_only_the_generator_handed_in_is_used(name: str) -> None:
    events, sensor = recording()
    np.random.seed(0)
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    ALL[name](events, sensor, generator())
    assert torch.equal(state[0], torch.get_rng_state())
    assert np.array_equal(state[1], np.random.get_state()[1])


@pytest.mark.parametrize("transform", IDENTITIES, ids=repr)
def test_nothing_asked_for_changes_nothing(transform) -> None:
    events, sensor = recording()
    same, on, lost = transform.account(events, sensor, generator())
    assert rows(same) == rows(events) and on == sensor and sum(lost.values()) == 0


@pytest.mark.parametrize("transform", [tr.Drop(1.0), tr.DropTime(1.0), tr.Cutout(9, 12)], ids=repr)
def test_all_asked_for_takes_all(transform) -> None:
    events, sensor = recording()
    assert transform.account(events, sensor, generator()).lost == {type(transform).__name__: 400}


def test_a_part_draws_the_same_whatever_stands_beside_it() -> None:
    events, sensor = recording()
    alone = tr.Compose([tr.Drop(0.5)])(events, sensor, generator())[0]
    for parts in ([tr.Roll((0, 0), (0, 0)), tr.Drop(0.5)], [tr.Drop(0.5), tr.Jitter()]):
        assert rows(tr.Compose(parts)(events, sensor, generator())[0]) == rows(alone)


def test_two_parts_of_a_class_draw_apart_and_are_counted_together() -> None:
    one, sensor = packed([(0, 0, 0, 0)]), Sensor(1, 1, 100)
    twice = tr.Compose([tr.Roll(0, (0, 40)), tr.Roll(0, (0, 40))])
    moved = [int(twice(one, sensor, generator(k))[0]["x"][0]) for k in range(20)]
    assert any(by % 2 for by in moved)  # were both draws the same, all would be even
    events, sensor = recording()
    dropped = tr.Compose([tr.Drop(0.5), tr.Drop(0.5)]).account(events, sensor, generator())
    assert dropped.lost == {"Drop": 400 - len(dropped.events)}
    assert len(dropped.events) < 160


def test_parts_go_in_their_order_and_are_counted_by_name() -> None:
    events = packed([(t, t % 4, 0, 0) for t in range(8)])
    crop, flip = tr.Crop(1, 2, (0, 0)), tr.Flip(1.0)
    first = tr.Compose([crop, flip]).account(events, Sensor(2, 1, 4), generator())
    assert rows(first.events) == [(0, 1, 0, 0), (1, 0, 0, 0), (4, 1, 0, 0), (5, 0, 0, 0)]
    assert first.lost == {"Crop": 4, "Flip": 0}
    other = tr.Compose([flip, crop])(events, Sensor(2, 1, 4), generator())[0]
    assert other["t"].tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize(
    ("events", "text"),
    [
        (packed([(0, 12, 0, 0)]), "Flip: .*'x' out of range"),
        (packed([(0, 0, 0, 2)]), "Flip: .*'p' out of range"),
        (packed([(5, 0, 0, 0), (4, 0, 0, 0)]), "Flip: event times run backwards"),
        (np.zeros((3, 4)), "Flip: not an array of events"),
    ],
)
def test_impossible_events_are_refused(events: np.ndarray, text: str) -> None:
    with pytest.raises(DataError, match=text):
        tr.Flip()(events, Sensor(2, 9, 12), generator())


def test_only_transforms_of_events_compose() -> None:
    with pytest.raises(ConfigError, match="not a transform of events: got 3"):
        tr.Compose([tr.Flip(), 3])


def test_recordings_are_transformed_each_by_its_number() -> None:
    events, sensor = recording(300)
    offsets = np.array([0, 100, 100, 220, 300])
    whole = tr.Compose([tr.Flip(), tr.Drop(0.5)])
    done = tr.over_recordings(whole, events, offsets, sensor, seed=4)
    assert sum(done.lost.values()) + len(done.events) == 300
    assert done.offsets.tolist()[1] == done.offsets.tolist()[2]
    tail = tr.over_recordings(whole, events[100:], offsets[1:] - 100, sensor, seed=4, first=1)
    start = done.offsets[1]
    assert rows(tail.events) == rows(done.events[start:])
    assert (tail.offsets + start).tolist() == done.offsets[1:].tolist()
    other = tr.over_recordings(whole, events, offsets, sensor, seed=5)
    assert rows(other.events) != rows(done.events)


def test_offsets_are_checked() -> None:
    events, sensor = recording(30)
    with pytest.raises(DataError, match="offsets do not cut the events"):
        tr.over_recordings(tr.Flip(), events, np.array([0, 20]), sensor, seed=0)
