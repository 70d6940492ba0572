"""plan.py: its four rules as properties, and the pauses."""

from hypothesis import given
from hypothesis import strategies as st

from router.platforms.local.plan import Plan, Seat, backoff_s, plan, worth_a_word

SEATS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=8).map(
    lambda pairs: [Seat(number, ready=ready, outdated=old) for number, (ready, old) in enumerate(pairs)]
)
WISHED = st.integers(0, 6)


@given(WISHED, SEATS)
def test_it_settles_on_the_wished_number_of_current_seats(wished, seats):
    for turn in range(30):
        steps = plan(wished, seats)
        stay = [Seat(seat.id, ready=True, outdated=seat.outdated) for seat in seats if seat.id not in steps.leave]
        fresh = [Seat(100 * (turn + 1) + n, ready=False, outdated=False) for n in range(steps.start)]
        seats = stay + fresh
    assert len(seats) == wished
    assert not any(seat.outdated for seat in seats)
    assert plan(wished, seats).start == 0
    assert plan(wished, seats).leave == ()


@given(WISHED, SEATS)
def test_it_never_takes_a_ready_seat_that_is_needed(wished, seats):
    leave = plan(wished, seats).leave
    before = sum(seat.ready for seat in seats)
    after = sum(seat.ready for seat in seats if seat.id not in leave)
    assert after >= min(before, wished)


@given(WISHED, SEATS)
def test_it_surges_by_one_at_most_and_only_beside_outdated_seats(wished, seats):
    steps = plan(wished, seats)
    stay = [seat for seat in seats if seat.id not in steps.leave]
    most = wished + 1 if any(seat.outdated for seat in stay) else wished
    assert steps.start == 0 or len(stay) + steps.start <= most


@given(WISHED, st.lists(st.booleans(), max_size=8))
def test_scale_down_takes_the_not_ready_first_and_then_the_youngest(wished, ready):
    seats = [Seat(number, ready=each, outdated=False) for number, each in enumerate(ready)]
    leave = plan(wished, seats).leave
    stay = [seat for seat in seats if seat.id not in leave]
    for seat in seats:
        if seat.id in leave:
            assert all((kept.ready, -kept.id) > (seat.ready, -seat.id) for kept in stay)


@given(WISHED, st.lists(st.booleans(), max_size=8), st.lists(st.integers(0, 9), unique=True))
def test_those_that_are_named_leave_before_others_in_their_order(wished, ready, leave_first):
    seats = [Seat(number, ready=each, outdated=False) for number, each in enumerate(ready)]
    leave = plan(wished, seats, leave_first).leave
    turns = {seat: turn for turn, seat in enumerate(leave_first)}

    def order(seat: Seat) -> tuple[bool, int, int]:
        """Of leaving."""
        return seat.ready, turns.get(seat.id, 99), -seat.id

    assert set(leave) == {seat.id for seat in sorted(seats, key=order)[: max(0, len(seats) - wished)]}


def test_outdated_ones_are_named_to_leave_like_others():
    old = [Seat(number, ready=True, outdated=True) for number in (1, 2, 3)]
    assert plan(2, old, leave_first=[1]).leave == (1,)


def test_a_rolling_replacement_of_two_takes_one_at_a_time():
    old = [Seat(1, ready=True, outdated=True), Seat(2, ready=True, outdated=True)]
    assert plan(2, old) == Plan(start=1, leave=())
    starting = Seat(3, ready=False, outdated=False)
    assert plan(2, [*old, starting]).leave == ()
    ready = Seat(3, ready=True, outdated=False)
    assert plan(2, [*old, ready]).leave == (2,)
    assert plan(2, [*old, ready]).start == 1


def test_pauses_double_from_a_tenth_of_a_second_to_thirty_seconds():
    assert [backoff_s(failures) for failures in (1, 2, 3, 4)] == [0.1, 0.2, 0.4, 0.8]
    assert backoff_s(10_000) == 30.0


def test_a_crash_loop_is_worth_a_word_once_per_doubling():
    assert [n for n in range(1, 40) if worth_a_word(n)] == [1, 2, 4, 8, 16, 32]
