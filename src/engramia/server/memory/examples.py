"""Examples for the documentation of the memory's endpoints: bodies that they take or give."""

from engramia.server.kit.schemas import EXAMPLE_KEY

_TASK = "Parse a CSV file and compute the mean of each column"
_CODE = "import csv\nimport statistics\n\ndef means(path):\n    ..."

PATTERN = {
    "task": _TASK,
    "code": _CODE,
    "output": "price: 42.3",
    "success_score": 8.5,
    "reuse_count": 3,
    "classification": "internal",
    "source": "api",
    "created_at": "2026-11-02T09:30:00Z",
    "skills": ["csv", "statistics"],
}

LEARN = {"task": _TASK, "code": _CODE, "eval_score": 8.5, "output": "price: 42.3", "skills": ["csv"]}
LEARNED = {"stored": True, "pattern_count": 42, "pattern_key": EXAMPLE_KEY, "duplicate_of": None}

RECALL = {"task": "Read a CSV file and average its columns", "limit": 3, "min_score": 7.0}
RECALLED = {
    "matches": [
        {
            "similarity": 0.91,
            "score": 0.74,
            "reuse_tier": "adapt",
            "pattern_key": EXAMPLE_KEY,
            "pattern": PATTERN,
        }
    ],
    "has_more": False,
    "next_offset": None,
    "degraded": False,
    "reason": None,
}

REFINE = {"eval_score": 6.0, "feedback": "It fails on a file with a byte order mark."}
RECORD = {
    **PATTERN,
    "pattern_key": EXAMPLE_KEY,
    "decayed_at": "2026-11-02T09:30:00Z",
    "run_id": None,
    "author": None,
    "embedding_model": "all-MiniLM-L6-v2",
    "versions": [],
    "observations": [{"score": 8.5, "at": "2026-11-02T09:30:00Z", "feedback": None}],
}
PATTERN_LIST = {
    "patterns": [{**PATTERN, "pattern_key": EXAMPLE_KEY}],
    "has_more": False,
    "next_offset": None,
}
DELETED = {"deleted": True, "pattern_key": EXAMPLE_KEY}

EVALUATE = {"task": _TASK, "code": _CODE, "output": "price: 42.3", "num_evals": 3}
EVALUATED = {
    "median_score": 8.0,
    "variance": 0.25,
    "high_variance": False,
    "feedback": "Empty columns raise an error; skip them.",
    "adversarial_detected": False,
    "scores": [
        {
            "task_alignment": 9.0,
            "code_quality": 8.0,
            "workspace_usage": 8.0,
            "robustness": 7.0,
            "overall": 8.0,
            "feedback": "Empty columns raise an error; skip them.",
        }
    ],
}

COMPOSE = {"task": "Fetch stock prices, find the trend, and write a report"}
COMPOSED = {
    "task": COMPOSE["task"],
    "stages": [
        {
            "name": "fetch_prices",
            "task": "Fetch stock prices",
            "reads": [],
            "writes": ["prices"],
            "reuse_tier": "adapt",
            "similarity": 0.83,
            "code": "def fetch(ticker): ...",
            "pattern_key": EXAMPLE_KEY,
        },
        {
            "name": "write_report",
            "task": "Find the trend and write a report",
            "reads": ["prices"],
            "writes": ["report"],
            "reuse_tier": "fresh",
            "similarity": 0.0,
            "code": None,
            "pattern_key": None,
        },
    ],
    "valid": True,
    "contract_errors": [],
    "initial_inputs": [],
    "fallback": None,
}

EVOLVE = {"role": "coder", "current_prompt": "You write Python. Keep functions short.", "num_issues": 5}
EVOLVED = {
    "improved_prompt": "You write Python. Keep functions short. Handle files that are missing or empty.",
    "changes": ["Asks for missing and empty files to be handled"],
    "issues_addressed": ["No handling of missing files"],
    "accepted": True,
    "reason": "It addresses 1 of 1 recurring issues and keeps every instruction.",
}

ANALYZE_FAILURES = {"min_count": 2}
FAILURES = {
    "clusters": [
        {
            "representative": "FileNotFoundError: input.csv",
            "members": ["FileNotFoundError: input.csv", "FileNotFoundError: data.csv"],
            "total_count": 5,
            "avg_score": 2.1,
        }
    ]
}

PRUNED = {"pruned": 4}

FEEDBACK = {
    "feedback": [
        {
            "text": "No handling of missing files",
            "count": 4,
            "weight": 0.9,
            "task": _TASK,
            "first_seen": "2026-10-01T08:00:00Z",
            "last_seen": "2026-11-02T09:30:00Z",
        }
    ],
    "has_more": False,
    "next_offset": None,
}

REGISTER_SKILLS = {"pattern_key": EXAMPLE_KEY, "skills": ["csv", "statistics"]}
REGISTERED = {"registered": 2, "skills": ["csv", "statistics"]}
SEARCH_SKILLS = {"skills": ["csv"], "match_all": True}

METRICS = {
    "runs": 120,
    "success_rate": 0.86,
    "avg_eval_score": 7.4,
    "pattern_count": 42,
    "reuse_rate": 0.35,
}

_RECORD = {
    "version": 1,
    "key": EXAMPLE_KEY,
    "data": {"task": _TASK, "code": _CODE, "success_score": 8.5, "created_at": "2026-11-02T09:30:00Z"},
}
EXPORTED = {"records": [_RECORD], "count": 1}
IMPORT = {"records": [_RECORD], "overwrite": False}
IMPORTED = {"imported": 1, "skipped": 0, "total": 1, "reasons": []}
