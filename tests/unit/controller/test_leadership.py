"""Leadership: the process ends rather than write without a fresh lease."""

import threading

from modelscaler.cluster.lease import LeaseTimes
from modelscaler.controller.leadership import Leadership


class FakeLease:
    identity = "me"
    times = LeaseTimes(retry_seconds=0.01)

    def __init__(self, answers: list[str | None | BaseException]) -> None:
        self._answers = answers
        self.holds = False
        self.renewal_age_seconds = 0.0
        self.released = False
        self.attempted = threading.Event()

    def attempt(self) -> str | None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.attempted.set()
        if isinstance(answer, BaseException):
            raise answer
        self.holds = answer is None
        return answer

    def release(self) -> None:
        self.released = True


class Ending:
    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.called = threading.Event()

    def __call__(self, why: str) -> None:
        self.reasons.append(why)
        self.called.set()


def test_leads_when_the_lease_is_held() -> None:
    leadership = Leadership(FakeLease([None]), Ending())  # type: ignore[arg-type]  # a fake of the same shape
    leadership.start()
    assert leadership.wait(5)
    assert leadership.leads
    leadership.stop()


def test_stays_standby_when_another_holds_the_lease() -> None:
    ending, lease = Ending(), FakeLease(["held by other"])
    leadership = Leadership(lease, ending)  # type: ignore[arg-type]
    leadership.start()
    assert lease.attempted.wait(5)
    assert not leadership.wait(0.05)
    assert ending.reasons == []
    leadership.stop()


def test_process_ends_when_the_lease_is_lost() -> None:
    ending, lease = Ending(), FakeLease([None, "not renewed: hung"])
    leadership = Leadership(lease, ending)  # type: ignore[arg-type]
    leadership.start()
    assert leadership.wait(5)
    assert ending.called.wait(5)
    leadership.stop()


def test_process_ends_when_a_write_is_due_without_a_fresh_lease() -> None:
    ending = Ending()
    leadership = Leadership(FakeLease(["held by other"]), ending)  # type: ignore[arg-type]
    leadership.guard()
    assert len(ending.reasons) == 1
