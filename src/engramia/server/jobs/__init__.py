"""Jobs: operations that go on after their request was answered, and the worker that runs them."""
