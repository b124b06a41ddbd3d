"""The counters and histograms, by the names and labels that dashboards know them by."""

from engramia.telemetry.instruments import Family

# Upper bounds in seconds. A recall takes about a millisecond, an answer of a language model up to minutes.
_FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SLOW = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)

_BY_REQUEST = ("method", "path", "status_code")

REQUESTS = Family("engramia_requests_total", "HTTP requests.", _BY_REQUEST)
REQUEST_SECONDS = Family(
    "engramia_request_duration_seconds", "Seconds per HTTP request.", _BY_REQUEST, _REQUEST
)
LLM_SECONDS = Family(
    "engramia_llm_call_duration_seconds",
    "Seconds per call of a language model.",
    ("provider", "model"),
    _SLOW,
)
EMBEDDING_SECONDS = Family(
    "engramia_embedding_duration_seconds", "Seconds per call of an embedding model.", ("provider",), _FAST
)
STORAGE_SECONDS = Family(
    "engramia_storage_op_duration_seconds",
    "Seconds per transaction of the storage.",
    ("backend", "operation"),
    _FAST,
)
RECALL_HITS = Family("engramia_recall_hits_total", "Recalls with results.")
RECALL_MISSES = Family("engramia_recall_misses_total", "Recalls without results.")
JOBS_SUBMITTED = Family("engramia_jobs_submitted_total", "Jobs submitted.", ("operation",))
JOBS_COMPLETED = Family("engramia_jobs_completed_total", "Jobs finished.", ("operation", "status"))
