"""LLM judges: what is asked of a model that judges, how its answers are read, and whether it may be believed at all.

`rubrics` and `pairs` are the data (evals/rubrics, evals/probes/judge-*.jsonl), `prompts` writes questions, `replies`
reads answers, `asking` goes to the endpoint, `agreement` has the numbers, `admission` decides whether a judge's scores
count; `options` and `bench` are what both judges take and do. No network here: asking is done through what
runner/services.py hands over.
"""
