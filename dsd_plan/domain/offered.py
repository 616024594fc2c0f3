"""Which of a workload's requests an assignment serves: its share, over all copies of the site."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, RequestTrace, Workload


def requests_of(workload: Workload, share: float, copies: int) -> PoissonRequests | ClosedRequests | RequestTrace:
    """Requests of this share of a workload. Raises ValueError where they cannot be split so."""
    requests = workload.requests
    if isinstance(requests, PoissonRequests):
        return PoissonRequests(
            rate_per_s=requests.rate_per_s * share * copies,
            prompt_tokens=requests.prompt_tokens,
            output_tokens=requests.output_tokens,
        )
    if isinstance(requests, ClosedRequests):
        users = requests.users * share * copies
        if users != int(users) or users < 1:
            raise ValueError(f"{share} of {requests.users * copies} users is not a whole number of users")
        return ClosedRequests(
            users=int(users),
            think_s=requests.think_s,
            prompt_tokens=requests.prompt_tokens,
            output_tokens=requests.output_tokens,
        )
    if share != 1.0 or copies != 1:
        raise ValueError("not supported yet: splitting or copying a recorded request trace")
    if workload.rate_per_s is None:
        return requests
    scale = requests.rate_per_s / workload.rate_per_s
    return replace(requests, arrival_s=requests.arrival_s * scale)
