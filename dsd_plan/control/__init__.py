"""Window policies as pure functions of observed state, shared by the replayer and by real runs.

`from dsd_plan.control.policy import decide`.
"""
