"""Every number the contract names, once."""

TASK_MAX_CHARS = 10_000
CODE_MAX_CHARS = 500_000
OUTPUT_MAX_CHARS = 500_000
FEEDBACK_MAX_CHARS = 10_000
ID_MAX_CHARS = 200

SCORE_MIN = 0.0
SCORE_MAX = 10.0
SUCCESS_SCORE = 5.0
"""A run with at least this eval score counts as a success."""

RECALL_LIMIT_DEFAULT = 5
RECALL_LIMIT_MAX = 50
LIST_LIMIT_MAX = 1_000
OFFSET_MAX = 1_000_000
AUDIT_LIST_LIMIT_MAX = 500

SKILLS_MAX = 64
SKILL_MAX_CHARS = 100

IMPORT_MAX_RECORDS = 10_000
EMBED_BATCH = 256
IMPORT_BATCH_CHARS = 2_000_000  # of records that are stored in one transaction of several

NEAR_IDENTICAL_JACCARD = 0.92
GROUP_JACCARD = 0.7
FEEDBACK_JACCARD = 0.4
FEEDBACK_SURFACED_COUNT = 2

QUALITY_OBSERVATIONS = 5
METRICS_WINDOW_DAYS = 30

PATTERN_DECAY_PER_WEEK = 0.98
PATTERN_PRUNE_BELOW = 0.1
FEEDBACK_DECAY_PER_WEEK = 0.90
FEEDBACK_PRUNE_BELOW = 0.15

VERSIONS_KEPT = 20
OBSERVATIONS_KEPT = 100
FEEDBACK_VARIANTS_KEPT = 50
EVENTS_KEPT_DAYS = 400
EVENTS_KEPT = 100_000

EVALS_DEFAULT = 3
EVALS_MAX = 10
JUDGED_CODE_MAX_CHARS = 200_000
"""Of longer code a judge reads the beginning and the end: more fits no model's context."""
JUDGED_OUTPUT_MAX_CHARS = 50_000
JUDGED_ISSUES_MAX = 5
"""Recurring issues of the same task that a judge is told of."""
FOCUS_MAX_CHARS = 2_000

STAGES_MIN = 2
STAGES_MAX = 4
STAGE_NAME_MAX_CHARS = 40
STAGE_VALUES_MAX = 20
"""Values that one stage may read, and write; and initial inputs of a pipeline."""
KNOWN_TASKS_SHOWN = 8

PROMPT_MAX_CHARS = 50_000
PROMPT_GROWTH = 2.0
"""How many times the original's length an evolved prompt may have."""
ISSUES_DEFAULT = 5
ISSUES_MAX = 20
CHANGES_MAX = 20
CHANGE_MAX_CHARS = 500

JOB_LEASE_SECONDS = 30
JOB_HEARTBEAT_SECONDS = 10
JOB_EXPIRES_HOURS = 24
"""A job that nobody took up for so long after it was due is not run any more."""
JOBS_KEPT_DAYS = 7
JOBS_KEPT = 1_000
"""Finished jobs that a scope keeps."""
JOBS_LIST_LIMIT_MAX = 100

IDEMPOTENCY_HOURS = 24
"""How long the answer to a request with a key is kept."""
IDEMPOTENCY_KEY_MAX_CHARS = 255
IDEMPOTENCY_REASONS_KEPT = 100
"""Skipped records of an import that its kept answer names; its counts tell of all."""
IDEMPOTENCY_KEPT = 100_000
"""Answers that a scope keeps on JSON storage, where they are in memory; the oldest go first."""
