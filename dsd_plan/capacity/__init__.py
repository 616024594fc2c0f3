"""How much load a plan carries before its budgets break, and why: the analytic model asked again and again."""
