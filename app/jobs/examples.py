"""The examples of the API's document."""

from typing import Any, Final

Example = dict[str, Any]

UPLOAD_ID: Final = "0b6f2f0a-6f0e-4a53-9d3c-3b1f6a4d1c11"
IMPORT: Final[Example] = {
    "kind": "import",
    "spec": {"upload": UPLOAD_ID, "run": "codellama-7b", "step": 0, "problem_set": "cruxeval-output@1"},
}
VERIFICATION: Final[Example] = {
    "kind": "verification",
    "spec": {"version": 1, "evaluation": "5f0c6a2e-5a4e-4c3b-8f41-0d6a2f0e9b7c", "verifier": "exact-match@1"},
}
SAMPLING: Final[Example] = {
    "kind": "sampling",
    "spec": {
        "version": 1,
        "run": "qwen3-0.6b",
        "step": 0,
        "problem_set": "chain-sum@1",
        "model": "Qwen/Qwen3-0.6B",
        "engine": "vllm",
        "engine_options": {"max_model_len": 4096},
        "n": 16,
        "sampling": {"temperature": 0.8, "top_p": 0.95, "max_tokens": 512, "stop": ["\n\n"], "seed": 0},
        "prompt": "chat",
        "verifiers": ["reasoning-gym@1"],
    },
}
TRAINING: Final[Example] = {
    "kind": "training",
    "spec": {
        "run": "countdown-k8",
        "model": {"init": "tiny", "teach": {"steps": 1500}},
        "problem_set": "countdown@1",
        "held_out": 0.1,
        "verifier": "reasoning-gym@1",
        "n": 16,
        "problems_per_step": 32,
        "k": 8,
        "credit_scale": "rms",
        "steps": 200,
        "optimizer": {"lr": 2e-4},
        "generation": {"max_tokens": 24},
    },
}
JOB: Final[Example] = {
    "id": "8f14e45f-ceea-467f-a3d1-6e3f0f5c1a2b",
    "kind": "import",
    "spec": {"version": 1, **IMPORT["spec"]},
    "state": "running",
    "attempt": 1,
    "progress": {"done": 4000, "total": 8000, "rate": 9200.5, "remaining": 0.4},
    "queue": "cpu",
    "capability": "import",
    "priority": 0,
    "workers": 1,
    "created_at": "2026-11-20T09:45:30.480367Z",
    "started_at": "2026-11-20T09:45:30.512117Z",
}
JOBS: Final[Example] = {"jobs": [JOB], "next_cursor": "WzQyXQ"}
WORKER: Final[Example] = {
    "id": "c9f0f895-fb98-4b91-9a1d-2c6d1f0e7b3a",
    "host": "gpu-01",
    "pid": 4711,
    "queues": ["cpu"],
    "capabilities": ["import", "verify"],
    "live": True,
    "jobs": ["8f14e45f-ceea-467f-a3d1-6e3f0f5c1a2b"],
    "started_at": "2026-11-20T09:40:00.100200Z",
    "heartbeat_at": "2026-11-20T09:45:31.900100Z",
}
WORKERS: Final[Example] = {"workers": [WORKER], "next_cursor": "Wzdd"}
UPLOAD: Final[Example] = {
    "id": UPLOAD_ID,
    "filename": "codellama-7b.jsonl",
    "size": 5412345,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
EVENTS: Final = (
    'id: 7\nevent: state\ndata: {"state":"running","attempt":1,"error":null}\n\n'
    'id: 8\nevent: progress\ndata: {"done":4000,"total":8000,"rate":9200.5}\n\n'
    'id: 9\nevent: log\ndata: {"lines":["codellama-7b.jsonl: CRUXEval"]}\n\n'
)
