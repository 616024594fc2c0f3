"""The answer in words: why, what it hinges on, what to measure next; or why no plan will do."""
