"""A run's adapter behind an OpenAI-compatible server on this machine, and a conversation with it.

`found` says what of a run is served, `engines` what can serve it, `vllm` how vLLM is started, `server` starts one and
ends it, `talk` asks it, `tools` finds tools to offer, `dialogue` keeps a conversation. The server itself is a job:
vLLM, or runner/jobs/serve.py.
"""
