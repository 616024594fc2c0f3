"""Speed, as ratios against something run beside it. Printed by `make bench`; gates nothing."""
