"""Work on whole images of any size: a plan, tasks that may run twice, and a result put together."""
