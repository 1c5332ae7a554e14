"""The paper's three questions: each with its answer, or what the runs lack for one."""
