import pytest

from modelscaler.activator.holding import Holding, Limits
from modelscaler.activator.words import RefusalReason, RefusedError

LIMITS = Limits(most_held=2, most_body_bytes=100, most_held_bytes=150)


def test_request_is_refused_when_as_many_are_held_as_may_be() -> None:
    house = Holding(LIMITS)
    with house.place(None), house.place(None):
        with pytest.raises(RefusedError, match="2 requests wait") as refused, house.place(None):
            pass
        assert house.requests == 2
    assert (refused.value.reason, refused.value.status) == (RefusalReason.TOO_MANY, 503)
    assert house.requests == 0


def test_body_is_refused_before_it_is_read_when_its_length_is_too_large() -> None:
    house = Holding(LIMITS)
    with pytest.raises(RefusedError, match="more than 100 bytes") as refused, house.place(101):
        pass
    assert refused.value.status == 413
    assert house.requests == 0


def test_body_is_refused_when_it_grows_too_large() -> None:
    with Holding(LIMITS).place(None) as place:
        place.grow(60)
        with pytest.raises(RefusedError) as refused:
            place.grow(41)
    assert refused.value.reason is RefusalReason.BODY_TOO_LARGE


def test_bodies_are_refused_when_they_are_too_large_together() -> None:
    house = Holding(LIMITS)
    with house.place(100) as first, house.place(None) as second:
        first.grow(100)
        second.grow(50)
        with pytest.raises(RefusedError, match="exceed 150 bytes") as refused:
            second.grow(1)
    assert refused.value.reason is RefusalReason.TOO_MANY_BYTES
    assert house.body_bytes == 0


def test_bytes_are_free_again_when_a_request_was_forwarded() -> None:
    house = Holding(LIMITS)
    with house.place(None) as place:
        place.grow(100)
        place.free_body()
        assert (house.body_bytes, house.requests) == (0, 1)
    assert house.body_bytes == 0


def test_request_does_not_wait_while_it_is_on_its_way() -> None:
    house = Holding(LIMITS)
    with house.place(None) as place:
        assert house.waiting == 1
        place.set_out()
        assert house.waiting == 0
        place.come_back()
        assert house.waiting == 1
    assert house.waiting == 0


def test_tickets_rise_in_the_order_of_arrival() -> None:
    house = Holding(LIMITS)
    with house.place(None) as first, house.place(None) as second:
        assert first.ticket < second.ticket


async def test_house_is_waited_for_when_it_is_not_empty() -> None:
    house = Holding(LIMITS)
    await house.empties_within(10.0)
    with house.place(None):
        await house.empties_within(0.001)
        assert house.requests == 1
    await house.empties_within(10.0)
