"""What the server tells an agent about working with a memory."""

INSTRUCTIONS = """\
Engramia is a memory of solved tasks, shared by every agent of this project.
1. Before a non-trivial task call engramia_recall with the task in plain words. Tier `duplicate`: use the \
code as it is; `adapt`: change it to fit; `fresh`: background only.
2. Do the work. engramia_feedback lists mistakes that recur: avoid them.
3. Afterwards call engramia_refine for every pattern you used, and engramia_learn once for the finished run \
with an honest eval_score.
A tool that fails says why as {"error": code, "detail": sentence}; the work goes on without the memory."""

LOOP = "recall_work_learn"
LOOP_TITLE = "Work with the memory"
LOOP_DESCRIPTION = "Does a task the way that makes the next one easier: recall, work, rate, learn."
TASK_DESCRIPTION = "What is to be done; left out, the loop is explained for the conversation's own task."

_STEPS = """\
Work in this loop:

1. RECALL. Call `engramia_recall` with the task in one or two plain sentences: what goes in, what comes out, \
the language or tool. Leave out names and paths that only this project knows.
   - `duplicate`: take the code as it is, run it, and go to step 3.
   - `adapt`: begin with its code; list what differs between its task and yours, and change only that.
   - `fresh`, or no match: write your own solution; a match is background reading.
   Call `engramia_feedback` with a word of the task for the mistakes that recur, and do not repeat them.
2. WORK. Do the task and test the result for real.
3. RATE. For each pattern whose code you used call `engramia_refine` with its `pattern_key`, a score from 0 \
to 10 and one sentence on what was wrong or missing.
4. LEARN. If the solution is new or better, call `engramia_learn` once: the task as it was asked, the final \
code, what it printed, an honest `eval_score` (8 and more only for what you tested), and a few tags in \
`skills`. Store nothing that failed unless you say so by a score below 5.

If a memory tool answers with an error, read its sentence, and go on with the task without it."""


def loop(task: str | None) -> str:
    """Return the message that sends an agent through the loop."""
    begin = f"The task:\n\n{task.strip()}\n\n" if task and task.strip() else ""
    return begin + _STEPS
