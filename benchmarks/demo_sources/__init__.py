"""The demo's tasks and solutions, as data, and what is needed to run them."""
