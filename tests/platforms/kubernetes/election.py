"""Does an election keep its five invariants, whatever the network, the API server and the processes do?

A world on virtual time: candidates with clocks of their own, an API server with one Lease, and requests between them
that are slow, lost, sent twice, or carried out long after nobody waits for their answers any more. It is too simple
to be wrong. `checked` narrows it to some of the invariants, so that a mutant shows which one kills it.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from router.platforms.kubernetes.leading.elector import Ask, Elector, Lease

ALL = frozenset(range(1, 6))
REQUEST_S = 1.5
WELL_FOR_S = 10.0
SERVER_FAULTS = ("pause", "slow")
NETWORK_FAULTS = ("refuse", "lose requests", "lose answers", "twice")
LEASE_FAULTS = ("delete", "relabel")
PROCESS_FAULTS = ("stop", "kill", "leave")
LEADER, EVERYBODY = -1, -2
EPOCH = datetime(2026, 11, 21, tzinfo=UTC)


class Fault(NamedTuple):
    """`whom`: a candidate's number; LEADER: whoever leads then, or else the first; EVERYBODY, where a network fails."""

    at_s: float
    kind: str
    for_s: float = 0.0
    whom: int = LEADER


class Answer(NamedTuple):
    status: int
    lease: Lease | None = None


class ApiServer:
    """One Lease, as the real one keeps it: seen on v1.20, a PUT makes one that is not there, unless it has a uid."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.blind_writes = 0
        self._revision = itertools.count(100)

    def carry_out(self, ask: Ask) -> Answer:
        if ask.method == "GET":
            return Answer(200, self.lease) if self.lease is not None else Answer(404)
        assert ask.lease is not None
        if ask.method == "POST":
            return Answer(409) if self.lease is not None else self._keep(ask.lease, f"uid-{next(self._revision)}")
        version = ask.lease.metadata.get("resourceVersion")
        self.blind_writes += version is None or "uid" not in ask.lease.metadata
        if self.lease is None:
            return Answer(409) if "uid" in ask.lease.metadata else self._keep(ask.lease, "uid-by-put")
        if version is not None and version != self.lease.version:
            return Answer(409)
        return self._keep(ask.lease, self.lease.metadata["uid"])

    def relabel(self) -> None:
        if self.lease is not None:
            metadata = {**self.lease.metadata, "labels": {"touched": str(next(self._revision))}}
            self._keep(Lease(metadata=metadata, spec=self.lease.spec), metadata["uid"])

    def _keep(self, lease: Lease, uid: str) -> Answer:
        metadata: dict[str, Any] = {**lease.metadata, "uid": uid, "resourceVersion": str(next(self._revision))}
        self.lease = Lease(metadata=metadata, spec=lease.spec)
        return Answer(200, self.lease)


class Candidate:
    """The shell of one elector, on a clock that starts anywhere and runs a little fast or slow."""

    def __init__(self, number: int, offset_s: float, rate: float) -> None:
        self.number = number
        self.elector: Elector | None = None
        self.stopped = False
        self.lives = itertools.count(1)
        self.request = 0
        """The one whose answer is waited for."""
        self.missed: list[Callable[[], None]] = []
        self.suffers: list[str] = []
        """Of its network."""
        self._offset_s = offset_s
        self._rate = rate

    def now(self, at_s: float) -> float:
        return self._offset_s + self._rate * at_s

    def real(self, now: float) -> float:
        return (now - self._offset_s) / self._rate

    def leads(self, at_s: float) -> bool:
        return self.elector is not None and self.elector.leads(self.now(at_s))


class World:
    """`run` it. Fails where a checked invariant is broken, and says which."""

    def __init__(
        self,
        faults: list[Fault],
        rates: list[float],
        seed: int,
        *,
        elector: type[Elector] = Elector,
        checked: frozenset[int] = ALL,
    ) -> None:
        self.at_s = 0.0
        self.server = ApiServer()
        self.chance = random.Random(seed)
        self.candidates = [Candidate(n, 1000.0 * self.chance.random(), rate) for n, rate in enumerate(rates)]
        self.led: list[tuple[float, int]] = []
        """Who began to lead when."""
        self._elector = elector
        self._checked = checked
        self._ongoing: list[str] = []
        """Faults of the API server."""
        self._held: list[Callable[[], None]] = []
        """What a paused API server has yet to read."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._turn = itertools.count()
        self._requests = itertools.count(1)
        self._calm_since_s = 0.0
        self._leader: Candidate | None = None
        for fault in faults:
            self.after(fault.at_s, lambda fault=fault: self._begin(fault))  # type: ignore[misc]
        for candidate in self.candidates:
            self.after(self.chance.random(), lambda candidate=candidate: self._start(candidate))  # type: ignore[misc]
        self._look()
        self.ends_s = max([fault.at_s + fault.for_s for fault in faults], default=0.0) + WELL_FOR_S + 3.0

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.at_s + max(0.0, delay_s), next(self._turn), event))

    def run(self) -> None:
        while self._events and self._events[0][0] < self.ends_s:
            self.at_s, _, event = heapq.heappop(self._events)
            event()
            self._check()

    def _look(self) -> None:
        """Also where nothing happens."""
        self.after(0.5, self._look)

    # -- candidates ------------------------------------------------------------------------------------------

    def _start(self, candidate: Candidate) -> None:
        identity = f"{candidate.number}-{next(candidate.lives)}"
        candidate.elector = self._elector("models", "autoscaler", identity, self.chance.random)
        self._go_on(candidate, candidate.elector)

    def _in(self, candidate: Candidate, elector: Elector, delay_s: float, event: Callable[[], None]) -> None:
        """Nothing happens in a process that was killed, and nothing yet in one that is stopped."""

        def happens() -> None:
            if candidate.elector is elector:
                if candidate.stopped:
                    candidate.missed.append(happens)
                else:
                    event()

        self.after(delay_s, happens)

    def _go_on(self, candidate: Candidate, elector: Elector) -> None:
        if elector.has_left:
            candidate.elector = None
            return
        wait_s = candidate.real(elector.due_s) - self.at_s if elector.due_s > float("-inf") else 0.0
        request = candidate.request = next(self._requests)
        self._in(candidate, elector, wait_s, lambda: self._send(candidate, elector, request))

    def _send(self, candidate: Candidate, elector: Elector, request: int) -> None:
        if request != candidate.request:
            return
        if candidate.now(self.at_s) < elector.due_s - 1e-6:  # only after `leave`
            self._go_on(candidate, elector)
            return
        calendar = EPOCH + timedelta(seconds=candidate.number + self.at_s * self.chance.choice((1, 1, -1)))
        ask = elector.ask(candidate.now(self.at_s), calendar)

        def told(answer: Answer | None) -> None:
            if candidate.request == request:
                self._tell(candidate, elector, ask, answer)

        self._in(candidate, elector, REQUEST_S, lambda: told(None))
        if "refuse" in candidate.suffers:
            self._in(candidate, elector, 0.001, lambda: told(Answer(503)))
            return
        copies = 2 if "twice" in candidate.suffers and ask.method == "PUT" else 1

        def arrives() -> None:
            answers = [self.server.carry_out(ask) for _ in range(copies)]
            if "lose answers" not in candidate.suffers:
                self._in(candidate, elector, self._delay_s(), lambda: told(answers[-1]))

        if "lose requests" not in candidate.suffers:
            self.after(self._delay_s(), lambda: self._reach(arrives))

    def _reach(self, arrives: Callable[[], None]) -> None:
        if "pause" in self._ongoing:
            self._held.append(arrives)
        else:
            arrives()

    def _tell(self, candidate: Candidate, elector: Elector, ask: Ask, answer: Answer | None) -> None:
        now = candidate.now(self.at_s)
        if answer is not None and answer.lease is not None:
            elector.told(answer.lease, now)
            if 3 in self._checked and answer.lease.holder != elector.identity:
                assert not elector.leads(now), "invariant 3: leads, though it found another holder"
        elif answer is not None and answer.status == 404 and ask.method == "GET":
            elector.absent(now)
        else:
            elector.failed(now)
        if 2 in self._checked:
            assert not self.server.blind_writes, "invariant 2: a write that names no version"
        turns_at = elector.turns_at(now)
        if turns_at is not None:  # somebody looks at that very moment
            self.after(candidate.real(turns_at) - self.at_s, lambda: None)
        self._go_on(candidate, elector)

    def _delay_s(self) -> float:
        longest_s = 1.2 if "slow" in self._ongoing else 0.02
        return longest_s * self.chance.random()

    # -- faults ----------------------------------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        self._calm_since_s = self.at_s
        concerned = self._concerned(fault.whom)
        if fault.kind in SERVER_FAULTS:
            self._ongoing.append(fault.kind)
            self.after(fault.for_s, lambda: self._end(fault.kind))
        elif fault.kind in NETWORK_FAULTS:
            for each in concerned:
                each.suffers.append(fault.kind)
            self.after(fault.for_s, lambda: self._mend(fault.kind, concerned))
        elif fault.kind == "delete":
            self.server.lease = None
        elif fault.kind == "relabel":
            self.server.relabel()
        else:
            self._befall(concerned[0], fault)

    def _concerned(self, whom: int) -> list[Candidate]:
        if whom == EVERYBODY:
            return self.candidates
        if whom == LEADER:
            return [self._leader or self.candidates[0]]
        return [self.candidates[whom % len(self.candidates)]]

    def _befall(self, candidate: Candidate, fault: Fault) -> None:
        elector = candidate.elector
        if elector is None or candidate.stopped:
            return
        if fault.kind == "stop":
            candidate.stopped = True
            self.after(fault.for_s, lambda: self._resume(candidate))
        elif fault.kind == "kill":
            candidate.elector = None
            self.after(fault.for_s, lambda: self._restart(candidate))
        else:
            elector.leave(candidate.now(self.at_s))
            if 5 in self._checked:
                assert not elector.leads(candidate.now(self.at_s)), "invariant 5: leads, though it left"
            candidate.request = 0  # what it asked last is given up
            self._go_on(candidate, elector)
            self.after(fault.for_s + 2.0, lambda: self._restart(candidate))

    def _restart(self, candidate: Candidate) -> None:
        if not candidate.stopped:
            self._calm_since_s = self.at_s
            candidate.request = 0
            self._start(candidate)

    def _resume(self, candidate: Candidate) -> None:
        self._calm_since_s = self.at_s
        candidate.stopped = False
        missed, candidate.missed = candidate.missed, []
        self.chance.shuffle(missed)
        for event in missed:
            event()

    def _end(self, kind: str) -> None:
        self._calm_since_s = self.at_s
        self._ongoing.remove(kind)
        if "pause" not in self._ongoing:
            held, self._held = self._held, []
            for arrives in held:
                arrives()

    def _mend(self, kind: str, concerned: list[Candidate]) -> None:
        self._calm_since_s = self.at_s
        for each in concerned:
            each.suffers.remove(kind)

    # -- invariants ------------------------------------------------------------------------------------------

    def _check(self) -> None:
        leaders = [each for each in self.candidates if each.leads(self.at_s)]
        if 1 in self._checked:
            assert len(leaders) <= 1, f"invariant 1: {len(leaders)} lead at {self.at_s:.3f} s"
        leader = leaders[0] if leaders else None
        if leader is not None and leader is not self._leader:
            self.led.append((self.at_s, leader.number))
        self._leader = leader
        is_well = not self._ongoing and not any(each.suffers for each in self.candidates)
        is_well = is_well and self.at_s - self._calm_since_s > WELL_FOR_S
        running = [each for each in self.candidates if each.elector is not None and not each.stopped]
        if 4 in self._checked and is_well and running:
            assert any(each in running for each in leaders), f"invariant 4: nobody leads at {self.at_s:.3f} s"

    def hand_over_s(self, since_s: float) -> float:
        """How long nobody led, from then on."""
        return next(at_s for at_s, _ in self.led if at_s > since_s) - since_s


LOST_ANSWER = [Fault(20.0, "lose answers", 2.5), Fault(23.8, "stop", 10.0)]
"""A renewal's answer is lost; its leader reads what it wrote, and then stands still."""
CUT_OFF = [Fault(20.0, "lose requests", 20.0)]
DELETED = [Fault(20.0, "stop", 8.0), Fault(20.1, "delete"), *(Fault(22.5, "leave", 9.0, whom) for whom in (0, 1))]
"""The Lease of a leader that stands still is deleted, and who made it anew leaves."""
SCENARIOS = {"a lost answer": LOST_ANSWER, "cut off": CUT_OFF, "deleted": DELETED}
FAST_AND_SLOW = [0.9, 1.1, 1.1]


def clustered(clusters: list[tuple[int, list[Fault]]]) -> list[Fault]:
    """Faults come together: each at its own time after that of its cluster."""
    return [fault._replace(at_s=at_s + fault.at_s) for at_s, cluster in clusters for fault in cluster]


faults = st.builds(
    Fault,
    st.integers(0, 300).map(lambda at: at / 100),
    st.sampled_from(SERVER_FAULTS + NETWORK_FAULTS + LEASE_FAULTS + PROCESS_FAULTS),
    st.integers(5, 1_000).map(lambda for_s: for_s / 100),
    st.sampled_from((LEADER, LEADER, EVERYBODY, 0, 1, 2)),
)
schedules = st.lists(st.tuples(st.integers(0, 40), st.lists(faults, min_size=1, max_size=4)), max_size=3).map(clustered)
clocks = st.lists(st.sampled_from((1.0, 1.0, 0.9, 1.1)), min_size=2, max_size=3)
seeds = st.integers(0, 1_000_000)
